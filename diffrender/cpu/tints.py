"""What kernels of surfaces know of a face beside its plain tint: where in perspective and in its texture a pixel lies."""

import numpy as np

from ..formulas.constants import ZERO
from ..formulas.perspective import perspective_weights
from ..formulas.texture import footprint, texture_density
from ..jit import formula
from ..lanes import LANES, at, fma, put, select, store
from .spans import INVERSE_AREA

# A tint goes on, after what `put_tint` writes first, with the corners' q for the attributes and for the texture; (u, v) of
# corner a, the ways from there to b and c, and the density; then the corners' attributes.
Q, UV, DENSITY = 7, 13, 19
TINT = np.int64(25)


@formula
def slopes_of(geometry, face):
    """Return the derivatives of the barycentric coordinates of a, b and c for x and y."""
    ax, ay, bx, by = geometry[face, 0], geometry[face, 1], geometry[face, 2], geometry[face, 3]
    cx, cy, inverse = geometry[face, 4], geometry[face, 5], geometry[face, INVERSE_AREA]
    return (
        (by - cy) * inverse,
        (cx - bx) * inverse,
        (cy - ay) * inverse,
        (ax - cx) * inverse,
        (ay - by) * inverse,
        (bx - ax) * inverse,
    )


@formula
def _ways(face_uv, uv, face):
    """Return (u, v) of corner a, and the ways from there to b and to c."""
    a, b, c = face_uv[face, 0], face_uv[face, 1], face_uv[face, 2]
    u, v = uv[a, 0], uv[a, 1]
    return u, v, uv[b, 0] - u, uv[b, 1] - v, uv[c, 0] - u, uv[c, 1] - v


@formula
def put_q(face_corners, face, q, tints, tint):
    """Write the corners' q."""
    put(tints, tint, q[face_corners[face, 0]])
    put(tints, tint + 1, q[face_corners[face, 1]])
    put(tints, tint + 2, q[face_corners[face, 2]])


@formula
def put_uv(geometry, face_corners, face, q, face_uv, uv, tints, tint):
    """Write the corners' q for the texture, where they lie in it, and the density there."""
    put_q(face_corners, face, q, tints, tint + Q + 3)
    u, v, bu, bv, cu, cv = _ways(face_uv, uv, face)
    qa, qb, qc = at(tints, tint + Q + 3), at(tints, tint + Q + 4), at(tints, tint + Q + 5)
    density = texture_density(qa, qb, qc, slopes_of(geometry, face), bu, bv, cu, cv)
    put(tints, tint + UV, u)
    put(tints, tint + UV + 1, v)
    put(tints, tint + UV + 2, bu)
    put(tints, tint + UV + 3, bv)
    put(tints, tint + UV + 4, cu)
    put(tints, tint + UV + 5, cv)
    put(tints, tint + DENSITY, density[0])
    put(tints, tint + DENSITY + 1, density[1])
    put(tints, tint + DENSITY + 2, density[2])
    put(tints, tint + DENSITY + 3, density[3])
    put(tints, tint + DENSITY + 4, density[4])
    put(tints, tint + DENSITY + 5, density[5])


@formula
def corner_weights(ba, bb, bc, tints, place):
    """Return `perspective_weights` for the corners' q from a place in the tints on."""
    return perspective_weights(ba, bb, bc, at(tints, place), at(tints, place + 1), at(tints, place + 2))


@formula
def six(array, place):
    """Return six numbers of an array."""
    return (
        at(array, place),
        at(array, place + 1),
        at(array, place + 2),
        at(array, place + 3),
        at(array, place + 4),
        at(array, place + 5),
    )


@formula
def put_place(ba, bb, bc, weight, tints, tint, places):
    """Write where in the texture the pixels of two blocks are; return the weights there and the inverse, and the way from corner
    a in uv."""
    wa, wb, wc, inverse = corner_weights(ba, bb, bc, tints, tint + Q + 3)
    u = fma(wb, at(tints, tint + UV + 2), wc * at(tints, tint + UV + 4))
    v = fma(wb, at(tints, tint + UV + 3), wc * at(tints, tint + UV + 5))
    used = weight > ZERO  # nothing is known of the place where the face has no weight
    store(places, 0, select(used, u + at(tints, tint + UV), ZERO))
    store(places, LANES, select(used, v + at(tints, tint + UV + 1), ZERO))
    return wa, wb, wc, inverse, u, v


@formula
def footprint_of(u, v, tints, tint, inverse, sizes):
    """Return `footprint` for a face's tint and the size of a texture."""
    return footprint(u, v, six(tints, tint + DENSITY), inverse, at(sizes, 0), at(sizes, 1))
