"""Surfaces laid flat, and photos baked into their textures."""

from dataclasses import replace

import numpy as np
import pytest
from meshes import bumpy

import diffrender as dr
from diffrender.bake import bake
from diffrender.color import linear_to_srgb
from diffrender.mesh import subdivide
from diffrender.sampling import sample
from diffrender.texels import barycentric, cover
from diffrender.unwrap import unwrap

SIDE = 256


def corners(mesh):
    return mesh.uv[mesh.faces_uv].astype(np.float64)


def cross(first, second):
    return first[0] * second[..., 1] - first[1] * second[..., 0]


def scroll():
    """A sheet rolled up one and a half times: its layers look the same way, one above the other."""
    turn, height = np.meshgrid(np.linspace(0, 3 * np.pi, 70), np.linspace(0, 1, 9), indexing="ij")
    radius = 1 + 0.1 * turn
    points = np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], axis=-1).reshape(-1, 3)
    first = (np.arange(69)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.c_[first, first + 1, first + 9], np.c_[first + 1, first + 10, first + 9]])
    return dr.Mesh(points.astype(np.float32), faces)


def folded():
    """A sheet bent to and fro by 20 degrees, then carried over itself sideways: one chart that would cover itself."""
    ramp = np.linspace(0, 4 * np.pi, 160)
    inner, outer = (np.stack([r * np.cos(ramp), r * np.sin(ramp), 0.1 * ramp], axis=1) for r in (0.5, 1))
    points = np.stack([inner, outer], axis=1).reshape(-1, 3)
    first = 2 * np.arange(159)
    faces = np.concatenate([np.c_[first, first + 1, first + 2], np.c_[first + 1, first + 3, first + 2]])
    return dr.Mesh(points.astype(np.float32), faces)


@pytest.mark.parametrize(
    "make", [lambda: subdivide(bumpy(3, np.float32)), scroll, folded], ids=["lump", "scroll", "stairs"]
)
def test_an_unwrapped_surface_covers_no_texel_twice_and_keeps_its_proportions(make):
    mesh = make()
    flat = unwrap(mesh, SIDE)
    np.testing.assert_array_equal(flat.faces, mesh.faces)
    assert flat.uv.min() >= 0 and flat.uv.max() <= 1
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5
    area = np.array([cross(b - a, c - a) for a, b, c in corners(flat) * SIDE])
    claims = np.zeros(SIDE * SIDE, int)
    for (a, b, c), whole in zip(corners(flat) * SIDE, area, strict=True):
        near = np.flatnonzero((abs(x - a[0]) < 60) & (abs(y - a[1]) < 60))
        point = np.stack([x[near], y[near]], axis=1)
        weights = [cross(second - first, point - first) / whole for first, second in ((a, b), (b, c), (c, a))]
        claims[near] += np.min(weights, axis=0) > 1e-3
    assert claims.max() == 1 and claims.mean() > 0.25
    points = flat.vertices[flat.faces].astype(np.float64)
    true = np.linalg.norm(np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), axis=1)
    density = abs(area) / true
    assert density.max() / density.min() < 5.1  # a face looks along its chart's axis with a cosine of 0.2 or more
    assert len(np.unique(np.sign(area))) == 1  # no face lies on its back


def test_charts_keep_their_distance():
    flat = unwrap(subdivide(bumpy(3, np.float32)), SIDE)
    owner, meeting = cover(flat.uv * SIDE, flat.faces_uv, (SIDE, SIDE))
    assert not meeting.any()
    from scipy.ndimage import label
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first = flat.faces_uv[:, [0, 1]].ravel(), flat.faces_uv[:, [1, 2]].ravel()
    count, chart = connected_components(
        coo_matrix((np.ones(len(first[0])), first), (len(flat.uv),) * 2), directed=False
    )
    assert count > 6
    owners = np.where(owner >= 0, chart[flat.faces_uv[owner, 0]], -1)
    regions, number = label(owner >= 0, np.ones((3, 3)))
    for region in range(1, number + 1):
        assert len(np.unique(owners[regions == region])) == 1


def test_texels_know_their_place_on_the_surface():
    flat = unwrap(bumpy(2, np.float32), SIDE)
    uv = flat.uv.astype(np.float64) * SIDE
    owner, _ = cover(uv, flat.faces_uv, (SIDE, SIDE))
    row, column = np.nonzero(owner >= 0)
    faces = owner[row, column]
    center = np.stack([column, row], axis=1) + 0.5
    weights = barycentric(uv, flat.faces_uv[faces], center)
    assert weights.min() > -1e-9
    np.testing.assert_allclose(np.einsum("nk,nkc->nc", weights, uv[flat.faces_uv[faces]]), center, atol=1e-9)


@pytest.mark.parametrize("size, message", [(15, "from 16 to 8,192 px, got 15"), (8193, "got 8193"), (1.5, "got 1.5")])
def test_sizes_out_of_range_are_shown(size, message):
    for function in (lambda: unwrap(dr.icosphere(1), size), lambda: bake(dr.icosphere(1), [], size)):
        with pytest.raises(ValueError, match=message):
            function()


