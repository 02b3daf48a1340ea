"""The outlines in a pixel, joined to those of one sheet, and which sheets cover its centre."""

import math

import numpy as np

from ..formulas.edge import is_inside, nearest_on_edge
from ..jit import borrower, subroutine
from .half_edges import ends_of
from .hard import NEARER
from .sheet import depth_along, lies_beyond, outward_ends, same_depth, walk

MOST = 32  # outlines and seams in one pixel; more are left out, seams first
_STEPS = 64  # faces round a vertex
# Columns of what is known of each candidate in a pixel, relative to its centre.
AX, AY, BX, BY, T0, T1, SHARE, DEPTH, DISTANCE = range(9)


@borrower
def _read(points, faces, signs, half, t0, t1, px, py, here, known, inner, k):
    a, b = outward_ends(faces, signs, half)
    ax, ay, bx, by = points[a, 0] - px, points[a, 1] - py, points[b, 0] - px, points[b, 1] - py
    t = nearest_on_edge(ax, ay, bx, by)
    x, y = ax + t * (bx - ax), ay + t * (by - ay)
    here[k] = half
    known[k, AX], known[k, AY], known[k, BX], known[k, BY] = ax, ay, bx, by
    known[k, T0], known[k, T1] = t0, t1
    known[k, SHARE], known[k, DISTANCE] = t, x * x + y * y
    known[k, DEPTH] = (1.0 - t) * points[a, 2] + t * points[b, 2]
    inner[k] = is_inside(points[a, 0], points[a, 1], points[b, 0], points[b, 1], px, py)


@borrower
def read_candidates(points, faces, signs, ring, halves, spans, before, last, px, py, here, across, known, inner):
    """Fill here (M,) with the half edges of a pixel's candidates, known (M, 9), and inner (M,) with whether the pixel's centre is
    on the inner side, and of seams across (M,) with the other half edges; return how many outlines there are, and how many
    candidates, seams after them."""
    outlines, count, candidate = 0, 0, last
    while candidate >= 0 and count < MOST:
        half = np.int64(halves[candidate])
        if half >= 0:
            outlines += 1
        else:
            half = -1 - half
        across[count] = ring[half]
        t0, t1 = spans[candidate, 0], spans[candidate, 1]
        _read(points, faces, signs, half, t0, t1, px, py, here, known, inner, count)
        candidate = np.int64(before[candidate])
        count += 1
    return outlines, count


@borrower
def nearest_point(known, k):
    """Return the point of a candidate's edge that is nearest to the pixel's centre."""
    t = known[k, SHARE]
    return (
        known[k, AX] + t * (known[k, BX] - known[k, AX]),
        known[k, AY] + t * (known[k, BY] - known[k, AY]),
    )


@borrower
def _angle_at(points, faces, linked, face, hub):
    """Return the angle in the image that a face has at one of its corners."""
    corner = 0 if linked[face, 0] == hub else (1 if linked[face, 1] == hub else 2)
    v, p, q = faces[face, corner], faces[face, (corner + 1) % 3], faces[face, (corner + 2) % 3]
    ux, uy = points[p, 0] - points[v, 0], points[p, 1] - points[v, 1]
    wx, wy = points[q, 0] - points[v, 0], points[q, 1] - points[v, 1]
    return math.atan2(abs(ux * wy - uy * wx), ux * wx + uy * wy)


@subroutine
def goes_on(points, faces, linked, signs, ring, half, other):
    """Whether an outline goes on from one half edge to another: round one of its ends lie faces of one sheet, up to there.

    Where they go round more than once, the sheet covers itself: there the outline goes on below it.
    """
    u, v = ends_of(linked, other)
    i, j = ends_of(linked, half)
    for end in range(2):
        hub = j if end else i
        if hub != u and hub != v:
            continue
        current, angle = half, 0.0
        for _ in range(_STEPS):
            face, corner = current // 3, current % 3
            angle += _angle_at(points, faces, linked, face, hub)
            # The other edge of the face at the hub.
            turn = 1 if ends_of(linked, current)[1] == hub else 2
            current = 3 * face + (corner + turn) % 3
            x, y = ends_of(linked, current)
            if min(x, y) == min(u, v) and max(x, y) == max(u, v):
                return angle < 2.0 * math.pi
            across = np.int64(ring[current])
            while across != current and not lies_beyond(linked, signs, current, across):
                across = np.int64(ring[across])
            if across == current:
                break
            current = across
    return False


