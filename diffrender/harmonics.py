"""Spherical harmonics of second order: light from all around, and what a matt surface makes of it."""

import numpy as np

# Of Y_00; of Y_1m; of xy, yz and xz; of 3 z^2 - 1; of x^2 - y^2.
_Y0, _Y1, _Y2, _Y20, _Y22 = (
    0.28209479177387814,
    0.4886025119029199,
    1.0925484305920792,
    0.31539156525252,
    0.5462742152960396,
)
# The clamped cosine's share of each band, over pi. Ramamoorthi & Hanrahan, eq. 8: pi, 2 pi / 3, pi / 4.
_COSINE = np.repeat([1.0, 2 / 3, 1 / 4], [1, 3, 5])[:, None]


def sh_basis(directions: np.ndarray) -> np.ndarray:
    """Return the nine real spherical harmonics (N, 9) in unit directions (N, 3), x, y, z being the world's axes.

    In the order Y_00, Y_1-1, Y_10, Y_11, Y_2-2, Y_2-1, Y_20, Y_21, Y_22, which go like 1, y, z, x, xy, yz, 3 z^2 - 1, xz and
    x^2 - y^2, all with positive factors. Ramamoorthi & Hanrahan 2001, eq. 3.

    >>> import numpy as np
    >>> sh_basis(np.array([(0.0, 0.0, 1.0), (0.6, 0.8, 0.0)])).round(4)
    array([[ 0.2821,  0.    ,  0.4886,  0.    ,  0.    ,  0.    ,  0.6308,
             0.    ,  0.    ],
           [ 0.2821,  0.3909,  0.    ,  0.2932,  0.5244,  0.    , -0.3154,
             0.    , -0.153 ]])
    """
    return np.stack(_basis(np.asarray(directions, np.float64).T), axis=1)


def sh_shading(normals: np.ndarray, sh: np.ndarray) -> np.ndarray:
    """Return what a white, matt surface shows (3, V), irradiance / pi, for unit normals (3, V) under light sh (9, 3)."""
    shown = np.zeros_like(normals)
    for value, coefficients in zip(_basis(normals), sh * _COSINE, strict=True):
        shown += coefficients[:, None] * value
    return shown


def sh_shading_backward(normals: np.ndarray, sh: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry grad (3, V) back to the normals (3, V), as if the polynomials went on off the sphere, and to sh (9, 3)."""
    # Row by row: an array of all nine is so large that the system takes its memory back each time.
    grad_sh = np.stack([(grad * value).sum(axis=1) for value in _basis(normals)]) * _COSINE
    g = [row[0] * grad[0] + row[1] * grad[1] + row[2] * grad[2] for row in sh * _COSINE]
    x, y, z = normals
    grad_x = _Y1 * g[3] + _Y2 * (g[4] * y + g[7] * z) + 2 * _Y22 * g[8] * x
    grad_y = _Y1 * g[1] + _Y2 * (g[4] * x + g[5] * z) - 2 * _Y22 * g[8] * y
    grad_z = _Y1 * g[2] + _Y2 * (g[5] * y + g[7] * x) + 6 * _Y20 * g[6] * z
    return np.stack([grad_x, grad_y, grad_z]), grad_sh


def sh_shading_jvp(normals: np.ndarray, sh: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return how `sh_shading` (3, V) changes as the normals do by moved (3, V): each channel along its gradient."""
    channels = []
    for channel in range(3):
        grad = np.zeros_like(normals)
        grad[channel] = 1
        along, _ = sh_shading_backward(normals, sh, grad)
        channels.append((along * moved).sum(axis=0))
    return np.stack(channels)


def _basis(directions: np.ndarray) -> list[np.ndarray]:
    x, y, z = directions
    return [
        np.full_like(x, _Y0),
        _Y1 * y,
        _Y1 * z,
        _Y1 * x,
        _Y2 * x * y,
        _Y2 * y * z,
        _Y20 * (3 * z * z - 1),
        _Y2 * x * z,
        _Y22 * (x * x - y * y),
    ]
