import os
import subprocess
import sys
import threading
import time
import types

import numba
import numpy as np
import pytest

import diffrender as dr
from diffrender import threads
from diffrender.jit import CacheFile
from diffrender.spin import await_tasks, claim, claim_near, finish, lead, new_stages, publish
from diffrender.threads import run_on_workers

pytestmark = pytest.mark.filterwarnings("ignore:Code running in object mode")

DRAW = (
    "import numpy as np, diffrender as dr;"
    "v = np.array([(1, 1, 2), (9, 2, 2), (4, 8, 2)], np.float32);"
    "print(dr.rasterize_soft(v, np.array([(0, 1, 2)]), (10, 12)).alpha.sum())"
)


def draw(before="", **environment):
    result = subprocess.run(
        [sys.executable, "-c", before + DRAW],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


def test_kernels_are_kept_in_the_chosen_folder_and_elsewhere_if_it_cannot_be_written(tmp_path):
    expected = draw()
    assert draw(DIFFRENDER_CACHE_DIR=str(tmp_path / "cache")) == expected
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith("kernels-") and any(kept.rglob("*.nbi"))
    (tmp_path / "file").write_text("")
    assert draw(DIFFRENDER_CACHE_DIR=str(tmp_path / "file" / "x")) == expected


def test_a_numba_that_is_not_known_compiles_in_its_own_way(tmp_path):
    newer = "import numba; numba.version_info = numba.version_info._replace(short=(0, 999));"
    assert draw(newer, DIFFRENDER_CACHE_DIR=str(tmp_path)) == draw()


def test_number_of_threads():
    before = dr.get_num_threads()
    for bad in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match=f"must be a positive integer, got {bad}"):
            dr.set_num_threads(bad)
    assert dr.get_num_threads() == before
    assert draw(DIFFRENDER_NUM_THREADS="1") == draw(DIFFRENDER_NUM_THREADS="5")
    with pytest.raises(subprocess.CalledProcessError) as error:
        draw(DIFFRENDER_NUM_THREADS="two")
    assert "DIFFRENDER_NUM_THREADS must be a positive integer, got 'two'" in error.value.stderr