@borrower
def _are_of_one(points, faces, linked, signs, ring, here, known, inner, k, other, px, py):
    """Whether two candidates are outlines of one sheet."""
    if goes_on(points, faces, linked, signs, ring, here[k], here[other]):
        return True
    # The two sides of something thin beside the centre: parts of one sheet if one leads to the other.
    if inner[k] == inner[other]:
        return False
    far, near = (k, other) if inner[k] else (other, k)
    face = here[far] // 3
    _, arrived = walk(points, faces, linked, signs, ring, face, px, py)
    if arrived:
        return False
    x, y = nearest_point(known, near)
    depth, _ = depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
    return same_depth(depth, known[near, DEPTH])


@borrower
def join_sheets(points, faces, linked, signs, ring, here, known, inner, count, px, py, sheets, closest):
    """Fill sheets (M,) with one number for all candidates of a sheet, that of one of them, and closest (M,) with the candidate of
    each such number that is nearest to the pixel's centre, or -1."""
    for k in range(count):
        sheets[k], closest[k] = k, -1
        for other in range(k):
            old, new = sheets[k], sheets[other]
            if old != new and _are_of_one(points, faces, linked, signs, ring, here, known, inner, k, other, px, py):
                for third in range(k + 1):
                    if sheets[third] == old:
                        sheets[third] = new
    for k in range(count):
        at = closest[sheets[k]]
        # Edges meet in vertices, where a texture may end: then the first one has it, whatever the rounding.
        if at < 0 or known[k, DISTANCE] < NEARER * known[at, DISTANCE]:
            closest[sheets[k]] = k


@borrower
def _turn(known, k, other):
    """Return the cross product of the directions of two candidates' edges."""
    ux, uy = known[k, BX] - known[k, AX], known[k, BY] - known[k, AY]
    return ux * (known[other, BY] - known[other, AY]) - uy * (known[other, BX] - known[other, AX])


@borrower
def _holds_center(known, inner, sheets, count, at):
    """Whether the pixel's centre is within the sheet whose nearest candidate is `at`.

    At a corner both edges are equally near: the centre is in a convex one if it is on both inner sides.
    """
    holds = inner[at]
    for k in range(count):
        if k != at and sheets[k] == sheets[at] and known[k, DISTANCE] == known[at, DISTANCE]:
            first, second = (k, at) if known[at, SHARE] == 0.0 else (at, k)
            is_convex = _turn(known, first, second) > 0.0
            holds = (inner[at] and inner[k]) if is_convex else (inner[at] or inner[k])
    return holds


@borrower
def find_front(
    points,
    faces,
    linked,
    signs,
    ring,
    here,
    known,
    inner,
    sheets,
    closest,
    count,
    px,
    py,
    over,
    center_in,
    center_depth,
):
    """Fill center_in (M,) and center_depth (M,) with whether each sheet covers the pixel's centre, and at which 1 / depth; return
    the sheet that is seen there, -1 if none is: what is seen has 1 / depth `over`."""
    front, foremost = np.int64(-1), NEARER * over
    for sheet in range(count):
        center_in[sheet] = False
        at = closest[sheet]
        if at < 0 or not _holds_center(known, inner, sheets, count, at):
            continue
        depth, _ = depth_along(points, faces, linked, signs, ring, here[at] // 3, px, py)
        # A sheet over what is seen is not there, whatever rounding says of a sliver.
        center_in[sheet], center_depth[sheet] = NEARER * depth <= over, depth
        if center_in[sheet] and depth >= foremost:
            front, foremost = np.int64(sheet), depth
    return front
