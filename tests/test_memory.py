"""Memory that goes from one rendering to the next: no two arrays that are alive may share any of it."""

import copy
import os
import pickle
import random
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import diffrender as dr
from diffrender import memory

LARGE = (80, 300)  # more numbers than what the C library keeps at hand


class Own(np.ndarray):
    """A user's kind of array."""


def _views(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """Return a view of a view of a view, by any way that leads to one."""
    ways = [
        lambda a: a[1:],
        lambda a: a.T,
        lambda a: a[..., ::2],
        lambda a: a[::-1],
        lambda a: a.view(Own),
        lambda a: np.asarray(a),
        lambda a: np.asarray(memoryview(a)),
        lambda a: np.lib.stride_tricks.as_strided(a, a.shape, a.strides),
        lambda a: np.broadcast_to(a, a.shape),
        lambda a: np.from_dlpack(a) if type(a) is np.ndarray and a.flags.writeable else a,
    ]
    for _ in range(rng.randrange(4)):
        array = rng.choice(ways)(array)
    return array


LAYOUTS = [memory.Layout(((20, 3), np.float64), ((700,), np.int32)), memory.Layout(((90, 90), np.float32))]


def _use(seed: int, steps: int) -> None:
    """Take arrays, hold views of some of them and let others go; none may be written to by another."""
    rng, held, stamp = random.Random(seed), [], seed
    for _ in range(steps):
        if held and (len(held) > 12 or rng.random() < 0.45):
            view, value = held.pop(rng.randrange(len(held)))
            assert (view == value).all()
            continue
        if rng.random() < 0.4:
            layout = rng.choice(LAYOUTS)
            arrays = memory.arrays_of(layout)
            for array, (shape, dtype, _) in zip(arrays, layout.places, strict=True):
                assert array.shape == shape and array.dtype == dtype
                stamp += 1
                array.fill(stamp)
                if rng.random() < 0.7:
                    held.append((_views(array, rng), stamp))
            del array, arrays
            continue
        shape = (rng.choice([1, 20, 180, 181, 240]), rng.choice([3, 90, 100, 128]))
        array = memory.empty(shape, rng.choice([np.float32, np.float64, np.int32]))
        assert array.flags.c_contiguous and array.flags.aligned and array.flags.writeable and array.shape == shape
        stamp += 1
        array.fill(stamp)
        held.append((_views(array, rng), stamp))
        del array
    for view, value in held:
        assert (view == value).all()


@pytest.mark.parametrize("seed", range(20))
def test_live_arrays_never_share_memory(seed: int) -> None:
    _use(1000 * seed, 400)


def test_live_arrays_of_several_threads_never_share_memory() -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(partial(_use, steps=400), range(0, 24_000, 1000)))


def test_memory_goes_to_the_next_array_of_about_its_size_once_no_view_is_left() -> None:
    array = memory.empty(LARGE, np.float32)
    place, view = array.ctypes.data, array[3:, ::2].T[1:]
    del array
    other = memory.empty(LARGE, np.float32)
    assert not np.shares_memory(view, other)
    del view
    again = memory.zeros((79, 300), np.int32)
    assert again.ctypes.data == place and not again.any()


def test_large_arrays_begin_at_a_cache_line() -> None:
    for columns in range(300, 320):
        assert memory.empty((80, columns), np.float32).ctypes.data % 64 == 0


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda array: pickle.loads(pickle.dumps(array))])
def test_copies_have_memory_of_their_own(copied) -> None:
    array = memory.zeros(LARGE, np.float32)
    other = copied(array)
    array += 1
    del array
    memory.empty(LARGE, np.float32).fill(2)
    assert type(other) is np.ndarray and other.shape == LARGE and not other.any()


def test_memory_under_an_array_may_be_looked_at() -> None:
    # What `base` shows is no interface, but debuggers and tools that add up memory follow it.
    array = memory.zeros(LARGE, np.float32)
    below = array.base
    assert below.nbytes >= array.nbytes
    others = [below[5:], below.view(), copy.copy(below), pickle.loads(pickle.dumps(below))]
    before = [np.array(other) for other in others]
    del array, below
    memory.empty(LARGE, np.float32).fill(2)
    assert all(map(np.array_equal, others, before))


def test_an_array_in_a_cycle_comes_back_when_garbage_is_collected() -> None:
    import gc

    class Node:
        pass

    node = Node()
    node.itself, node.array = node, memory.empty(LARGE, np.float32)
    place, gone = node.array.ctypes.data, weakref.ref(node)
    assert memory.empty(LARGE, np.float32).ctypes.data != place
    del node
    gc.collect()
    assert gone() is None
    taken = [memory.empty(LARGE, np.float32) for _ in range(memory._MOST_PIECES)]
    assert place in {array.ctypes.data for array in taken}


def _lend(pool: memory._Pool, size: int) -> np.ndarray:
    return np.ndarray((size,), np.uint8, *pool.lend(size))


