"""The nearest face at each pixel's centre, and the one below where outlines ask for it: what `diffrender.cpu.hard` does.

Work comes in entries, a face and one of the tiles of the image that its box touches, numbered face by face: a thread each,
however large faces are. The nearest 1 / depth is a maximum and the first of the faces that have it a minimum, which come out
the same in any order. All of it is in float64, as on the CPU: which face is seen must not depend on the backend.
"""

import numpy as np
from numba import cuda

from ..cpu.hard import NEARER, RING, TILE
from ..formulas.constants import COORDINATE_LIMIT
from ..formulas.edge import is_inside, side_of
from ..formulas.triangle import pixel_range, signed_area_twice
from .inspect import BAD_VERTICES, FIRST_VERTEX, adopt_face, inspect_row
from .jit import device, kernel

_EQUAL = 1 - 1e-14  # of depths: the compiler may round the second turn in another way than the first
NOBODY = np.int32(2**31 - 1)  # more than any number of a face, of a pixel or of its neighbour


@kernel
def clear(nearest, ids, under, depths, counts, owners, marked, facing, report):
    """Set images to what they are before anything is drawn: flattened ones of (H + 2) (W + 2) and of H W pixels."""
    for i in range(cuda.grid(1), max(len(nearest), len(counts)), cuda.gridsize(1)):
        if i < len(nearest):
            nearest[i] = 0.0
            ids[i] = NOBODY
        if i < len(under):
            under[i] = NOBODY
            depths[i] = 0.0
            owners[i] = NOBODY
        if i < len(counts):
            counts[i] = 0
        if i < len(marked):
            marked[i] = 0
        if i < len(facing):
            facing[i] = 0
        if i < len(report):
            report[i] = 0


@kernel
def prepare(vertices, given, known, height, width, cull_backfaces, faces, points, signs, bounds, counts, report):
    """Fill points (V, 3), x px, y px, 1 / depth, and of each face its sign, its bounds and how many tiles these touch.

    See `diffrender.cpu.hard.prepare_faces`. A NaN counts as a face that is not there. `given` are faces of any integer kind, for
    `faces` see `adopt_face`.
    """
    columns, rows = np.float64(width + 2 * RING), np.float64(height + 2 * RING)
    for i in range(cuda.grid(1), max(len(vertices), len(faces)), cuda.gridsize(1)):
        if i < len(vertices):
            depth = np.float64(vertices[i, 2])
            points[i, 0] = vertices[i, 0]
            points[i, 1] = vertices[i, 1]
            points[i, 2] = 1.0 / depth if depth > 0.0 else 0.0
            inspect_row(i, vertices, report, BAD_VERTICES, FIRST_VERTEX)
        if i < len(faces):
            adopt_face(i, given, len(vertices), known, faces, report)
            sign, first_x, last_x, first_y, last_y = 0, 0, -1, 0, -1
            a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
            ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
            bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
            cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
            left, right, top, bottom = min(ax, bx, cx), max(ax, bx, cx), min(ay, by, cy), max(ay, by, cy)
            area = signed_area_twice(ax, ay, bx, by, cx, cy)
            counts_here = area < 0.0 or (area > 0.0 and not cull_backfaces)
            counts_here = counts_here and vertices[a, 2] > 0 and vertices[b, 2] > 0 and vertices[c, 2] > 0
            if counts_here and min(left, top) >= -COORDINATE_LIMIT and max(right, bottom) <= COORDINATE_LIMIT:
                sign = 1 if area > 0.0 else -1
                first_x, last_x = pixel_range(left + RING, right + RING, columns)
                first_y, last_y = pixel_range(top + RING, bottom + RING, rows)
            tiles = 0
            if first_x <= last_x and first_y <= last_y:
                tiles = (last_x // TILE - first_x // TILE + 1) * (last_y // TILE - first_y // TILE + 1)
            signs[i] = sign
            bounds[i, 0] = first_x
            bounds[i, 1] = last_x
            bounds[i, 2] = first_y
            bounds[i, 3] = last_y
            counts[i] = tiles


@device
def face_of_entry(offsets, entry):
    """Return the face that an entry belongs to."""
    low, high = 0, len(offsets) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if offsets[middle] <= entry:
            low = middle
        else:
            high = middle
    return low


@device
def box_of_entry(bounds, offsets, face, entry):
    """Return the pixels x0 x1 y0 y1, counted from the ring, of a face's box in the tile of an entry, and the tile's place."""
    x0, x1, y0, y1 = bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3]
    across = x1 // TILE - x0 // TILE + 1
    number = int(entry - offsets[face])
    tile_x, tile_y = x0 // TILE + number % across, y0 // TILE + number // across
    return (
        max(x0, tile_x * TILE),
        min(x1, tile_x * TILE + TILE - 1),
        max(y0, tile_y * TILE),
        min(y1, tile_y * TILE + TILE - 1),
        tile_x,
        tile_y,
    )


