"""How thick the object of one silhouette is likely to be: round where the silhouette is round."""

import numpy as np


def squared_half_thickness(mask: np.ndarray) -> np.ndarray:
    """Return the squared half thickness (H, W) in px^2 of a solid with the silhouette `mask` (H, W), negative outside.

    It is u with laplace(u) = -4 inside and 0 on the boundary: a disc becomes exactly a sphere, a band an elliptic
    cylinder, thin parts stay thin. After Gorelick et al., Shape Representation and Classification Using the Poisson
    Equation, 2006.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    coverage = np.pad(mask, 1)
    inside = coverage > 0.5
    if not inside.any():
        raise ValueError("the mask is empty: no pixel is above 0.5")
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
    matrix = coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, count)
    ).tocsc()
    squared = np.zeros(inside.shape)
    squared[inside] = spsolve(matrix, np.full(count, 4.0))
    # u is steep at the boundary and steps with its pixels. So write it as distance to the boundary times a slope, both
    # smooth across it: then the zero lies on a smooth edge.
    within, (rows_in, columns_in) = distance_transform_edt(~inside, return_indices=True)
    distance = distance_transform_edt(inside)
    slope = np.where(inside, squared / np.maximum(distance, 1), 0)[rows_in, columns_in]
    signed = gaussian_filter(distance - within, 0.8)
    return (signed * gaussian_filter(slope, 1.5))[1:-1, 1:-1]
