import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from diffrender.cli import compiling
from PIL import Image

import diffrender as dr
from diffrender import ahead
from diffrender.jit import KernelCache
from diffrender.signatures import KERNELS

ASSETS = Path(__file__).parents[1] / "assets"
SMALL = [number for number, kernel in enumerate(KERNELS) if kernel.name in ("project_vertices", "label_pieces")]


def test_every_listed_kernel_exists():
    for number, kernel in enumerate(KERNELS):
        dispatcher = ahead._dispatcher(number)
        assert isinstance(dispatcher._cache, KernelCache)
        assert len(kernel.signature) == dispatcher.py_func.__code__.co_argcount
        assert set(kernel.commands) <= set(ahead.COMMANDS)
        assert ahead._number(dispatcher.py_func, kernel.signature) == number
    assert ahead._number(ahead.warm_up, ()) is None


def test_a_list_that_is_out_of_date_costs_time_alone(monkeypatch):
    gone = [replace(KERNELS[0], name="gone"), replace(KERNELS[0], module="cpu.gone")]
    monkeypatch.setattr("diffrender.signatures.KERNELS", (*gone, *KERNELS))
    assert not {0, 1} & set(ahead.missing(ahead.COMMANDS))


def small_photo(folder):
    photo = np.asarray(Image.open(ASSETS / "duck.jpg").resize((96, 72)))
    mask = np.asarray(Image.open(ASSETS / "duck_mask.png").convert("L").resize((96, 72)))
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(mask).save(folder / "mask.png")
    return ["--mask", str(folder / "mask.png")]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "pose", "render"])
def test_what_a_command_calls_is_listed(command, tmp_path):
    mask = small_photo(tmp_path)
    arguments = {
        "fit": ["fit", str(tmp_path / "photo.png"), "--steps", "2", "--faces", "300", *mask],
        "pose": ["pose", str(tmp_path / "photo.png"), "--mesh", str(ASSETS / "duck.glb"), *mask],
        "render": ["render", str(ASSETS / "cube.glb"), "--size", "64x48"],
    }[command]
    code = (
        "import json, sys\n"
        "from diffrender.cli.main import app\n"
        "from benchmarks.signatures import used\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(json.dumps(list(used())))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--out", str(tmp_path / "out.png")],
        cwd=ASSETS.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    from benchmarks.signatures import source

    listed = {
        (kernel.module, kernel.name, f"({', '.join(map(source, kernel.signature))},)")
        for kernel in KERNELS
        if command in kernel.commands
    }
    called = {tuple(kernel) for kernel in json.loads(run.stdout.splitlines()[-1])}
    assert called and called <= listed, "run python -m benchmarks.signatures again"