def test_a_formula_called_from_python_says_so_before_and_after_it_is_compiled():
    code = (
        "from diffrender.formulas.coverage import sigmoid\n"
        "from numba import njit\n"
        "def refused():\n"
        "    try: sigmoid(0.0)\n"
        "    except TypeError as error: print(error)\n"
        "refused()\n"
        "print(njit(lambda x: sigmoid(x))(0.0))\n"
        "refused()\n"
    )
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}  # the simulator has to call formulas
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    refusal = "sigmoid is for kernels to call: from Python, call sigmoid.py_func"
    assert result.stdout.splitlines() == [refusal, "0.5", refusal], result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_draws_too():
    code = (
        DRAW + "; import os; child = os.fork(); exec(" + repr(DRAW) + "); child and os._exit(os.waitpid(child, 0)[1])"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    expected = draw().strip()  # both may write at once, so that the end of a line comes late
    assert result.stdout.count(expected) == 3 and not result.stdout.replace(expected, "").strip()


@pytest.fixture
def set_threads():
    before = dr.get_num_threads()
    yield dr.set_num_threads
    dr.set_num_threads(before)


@numba.njit(nogil=True)
def _note(share, shares, board, done, seconds, fail):
    """Count in done (S,) which shares are done, after a wait for each; one may fail."""
    if share < 0:
        lead(publish(board))
        return
    with numba.objmode():  # only here: kernels of the package never take the lock
        time.sleep(seconds[share])
    if share == fail:
        raise ValueError
    done[share] += 1


def _run(shares, seconds=0.0, fail=-1):
    done = np.zeros(shares, np.int64)
    run_on_workers(_note, done, np.broadcast_to(np.float64(seconds), shares).copy(), fail)
    return done.tolist()


def test_workers_pass_on_errors_and_work_again(set_threads):
    set_threads(3)
    for fail in range(3):
        with pytest.raises(MemoryError, match="a kernel got no memory"):
            _run(3, fail=fail)
        assert _run(3) == [1, 1, 1]


def test_every_share_is_done_once_whoever_sleeps(set_threads):
    set_threads(3)
    for pause in (0, 0.05):  # long enough for the workers to go to sleep
        for seconds in ((0, 0, 0), (0, 0, 0.05), (0.05, 0, 0)):
            assert _run(3, seconds) == [1, 1, 1]
            time.sleep(pause)
    assert [_run(3) for _ in range(300)] == [[1, 1, 1]] * 300


@numba.njit(nogil=True)
def _in_stages(share, shares, board, stages, seconds, fail, parts, totals):
    """Fill parts (N,) task by task, after a wait for each, then, in the next stage, totals (N,) with their sum; a share may fail."""
    if share < 0:
        lead(publish(board))
        return
    while True:
        task = claim(stages[0])
        if task >= len(parts):
            break
        if share == fail:
            raise ValueError
        with numba.objmode():
            time.sleep(seconds[task])
        parts[task] = task + 1
        finish(stages[0])
    if not await_tasks(stages[0], len(parts), share, board):
        return
    while True:
        task = claim(stages[1])
        if task >= len(parts):
            break
        totals[task] = parts.sum()


def _run_stages(seconds, fail=-1):
    parts, totals = np.zeros(6, np.int64), np.zeros(6, np.int64)
    run_on_workers(_in_stages, new_stages(2), np.array(seconds, float), fail, parts, totals)
    return totals.tolist()


def test_a_stage_begins_when_the_one_before_is_done(set_threads):
    for workers in (1, 2, 3):
        set_threads(workers)
        for seconds in ([0] * 6, [0.005] * 6, [0.05, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0.05]):
            assert _run_stages(seconds) == [21] * 6
    assert [_run_stages([0] * 6) for _ in range(100)] == [[21] * 6] * 100


@numba.njit(nogil=True)
def _take_near(share, shares, board, stage, seconds, done, by):
    """Count in done (N,) which tasks are done, and write by which share, after a wait of seconds (S,) for each."""
    if share < 0:
        lead(publish(board))
        return
    while True:
        task = claim_near(stage, share, shares, len(done))
        if task >= len(done):
            break
        with numba.objmode():
            time.sleep(seconds[share])
        done[task] += 1
        by[task] = share


def test_shares_do_tasks_of_their_own_and_then_those_of_others(set_threads):
    for workers, known in ((1, 1), (2, 2), (3, 3), (3, 2)):  # of the last, one more than when the stage was made
        set_threads(known)
        stages = [new_stages(1)[0] for _ in range(5)]
        set_threads(workers)
        for stage, (tasks, seconds) in zip(stages, ((0, 0), (1, 0), (2, 0.01), (7, 0.01), (40, 0.002)), strict=True):
            done, by = np.zeros(tasks, np.int64), np.full(tasks, -1)
            run_on_workers(_take_near, stage, np.full(3, float(seconds)), done, by)
            assert (done == 1).all()
            if workers == known == 2 and tasks == 40:  # as long as both have some left
                assert (by == np.arange(40) % 2).mean() > 0.7
    set_threads(2)
    done, by = np.zeros(12, np.int64), np.full(12, -1)
    run_on_workers(_take_near, new_stages(1)[0], np.array([0.0, 0.2]), done, by)
    assert (done == 1).all() and (by[1::2] == 0).sum() >= 4


def test_nobody_waits_for_a_share_that_failed_in_a_stage(set_threads):
    set_threads(3)
    with pytest.raises(MemoryError, match="a kernel got no memory"):
        _run_stages([0.005] * 6, fail=0)
    assert _run_stages([0] * 6) == [21] * 6


@numba.njit(nogil=True)
def _sign(share, shares, board, threads, seconds):
    """Write which thread does a share, after a wait: seconds[0] for the caller, seconds[1] for others."""
    if share < 0:
        lead(publish(board))
        return
    with numba.objmode():
        threads[share] = threading.get_ident()
        time.sleep(seconds[int(threads[share] != threading.main_thread().ident)])


def test_workers_share_the_work(set_threads):
    set_threads(2)
    done_by = np.zeros(2, np.int64)
    run_on_workers(_sign, done_by, np.zeros(2))  # while this is compiled the workers go to sleep
    run_on_workers(_sign, done_by, np.array([0.5, 0.5]))
    assert len(set(done_by.tolist())) == 2


def test_a_job_wakes_no_more_workers_than_it_has_shares(set_threads):
    set_threads(4)
    done = np.zeros(4, np.int64)
    run_on_workers(_note, done, np.zeros(4), -1, most=2)
    assert done.tolist() == [1, 1, 0, 0]


def test_threads_end_when_another_number_is_set(set_threads):
    def workers():
        return [thread for thread in threading.enumerate() if thread.name.startswith("diffrender-")]

    set_threads(4)
    _run(4)
    assert len(workers()) == 3
    set_threads(1)
    for thread in workers():
        thread.join(timeout=5)
    assert not workers()


def test_simultaneous_calls_do_their_work_alone(set_threads):
    set_threads(2)
    results = []

    def call():
        results.extend(_run(2, 0.0) for _ in range(200))

    calls = [threading.Thread(target=call) for _ in range(3)]
    for thread in calls:
        thread.start()
    for thread in calls:
        thread.join()
    # Who finds the crew at work does its own as one share.
    assert len(results) == 600 and all(done in ([1, 1], [1, 0]) for done in results)


def test_an_interrupt_waits_for_workers_who_still_use_the_arrays(set_threads, monkeypatch):
    set_threads(2)
    sleep, done_by = time.sleep, np.zeros(2, np.int64)
    finished = []
    run_on_workers(_sign, done_by, np.zeros(2))

    def interrupted(seconds):
        monkeypatch.setattr(threads.time, "sleep", lambda seconds: (sleep(seconds), finished.append(seconds)))
        raise KeyboardInterrupt  # Ctrl-C comes while the caller waits

    monkeypatch.setattr(threads, "time", types.SimpleNamespace(sleep=interrupted))
    with pytest.raises(KeyboardInterrupt):
        run_on_workers(_sign, done_by, np.array([0.2, 0.5]))
    assert finished and len(set(done_by.tolist())) == 2
    assert _run(2) == [1, 1]


def test_processes_that_compile_at_once_never_load_each_others_code(tmp_path):
    first, late = (CacheFile(str(tmp_path), "kernel", "stamp") for _ in range(2))
    late._load_index = dict  # looked into the index before the first one wrote it
    first.save("float32", "code for float32")
    late.save("float64", "code for float64")
    reader = CacheFile(str(tmp_path), "kernel", "stamp")
    assert reader.load("float64") == "code for float64"
    assert reader.load("float32") in (None, "code for float32")
    reader.save("float32", "code for float32")
    assert [reader.load(key) for key in ("float32", "float64")] == ["code for float32", "code for float64"]
