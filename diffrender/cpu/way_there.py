"""The way from points and attributes to values at fragments, and to a blended image of them: its stages in one kernel."""

from ..jit import kernel
from ..spin import await_tasks, claim, lead, publish
from .blend import blend_pairs
from .fragments import fill_values


@kernel
def interpolate_all(
    share,
    shares,
    board,
    stages,
    points,
    faces,
    attributes,
    attribute_faces,
    perspective,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    place_faces,
    place_corners,
    places,
    nothing,
    planes,
    values,
    pixels,
    sides,
    areas,
    changed,
    floor,
    background,
    jumps,
):
    """Do `fill_values` and, with a background (C,), not (0,), `blend_pairs` into the first rows of values, those of the image."""
    if share < 0:
        lead(publish(board))
        return
    seen = (run_ends, run_counts, slots, slot_faces, slot_starts)
    at_places = (place_faces, place_corners, places)
    fill_values(
        stages[0],
        share,
        shares,
        points,
        faces,
        attributes,
        attribute_faces,
        perspective,
        *seen,
        *at_places,
        nothing,
        planes,
        values,
    )
    if len(background) > 0 and await_tasks(stages[0], len(slot_starts), share, board) and claim(stages[1]) == 0:
        image = values[: len(values) - len(place_faces) - 1]
        blend_pairs(pixels, sides, areas, changed, floor, background, values, image, jumps)