def test_helpers_compile_into_the_cache_and_only_once(tmp_path):
    code = (
        "from diffrender import ahead\n"
        f"missing = ahead.missing\n"
        f"ahead.missing = lambda commands: [n for n in missing(commands) if n in {SMALL}]\n"
        "if True:  # no guard is needed\n"
        "    told = []\n"
        "    print(ahead.warm_up(processes=2, report=lambda *done: told.append(done)), told[-1], ahead.warm_up())\n"
    )
    environment = {**os.environ, "DIFFRENDER_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["2", "(2,", "2)", "0"]
    assert (
        sorted(path.name.split("-")[0] for path in tmp_path.rglob("*.nbi"))
        == [
            "extent.extent",
            "label_pieces.label_pieces",
        ]
        or len(list(tmp_path.rglob("*.nbi"))) >= 2
    )


def test_bad_input_shows_the_value():
    with pytest.raises(ValueError, match="must be among fit, pose, render, got 'bake'"):
        dr.warm_up(["bake"])
    with pytest.raises(ValueError, match="processes must be a positive integer, got 0"):
        dr.warm_up(processes=0)


def children_of(code):
    return lambda: subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def wait_until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_calls_a_kernel_compiles_it_itself_if_its_helper_dies_or_has_not_begun(monkeypatch):
    monkeypatch.setattr(ahead, "_start", children_of("input()"))
    helpers = ahead.Helpers([7, 5], 1)
    assert helpers.take(5)  # or it is begun by now, and not done
    assert not helpers.wait_for(7) and helpers.take(7) and not helpers.is_done(7)
    wait_until(lambda: helpers.wait(0))
    helpers.close()


def test_who_waits_for_a_helper_helps(monkeypatch):
    echo = "import sys\nfor line in sys.stdin:\n    if int(line) == 7: import time; time.sleep(1)\n    print('done', int(line), flush=True)"
    monkeypatch.setattr(ahead, "_start", children_of(echo))
    compiled = []
    monkeypatch.setattr(ahead, "_compile", compiled.append)
    helpers = ahead.Helpers([7, 5, 3], 1)
    wait_until(lambda: 7 in helpers._begun)
    assert helpers.wait_for(7) and helpers.done == 1 and compiled == [5, 3]
    helpers.close()


def test_helpers_end_when_they_are_closed(monkeypatch):
    monkeypatch.setattr(ahead, "_start", children_of("import time; time.sleep(60)"))
    helpers = ahead.Helpers([1, 2, 3], 2)
    helpers.close()
    assert all(child.poll() is not None for child in helpers._children)
    wait_until(lambda: helpers.wait(0))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal on this system")
def test_no_helper_outlives_a_program_that_is_killed(tmp_path):
    code = (
        "from diffrender import ahead; import os, signal\n"
        f"helpers = ahead.Helpers([{SMALL[0]}], 1)\n"
        "print(helpers._children[0].pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "DIFFRENDER_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    pid = int(run.stdout)

    def gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # A process whose parent is gone may wait for ever for one that takes note of its end.
        status = Path(f"/proc/{pid}/status")
        return status.exists() and "zombie" in status.read_text()

    wait_until(gone)


class Helpers:
    """Helpers that have begun some kernels and compile them at once."""

    done = 4

    def __init__(self, numbers, processes):
        self.numbers, self.processes = numbers, processes

    def take(self, number):
        return number not in self.numbers

    def wait_for(self, number):
        return True

    def close(self):
        self.closed = True


def test_a_command_gets_helpers_when_the_cache_lacks_a_kernel_and_never_before(monkeypatch):
    monkeypatch.setattr(ahead, "Helpers", Helpers)
    monkeypatch.setattr(ahead, "_FEW", 2)
    monkeypatch.setattr(ahead, "missing", lambda commands: list(range(8)))
    monkeypatch.setenv("DIFFRENDER_COMPILERS", "3")
    own, other = ahead._dispatcher(1).py_func, ahead._dispatcher(2).py_func
    with ahead.watch("pose") as watcher:
        assert ahead.watcher is watcher and not watcher.busy and watcher._helpers is None
        assert not watcher.missed(own, KERNELS[1].signature) and watcher.busy
        assert (watcher._helpers.numbers, watcher._helpers.processes) == ([0, 2, 3, 4, 5, 6, 7], 2)
        watcher.compiled()
        assert not watcher.busy and (watcher.done, watcher.all) == (5, 8)
        assert watcher.missed(other, KERNELS[2].signature)
        assert not watcher.missed(test_bad_input_shows_the_value, ())
    assert ahead.watcher is None and watcher._helpers.closed
    with ahead.watch("gif") as watcher:
        assert not watcher.missed(own, KERNELS[1].signature) and watcher._helpers is None and watcher.all == 1


def test_compilation_is_told_after_a_second_and_taken_back(monkeypatch):
    monkeypatch.setattr(compiling, "_TICK", 0.01)
    monkeypatch.setattr(compiling, "_PATIENCE", 0.05)
    watcher, over, said = SimpleNamespace(busy=False, done=12, all=40), threading.Event(), []
    with compiling.told_by(said.append):
        teller = threading.Thread(target=compiling._tell, args=(watcher, over))
        teller.start()
        time.sleep(0.1)
        assert not said
        watcher.busy = True
        wait_until(lambda: said)
        assert said[-1] == "compiling kernels for this processor, once: 12 of 40"
        watcher.busy = False
        wait_until(lambda: said[-1] is None)
        over.set()
        teller.join()
