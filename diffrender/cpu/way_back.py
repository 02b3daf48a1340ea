"""The way back from values at fragments, or a blended image of them, to points and attributes: its stages in one kernel."""

from ..jit import kernel
from ..spin import await_tasks, claim, finish, lead, publish
from .blend import add_outlines
from .fragments import (
    add_places,
    finish_attributes,
    finish_points,
    gather_attributes,
    gather_points,
    give_centers,
    sum_centers,
)
from .hard import RING


@kernel
def go_back(
    share,
    shares,
    board,
    stages,
    points,
    faces,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    changed,
    changed_starts,
    changed_of,
    jumps,
    floor,
    background,
    image,
    grad_image,
    changes,
    grad_places,
    attributes,
    attribute_faces,
    perspective,
    ids,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    planes,
    is_begun,
    sums,
    shares_of,
    place_faces,
    place_corners,
    places,
    place_pixels,
    shrinking,
    grad_points,
    grad_attributes,
    of_vertices,
    of_attributes,
):
    """Add to grad_points (V, 3) and grad_attributes (T, C) what grad_image (S, C or more), grad_places (N, C or more) and, of
    changed pixels, changes (M, C or more) give; and fill of_vertices (V, 3) and of_attributes (T, C), or (0, ...), by
    `finish_points` and `finish_attributes`.

    With an `image` (H W, C + 1), not (0, C + 1), changes and grad_places are what `add_outlines` makes of grad_image.
    """
    if share < 0:
        lead(publish(board))
        return
    strips, width = len(slot_starts) - 1, slots.shape[1] - 2 * RING
    given = (attributes, attribute_faces, perspective)
    if claim(stages[0]) == 0:
        if len(image) > 0:
            pairs = (pixels, sides, areas, owners, numbers, cutters, changed, changed_of, jumps)
            of_image = (floor, background, image, grad_image)
            add_outlines(points, faces, width, *pairs, *of_image, changes, grad_places, grad_points)
        finish(stages[0])
    seen = (slots, slot_faces, slot_starts, planes)
    sum_centers(stages[1], share, shares, points, faces, run_ends, run_counts, *seen, grad_image, is_begun, sums)
    if not (await_tasks(stages[0], 1, share, board) and await_tasks(stages[1], strips, share, board)):
        return
    if claim(stages[2]) == 0:
        at_places = (place_faces, place_corners, places, place_pixels, width)
        add_places(points, faces, *at_places, *given, grad_places, shrinking, grad_points, grad_attributes)
        finish(stages[2])
    give_centers(
        stages[3],
        share,
        shares,
        points,
        faces,
        *given,
        ids,
        *seen[1:],
        changed_starts,
        changed,
        changes,
        sums,
        shares_of,
    )
    if not (await_tasks(stages[2], 1, share, board) and await_tasks(stages[3], strips, share, board)):
        return
    if claim(stages[4]) == 0:
        gather_attributes(attribute_faces, slot_faces, slot_starts, shares_of, grad_attributes)
        finish_attributes(grad_attributes, of_attributes)
    if claim(stages[5]) == 0:
        gather_points(faces, slot_faces, slot_starts, shares_of, grad_points)
        finish_points(points, grad_points, of_vertices)
