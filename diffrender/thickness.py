"""How thick the object of one silhouette is likely to be: round where the silhouette is round."""

import numpy as np

_GRID = 160  # px of the long side that the equation is solved on; thickness is smooth


def half_thickness(mask: np.ndarray) -> np.ndarray:
    """Return the half thickness (H, W) in px of a solid with the silhouette `mask` (H, W), 0 outside it.

    sqrt(u) for laplace(u) = -4 inside, u = 0 outside: a disc becomes exactly a sphere, a band an elliptic cylinder,
    thin parts stay thin. After Gorelick et al., Shape Representation and Classification Using the Poisson Equation, 2006.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    from .views.photo import resize

    height, width = mask.shape
    scale = min(1.0, _GRID / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    inside = np.pad(resize(mask, size) > 0.5, 1)
    if not inside.any():
        return np.zeros_like(mask)
    index = np.full(inside.shape, -1)
    count = int(inside.sum())
    index[inside] = np.arange(count)
    rows, columns = [np.arange(count)], [np.arange(count)]
    values = [np.full(count, 4.0)]
    for shift in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        neighbour = np.roll(index, shift, (0, 1))[inside]
        present = neighbour >= 0
        rows.append(np.flatnonzero(present))
        columns.append(neighbour[present])
        values.append(np.full(int(present.sum()), -1.0))
    matrix = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, count)).tocsc()
    solution = np.zeros(inside.shape)
    solution[inside] = spsolve(matrix, np.full(count, 4.0))
    squared = resize(solution[1:-1, 1:-1].astype(np.float32), (height, width))
    return np.sqrt(np.maximum(squared, 0)) / np.float32(scale)
