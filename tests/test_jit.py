import os
import subprocess
import sys

import pytest

import diffrender as dr

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
