"""All boundaries that are seen in an image: one kernel, since some stages of the search take no longer than to wake threads."""

from ..jit import kernel, prefer_wide_vectors
from ..spin import await_tasks, claim, lead, publish
from .cross import finish_boundaries, look_for_boundaries
from .hard import ROWS, draw_under
from .resolve import resolve_outlines


@kernel
def find_boundaries(
    share,
    shares,
    board,
    stages,
    points,
    faces,
    linked,
    signs,
    ring,
    pieces,
    charts,
    heads,
    seconds,
    bounds,
    starts,
    entries,
    seen_sign,
    nearest,
    ids,
    run_ends,
    farthest,
    marked_tiles,
    last,
    order,
    under,
    depths,
    halves,
    spans,
    before,
    totals,
    suspects,
    suspect_counts,
    portions,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    place_faces,
    place_corners,
    places,
    place_pixels,
    changed,
    changed_starts,
    changed_of,
    found,
):
    """Do `look_for_boundaries`, `draw_under`, `resolve_outlines` and `finish_boundaries`, whose results found (4,) are.

    With less room for candidates than totals (2,) has in the end, or for half as many pairs, that is all.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    surface = (points, faces, linked, signs, ring)
    candidates = (halves, spans, before)
    pairs = (pixels, sides, areas, owners, numbers, cutters)
    filled = (*pairs, place_faces, place_corners, places, place_pixels)
    into = (nearest, ids, farthest, marked_tiles, last, order, under, depths, *candidates, totals)
    look_for_boundaries(
        stages[0], *surface, pieces, heads, seconds, seen_sign, *into, run_ends, suspects, suspect_counts
    )
    if not await_tasks(stages[0], (len(nearest) - 2) // ROWS + 2, share, board):
        return
    # Portions of pixels have a share of the room for pairs, and not all have as many.
    if totals[0] > len(halves) or 2 * totals[0] > len(pixels):
        return
    strips = len(starts) - 1
    draw_under(
        stages[1],
        share,
        shares,
        points,
        faces,
        signs,
        bounds,
        starts,
        entries,
        seen_sign,
        marked_tiles,
        last,
        nearest,
        ids,
        under,
        depths,
    )
    if not await_tasks(stages[1], strips, share, board):
        return
    binned, around = (bounds, starts, entries), (nearest, ids, under, last, order[: totals[1]])
    resolve_outlines(stages[2], *surface, charts, *binned, seen_sign, *around, *candidates, *filled, portions)
    if await_tasks(stages[2], len(portions), share, board) and claim(stages[3]) == 0:
        of_pixels = (last, halves, before)
        found[0], found[1], found[2], found[3] = finish_boundaries(
            portions, *surface, ids, suspects, suspect_counts, *of_pixels, *filled, changed, changed_starts, changed_of
        )