@kernel
def draw_ids(points, faces, signs, bounds, offsets, choosing, nearest, ids):
    """Raise nearest (H + 2, W + 2) to the largest 1 / depth, or, when `choosing`, lower ids to the first face that has it:
    faces seen from their front come first, those seen from their back are counted from F on."""
    count = len(faces)
    for entry in range(cuda.grid(1), offsets[count], cuda.gridsize(1)):
        face = face_of_entry(offsets, entry)
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        number = face + count
        if signs[face] < 0:
            b, c = c, b
            number = face
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        inverse = 1.0 / signed_area_twice(ax, ay, bx, by, cx, cy)
        start = points[a, 2]
        to_b, to_c = (points[b, 2] - start) * inverse, (points[c, 2] - start) * inverse
        across, down = to_b * (cy - ay) - to_c * (by - ay), to_c * (bx - ax) - to_b * (cx - ax)
        x0, x1, y0, y1, _, _ = box_of_entry(bounds, offsets, face, entry)
        for row in range(y0, y1 + 1):
            y = row - RING + 0.5
            for column in range(x0, x1 + 1):
                x = column - RING + 0.5
                # Fused by hand: both turns must get the same bits. The sides of faces in float32 are exact in any order.
                near = cuda.fma(y - ay, down, cuda.fma(x - ax, across, start))
                known = nearest[row, column]
                if not ((near == known) if choosing else (near > known)):
                    continue
                if not (
                    is_inside(ax, ay, bx, by, x, y)
                    and is_inside(bx, by, cx, cy, x, y)
                    and is_inside(cx, cy, ax, ay, x, y)
                ):
                    continue
                if choosing:
                    cuda.atomic.min(ids, (row, column), number)
                else:
                    cuda.atomic.max(nearest, (row, column), near)


@kernel
def name_faces(count, ids, facing):
    """Turn numbers in ids (H + 2, W + 2) into those of `count` faces, or -1, and note in facing (2,) whether any within the
    image is seen from its front, and any from its back."""
    height, width = ids.shape
    for i in range(cuda.grid(1), height * width, cuda.gridsize(1)):
        row, column = i // width, i % width
        number = ids[row, column]
        if number == NOBODY:
            ids[row, column] = -1
            continue
        side = 1 if number >= count else 0
        if row >= RING and row < height - RING and column >= RING and column < width - RING:
            facing[side] = 1
        if side == 1:
            ids[row, column] = number - count


@device
def sign_seen(facing):
    """Return the sign of all faces that are seen, 0 if there are both or none."""
    return 0 if facing[0] == facing[1] else (1 if facing[1] != 0 else -1)


@kernel
def draw_under(points, faces, signs, bounds, offsets, facing, marked, starts, nearest, choosing, under, depths):
    """Raise depths (H W,) to the 1 / depth next below the nearest one where pixels have outlines, starts (H W + 1,), all of them
    in tiles that are marked; or, when `choosing`, lower under (H W,) to the first face that has it. See
    `diffrender.cpu.hard.draw_under`."""
    count, seen_sign, width = len(faces), sign_seen(facing), nearest.shape[1] - 2 * RING
    height = nearest.shape[0] - 2 * RING
    for entry in range(cuda.grid(1), offsets[count], cuda.gridsize(1)):
        face = face_of_entry(offsets, entry)
        if seen_sign != 0 and signs[face] != seen_sign:
            continue
        x0, x1, y0, y1, tile_x, tile_y = box_of_entry(bounds, offsets, face, entry)
        if marked[tile_y, tile_x] == 0:
            continue
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if signs[face] < 0:
            b, c = c, b
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        qa, qb, qc = points[a, 2], points[b, 2], points[c, 2]
        for row in range(max(y0, RING), min(y1, height) + 1):
            for column in range(max(x0, RING), min(x1, width) + 1):
                pixel = (row - RING) * width + column - RING
                if starts[pixel] == starts[pixel + 1] or max(qa, qb, qc) < NEARER * depths[pixel]:
                    continue
                x, y = column - RING + 0.5, row - RING + 0.5
                if not (
                    is_inside(ax, ay, bx, by, x, y)
                    and is_inside(bx, by, cx, cy, x, y)
                    and is_inside(cx, cy, ax, ay, x, y)
                ):
                    continue
                side0, side1 = side_of(bx, by, cx, cy, x, y), side_of(cx, cy, ax, ay, x, y)
                side2 = side_of(ax, ay, bx, by, x, y)
                near = cuda.fma(side2, qc, cuda.fma(side1, qb, side0 * qa)) / (side0 + side1 + side2)
                if near >= NEARER * nearest[row, column]:
                    continue
                if not choosing:
                    cuda.atomic.max(depths, pixel, near)
                elif near >= _EQUAL * depths[pixel]:
                    cuda.atomic.min(under, pixel, face)


@kernel
def crop(ids, within):
    """Fill within (H, W) with ids (H + 2, W + 2) without the ring."""
    width = within.shape[1]
    for i in range(cuda.grid(1), within.size, cuda.gridsize(1)):
        within[i // width, i % width] = ids[i // width + RING, i % width + RING]


@kernel
def invert(nearest, depth):
    """Fill depth (H, W) with that at pixels' centres, infinity where nothing is seen."""
    width = depth.shape[1]
    for i in range(cuda.grid(1), depth.size, cuda.gridsize(1)):
        inverse = nearest[i // width + RING, i % width + RING]
        depth[i // width, i % width] = 1.0 / inverse if inverse > 0.0 else np.inf