def _place(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_is_bounded_and_what_was_lent_longest_ago_goes_first() -> None:
    pool = memory._Pool(most=1 << 20)
    lent = [_lend(pool, size) for size in (1 << 18, 1 << 19, 1 << 18, 1 << 18)]
    first, *others = map(_place, lent)
    assert pool.bytes == 1 << 20  # all but the first, which is not let go of before its array is gone
    lent[0].fill(1)
    again = _lend(pool, 1 << 18)
    assert lent[0].all() and _place(again) not in (first, *others) and pool.bytes == (1 << 20) - (1 << 18)
    known = {*others[1:], _place(again)}
    del lent, again
    assert {*map(_place, [_lend(pool, 1 << 18) for _ in range(3)])} == known
    assert _lend(pool, 1 << 21).all() in (True, False) and pool.bytes == 0


def test_memory_that_is_not_wanted_for_long_goes_back() -> None:
    pool = memory._Pool(patience=8)
    _lend(pool, 1 << 20)
    for lent in range(2, 17):
        _lend(pool, 1 << 15)
        assert (pool.bytes > 1 << 20) == (lent < 16)


def test_whoever_holds_very_many_arrays_does_without() -> None:
    pool = memory._Pool()
    held = [_lend(pool, 1 << 15) for _ in range(memory._MOST_PIECES + 5)]
    assert pool.bytes == memory._MOST_PIECES << 15
    assert len({_place(array) for array in held}) == len(held)


@pytest.mark.parametrize("least", [8192, 8193, 10_000, 40_001, 65_535, 999_999, 123_456_789])
def test_memory_is_at_most_a_quarter_larger_than_asked_for(least: int) -> None:
    pool = memory._Pool()
    _lend(pool, least)
    assert least <= pool.bytes <= 1.25 * least


def test_nobody_waits_for_a_lock_that_whoever_collects_garbage_may_hold() -> None:
    array = memory.empty(LARGE, np.float32)
    with memory._pool._lock:
        other = memory.empty(LARGE, np.float32)
        del array
        third = memory.empty(LARGE, np.float32)
        assert not np.shares_memory(other, third)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_begins_anew_and_the_interpreter_ends_in_silence() -> None:
    program = """
import os, numpy as np
from diffrender import memory
kept = memory.zeros((80, 300), np.float32)
idle = memory.zeros((80, 301), np.float32); del idle
memory._pool._lock.acquire()  # as another thread may at the time of the fork
child = os.fork()
array = memory.empty((80, 300), np.float32)
array.fill(1 if child else 2)
if not child:
    assert not kept.any()
    kept.fill(3)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0 and not kept.any() and (array == 1).all()
memory._pool._lock.release()
class Node: pass
node = Node(); node.itself, node.array = node, array
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_renderings_that_are_kept_stay_as_they_were() -> None:
    camera = dr.Camera.look_at((0.0, 0.5, 3.0), size=(128, 128))
    meshes = [dr.icosphere(3, radius) for radius in (0.6, 0.8, 1.0)]
    grads = np.random.default_rng(0).normal(size=(3, 128, 128)).astype(np.float32)

    def alone(mesh: dr.Mesh, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rendering = dr.render_silhouette(mesh, camera)
        return rendering.alpha.copy(), rendering.backward(grad).vertices.copy()

    expected = [alone(mesh, grad) for mesh, grad in zip(meshes, grads, strict=True)]
    for _ in range(3):  # with memory that has been used
        kept = [dr.render_silhouette(mesh, camera) for mesh in meshes]
        found = [rendering.backward(grad).vertices for rendering, grad in zip(kept, grads, strict=True)]
        for rendering, vertices, (alpha, grad_vertices) in zip(kept, found, expected, strict=True):
            assert alpha.max() > 0.9 and np.array_equal(rendering.alpha, alpha)
            assert grad_vertices.any() and np.array_equal(vertices, grad_vertices)


def test_arrays_in_one_piece_of_memory_are_apart() -> None:
    kinds = (((3, 5), np.float64), ((7,), np.int8), ((0, 4), np.float32), ((1000, 9), np.int32))
    for _ in range(2):
        arrays = [*memory.empties(*kinds), *memory.empties(*kinds)]
        for number, array in enumerate(arrays):
            array.fill(number)
        for number, (array, (shape, dtype)) in enumerate(zip(arrays, kinds * 2, strict=True)):
            assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
            assert array.ctypes.data % 64 == 0 and (array == number).all()


def test_one_piece_of_memory_is_kept_by_any_array_in_it() -> None:
    kinds = (((4321,), np.float64), ((77,), np.int32))
    places = {array.ctypes.data for array in memory.empties(*kinds)}
    assert {array.ctypes.data for array in memory.empties(*kinds)} == places
    held = memory.empties(*kinds)[1]
    held.fill(5)
    others = [memory.empties(*kinds) for _ in range(3)]
    for array in (array for arrays in others for array in arrays):
        array.fill(6)
    assert (held == 5).all()


def test_arrays_are_lent_again_themselves_once_nothing_holds_any_of_them() -> None:
    layout = memory.Layout(((100, 3), np.float32), ((7,), np.int64))
    first = [*map(id, memory.arrays_of(layout))]
    assert [*map(id, memory.arrays_of(layout))] == first
    held = memory.arrays_of(layout)[1]
    assert id(held) in first and not {*map(id, memory.arrays_of(layout))} & {*first}
    view, held = held[2:], None
    assert not {*map(id, memory.arrays_of(layout))} & {*first}
    del view
    both = [memory.arrays_of(layout), memory.arrays_of(layout)]
    assert len({id(array) for arrays in both for array in arrays}) == 4
    assert first in ([*map(id, arrays)] for arrays in both)


def test_fresh_arrays_are_no_ones() -> None:
    layout = memory.Layout(((100, 3), np.float32), ((7,), np.int64))
    for array in memory.fresh_arrays_of(layout):
        array.flags.writeable = False
    assert all(array.flags.writeable for array in memory.fresh_arrays_of(layout))
