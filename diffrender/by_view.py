"""Kernels of single views, for a share of the views of a batch: what is summed up keeps the order that it has in one view."""

import numpy as np

from .formulas.constants import PORTION
from .jit import formula, kernel
from .pinhole import project_portion, project_portion_backward
from .ranges import origin_of
from .shading import add_normals_backward, shade_portion_backward
from .spin import lead, publish


@kernel
def project_views(share, shares, board, vertices, starts, K, R, t, pixel, extents):
    """Fill pixel (V, 3) and extents (B, 3) by `project_portion`, of cameras K (B, 3, 3), R (B, 3, 3), t (B, 3), with vertices
    (V, 3) of all views or those that they have in common."""
    if share < 0:
        lead(publish(board))
        return
    for view in range(len(K) * share // shares, len(K) * (share + 1) // shares):
        begin, end, origin = starts[view], starts[view + 1], origin_of(view, starts, vertices)
        seen = vertices[origin : origin + end - begin]
        project_portion(seen, K[view], R[view], t[view], pixel[begin:end], extents[view])


@kernel
def project_views_backward(share, shares, board, vertices, starts, K, R, t, grad_pixel, grad_world, sums):
    """Fill grad_world (V, 3), and add to sums (B, 15), by `project_vertices_backward`."""
    if share < 0:
        lead(publish(board))
        return
    of_portion = np.empty(sums.shape[1])
    for view in range(len(K) * share // shares, len(K) * (share + 1) // shares):
        origin = origin_of(view, starts, vertices) - starts[view]
        for begin in range(starts[view], starts[view + 1], PORTION):
            end = min(begin + PORTION, starts[view + 1])
            seen, grad, into = vertices[origin + begin : origin + end], grad_pixel[begin:end], grad_world[begin:end]
            of_portion.fill(0.0)
            project_portion_backward(seen, K[view], R[view], t[view], grad, into, of_portion)
            _add(of_portion, sums, view)


@formula
def _add(values, rows, row):
    for k in range(len(values)):
        rows[row, k] += values[k]


@kernel
def shade_views_backward(
    share,
    shares,
    board,
    vertices,
    faces,
    vertex_starts,
    face_starts,
    sums,
    unit,
    ambient,
    diffuse,
    softness,
    albedo,
    grad_color,
    grad_albedo,
    grad_sums,
    grad_vertices,
    totals,
):
    """Fill grad_albedo and grad_sums (V, 3), and add to grad_vertices (V, 3) and totals (B, 5), by `shade_vertices_backward` and
    `add_normals_backward`. Meshes are those of all views or one."""
    if share < 0:
        lead(publish(board))
        return
    of_portion = np.empty(totals.shape[1])
    for view in range(len(totals) * share // shares, len(totals) * (share + 1) // shares):
        begin, end, origin = vertex_starts[view], vertex_starts[view + 1], origin_of(view, vertex_starts, vertices)
        first = origin_of(view, face_starts, faces)
        seen = faces[first : first + face_starts[view + 1] - face_starts[view]]
        for here in range(begin, end, PORTION):
            there, shift = min(here + PORTION, end), origin - begin
            of_portion.fill(0.0)
            shade_portion_backward(
                sums[shift + here : shift + there],
                unit,
                ambient,
                diffuse,
                softness,
                albedo[shift + here : shift + there],
                grad_color[here:there],
                grad_albedo[here:there],
                grad_sums[here:there],
                of_portion,
            )
            _add(of_portion, totals, view)
        add_normals_backward(
            vertices[origin : origin + end - begin], seen, grad_sums[begin:end], grad_vertices[begin:end]
        )