def test_a_texture_too_small_for_its_charts_is_refused():
    loose = subdivide(dr.icosphere(2))
    mesh = dr.Mesh(loose.vertices[loose.faces].reshape(-1, 3), np.arange(loose.faces.size).reshape(-1, 3))
    with pytest.raises(ValueError, match=r"a texture of 16 px is too small for 1,280 charts"):
        unwrap(mesh, 16)


def test_a_texture_holds_what_two_triangles_cannot():
    square = dr.Mesh(np.float32([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]), np.array([(0, 1, 2), (0, 2, 3)]))
    camera = dr.Camera.look_at((0, 0, 4), size=(120, 120), fov_degrees=32)
    y, x = np.mgrid[:120, :120] / 120
    photo = np.stack([0.5 + 0.3 * np.sin(20 * x), 0.5 + 0.3 * np.cos(25 * y), 0.3 + 0.2 * np.sin(15 * (x + y))], axis=2)
    view = dr.View(photo, dr.render_silhouette(square, camera).alpha, camera)
    baked = bake(square, [view], 128)
    assert baked.vertex_colors is None and baked.texture.wrap == "clamp"
    inner = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 2))
    points = np.c_[inner, np.zeros(500)]
    above = (inner[:, 1] > inner[:, 0]).astype(int)
    place = square.vertices[square.faces][above].astype(np.float64)
    weights = barycentric(place[..., :2].reshape(-1, 2), np.arange(1500).reshape(-1, 3), inner)
    np.testing.assert_allclose(np.einsum("nk,nkc->nc", weights, place), points, atol=1e-9)
    uv = np.einsum("nk,nkc->nc", weights, baked.uv[baked.faces_uv][above])
    from diffrender.camera import project

    pixel = project(points, camera)
    expected = sample(dr.Texture(photo, "clamp"), pixel[:, :2] / 120)
    error = np.abs(linear_to_srgb(sample(baked.texture, uv)) - linear_to_srgb(expected))
    assert error.mean() < 0.01 and error.max() < 0.05


def test_what_no_view_sees_has_the_vertices_colors_and_nothing_else_comes_in():
    ball = dr.icosphere(3)
    green = dr.Mesh(ball.vertices, ball.faces, np.tile(np.float32([0.05, 0.6, 0.05]), (len(ball.vertices), 1)))
    camera = dr.Camera.look_at((0, 0, 4), size=(90, 90))
    mask = dr.render_silhouette(ball, camera, dr.Soft(sigma=1e-3)).alpha > 0.5
    red = np.where(mask[..., None], [0.6, 0.05, 0.05], [0, 0, 1.0])  # before blue
    baked = bake(green, [dr.View(red, mask, camera)], 128)
    image = baked.texture.image
    assert image[..., 2].max() < 0.06  # neither the background nor what lies between charts
    colors = baked.with_vertex_colors().vertex_colors
    np.testing.assert_allclose(
        colors[ball.vertices[:, 2] > 0.5], [[0.6, 0.05, 0.05]] * (ball.vertices[:, 2] > 0.5).sum(), atol=0.01
    )
    np.testing.assert_allclose(
        colors[ball.vertices[:, 2] < -0.1], [[0.05, 0.6, 0.05]] * (ball.vertices[:, 2] < -0.1).sum(), atol=0.01
    )


def test_a_piece_smaller_than_a_texel_keeps_its_color():
    ball = dr.icosphere(2)
    specks = [ball.vertices * np.float32(1e-4) + np.float32([x, y, -3]) for x in (-0.4, 0, 0.4) for y in (-0.4, 0, 0.4)]
    vertices = np.concatenate([ball.vertices, *specks])
    faces = np.concatenate([ball.faces + number * len(ball.vertices) for number in range(10)])
    colors = np.full_like(vertices, 0.1)
    colors[len(ball.vertices) :] = [0.9, 0, 0]
    camera = dr.Camera.look_at((0, 0, 4), size=(60, 60))
    mask = dr.render_silhouette(ball, camera).alpha
    baked = bake(dr.Mesh(vertices, faces, colors), [dr.View(np.full((60, 60, 3), 0.1), mask, camera)], 64)
    found = baked.with_vertex_colors().vertex_colors[len(ball.vertices) :]
    np.testing.assert_allclose(found, colors[len(ball.vertices) :], atol=0.02)


def test_bad_input_of_bake_is_shown():
    ball = unwrap(dr.icosphere(1), 64)
    camera = dr.Camera.look_at((0, 0, 4), size=(20, 20))
    view = dr.View(np.zeros((20, 20, 3)), np.ones((20, 20)), camera)
    with pytest.raises(ValueError, match="at least one view, got none"):
        bake(ball, [], 64)
    with pytest.raises(ValueError, match=r"bake needs uv in \[0, 1\], got"):
        bake(replace(ball, uv=ball.uv + 1), [view], 64)


def test_a_mesh_with_uv_keeps_them():
    ball = unwrap(dr.icosphere(2), 64)
    camera = dr.Camera.look_at((0, 0, 4), size=(60, 60))
    mask = dr.render_silhouette(ball, camera).alpha
    baked = bake(ball, [dr.View(np.full((60, 60, 3), 0.25), mask, camera)], 64)
    np.testing.assert_array_equal(baked.uv, ball.uv)
    np.testing.assert_allclose(baked.texture.image, 0.25, atol=1e-3)
