import os
import subprocess
import sys
import threading
import time

import pytest

import diffrender as dr
from diffrender import threads
from diffrender.threads import run_on_workers

DRAW = (
    "import numpy as np, diffrender as dr;"
    "v = np.array([(1, 1, 2), (9, 2, 2), (4, 8, 2)], np.float32);"
    "print(dr.rasterize_soft(v, np.array([(0, 1, 2)]), (10, 12)).alpha.sum())"
)


def draw(**environment):
    result = subprocess.run(
        [sys.executable, "-c", DRAW], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_kernels_are_kept_in_the_chosen_folder_and_elsewhere_if_it_cannot_be_written(tmp_path):
    expected = draw()
    assert draw(DIFFRENDER_CACHE_DIR=str(tmp_path / "cache")) == expected
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith("kernels-") and any(kept.rglob("*.nbi"))
    (tmp_path / "file").write_text("")
    assert draw(DIFFRENDER_CACHE_DIR=str(tmp_path / "file" / "x")) == expected


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_draws_too():
    code = (
        DRAW + "; import os; child = os.fork(); exec(" + repr(DRAW) + "); child and os._exit(os.waitpid(child, 0)[1])"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert len(set(result.stdout.split())) == 1 and len(result.stdout.split()) == 3


def test_workers_pass_on_errors_and_work_again():
    before = dr.get_num_threads()
    calls = []

    def kernel(worker, workers, fail):
        calls.append((worker, workers))
        if worker == fail:
            raise ValueError(f"worker {worker} failed")

    try:
        dr.set_num_threads(3)
        for fail in (0, 2, 1):
            with pytest.raises(ValueError, match=f"worker {fail} failed"):
                run_on_workers(kernel, fail)
            calls.clear()
            run_on_workers(kernel, None)
            assert sorted(calls) == [(0, 3), (1, 3), (2, 3)]
    finally:
        dr.set_num_threads(before)


def test_workers_wake_after_they_have_gone_to_sleep():
    before = dr.get_num_threads()
    done = []

    def kernel(worker, workers, seconds):
        time.sleep(seconds[worker])
        done.append(worker)

    try:
        dr.set_num_threads(2)
        for seconds in ((0, 0), (0, 0.2), (0.2, 0)):  # who waits longest goes to sleep
            run_on_workers(kernel, seconds)
            time.sleep(0.2)
        assert sorted(done) == [0, 0, 0, 1, 1, 1]
    finally:
        dr.set_num_threads(before)


def test_threads_end_when_another_number_is_set():
    before = dr.get_num_threads()

    def workers():
        return [thread for thread in threading.enumerate() if thread.name.startswith("diffrender-")]

    try:
        dr.set_num_threads(4)
        run_on_workers(lambda worker, workers: None)
        assert len(workers()) == 3
        dr.set_num_threads(1)
        for thread in workers():
            thread.join(timeout=5)
        assert not workers()
    finally:
        dr.set_num_threads(before)


def test_nested_and_simultaneous_calls_do_their_work_alone():
    seen = []

    def inner(worker, workers):
        seen.append((worker, workers))

    def outer(worker, workers):
        run_on_workers(inner)

    before = dr.get_num_threads()
    try:
        dr.set_num_threads(2)
        run_on_workers(outer)
        assert seen == [(0, 1), (0, 1)]
    finally:
        dr.set_num_threads(before)


def test_after_an_interrupt_the_next_call_waits_for_all_workers():
    done = []

    def slow(worker, workers):
        if worker == 0:
            raise KeyboardInterrupt
        time.sleep(0.3)

    def kernel(worker, workers):
        time.sleep(0.1 * worker)
        done.append(worker)

    def interrupted(*_):
        raise KeyboardInterrupt

    before = dr.get_num_threads()
    try:
        dr.set_num_threads(2)
        run_on_workers(lambda worker, workers: None)
        crew = threads._crew
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(crew, "_wait", interrupted)  # Ctrl-C comes while the caller waits
            run_on_workers(slow)
        run_on_workers(kernel)
        assert sorted(done) == [0, 1]
    finally:
        dr.set_num_threads(before)
