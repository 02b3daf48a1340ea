"""Loose pieces of a solid joined to its largest one, by the way through space that needs the least filling."""

from typing import Any

import numpy as np

_STEP = 1e-3  # cost of a step through what is full: of two ways through it, the shorter one
_EMPTY = 1e-3  # occupancy below which all is alike
_LEAST = 1e-3  # of the largest piece: what is smaller is left alone


def bridges(occupancy: np.ndarray, level: float, allowed: np.ndarray) -> np.ndarray:
    """Return the cells (X, Y, Z) to be filled so that what is above a level becomes one piece, as far as that is possible.

    Cells touch by their faces. A way goes through cells that are `allowed`, and a step costs minus the logarithm of its
    cell's occupancy: so it follows a limb that faded. A piece that no such way leads to stays apart, and one of less than
    a thousandth of the largest is not worth it. Dijkstra, A Note on Two Problems in Connexion with Graphs, 1959.
    """
    from scipy.ndimage import label
    from scipy.sparse.csgraph import dijkstra

    filled = np.zeros(occupancy.shape, bool)
    pieces, count = label(occupancy > level)
    if count < 2:
        return filled
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    main = int(sizes.argmax())
    nodes = np.flatnonzero((allowed | (pieces > 0)).ravel())
    number = np.full(occupancy.size, -1)
    number[nodes] = np.arange(len(nodes))
    steps = _steps(number.reshape(occupancy.shape), _STEP - np.log(np.clip(occupancy.ravel()[nodes], _EMPTY, 1)))
    sources = number[np.flatnonzero(pieces.ravel() == main)]
    cost, before, _ = dijkstra(steps, indices=sources, return_predecessors=True, min_only=True)
    piece_of = pieces.ravel()[nodes]
    way = filled.ravel()
    for piece in np.flatnonzero((sizes >= _LEAST * sizes[main]) & (np.arange(count + 1) != main)):
        mine = np.flatnonzero(piece_of == piece)
        node = int(mine[cost[mine].argmin()])
        while np.isfinite(cost[node]) and before[node] >= 0:
            way[nodes[node]] = True
            node = int(before[node])
    return filled & (pieces == 0)


def _steps(number: np.ndarray, cost: np.ndarray) -> Any:
    """Return the graph (N, N) of steps between neighbours, each as long as the cell stepped into costs."""
    from scipy.sparse import csr_array

    sources, targets = [], []
    for axis in range(3):
        last = number.shape[axis] - 1
        first = np.take(number, range(last), axis).ravel()
        second = np.take(number, range(1, last + 1), axis).ravel()
        both = (first >= 0) & (second >= 0)
        sources += [first[both], second[both]]
        targets += [second[both], first[both]]
    source, target = np.concatenate(sources), np.concatenate(targets)
    return csr_array((cost[target], (source, target)), shape=(len(cost), len(cost)))
