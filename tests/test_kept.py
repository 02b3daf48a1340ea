"""What the way forward leaves for the way back: gradients do not depend on how much of it there is room for."""

import numpy as np
import pytest

import diffrender as dr
from diffrender.cpu import bins, kept, rasterize

# Views in which the faces' blocks take several pieces of the room, and one where what lies inside is opaque.
LARGE = [dr.Camera.look_at(eye, size=(200, 180)) for eye in ((0.5, 0.3, 3), (-2, 1, 2))]
SMALL = [dr.Camera.look_at((0.5, 0.3, 3), size=(90, 70))]
NONE, PIECE, ALL = 0, kept._PIECE, kept._MOST


def silhouette(mesh, cameras):
    rendering = dr.render_silhouette_batch(mesh, cameras, dr.Soft(sigma=1.64))
    return rendering, rendering.alpha


def color(mesh, cameras):
    rendering = dr.render_batch(mesh, cameras, dr.Soft(sigma=1.64, near=2, far=5))
    return rendering, rendering.image


def in_perspective(mesh, cameras):
    rendering = dr.render_batch(mesh, cameras, dr.Soft(sigma=1.64, near=2, far=5, perspective_correct=True))
    return rendering, rendering.image


def gradients(draw, arguments, most, threads, monkeypatch):
    """Return the gradients' bits with room for `most` blocks, and in which share of the batches of faces blocks were kept."""
    notes = []

    def new_kept(bins):
        made = kept.new_kept(bins, most)
        made[1][1:] = 0
        notes.append(made[1][1:].reshape(-1, 2))
        return made

    monkeypatch.setattr(rasterize, "new_kept", new_kept)
    dr.set_num_threads(threads)
    rendering, image = draw(*arguments)
    upstream = np.random.default_rng(1).normal(size=image.shape).astype(image.dtype)
    first, again = (b"".join(view.vertices.tobytes() for view in rendering.backward(upstream)) for _ in range(2))
    assert first == again and np.frombuffer(first, image.dtype).any()
    places = np.concatenate(notes)
    places = places[places[:, 1] != 0]  # of batches that there are
    return first, (places[:, 0] >= 0).mean()


@pytest.mark.parametrize(
    "draw, subdivisions, cameras",
    [(silhouette, 3, LARGE), (color, 3, LARGE), (in_perspective, 3, LARGE), (silhouette, 5, SMALL)],
)
def test_gradients_do_not_depend_on_the_room(draw, subdivisions, cameras, monkeypatch):
    ball = dr.icosphere(subdivisions)
    colors = np.random.default_rng(0).uniform(size=ball.vertices.shape).astype(np.float32)
    arguments = (dr.Mesh(ball.vertices.astype(np.float32), ball.faces, colors), cameras)
    before = dr.get_num_threads()
    try:
        expected, share = gradients(draw, arguments, ALL, 1, monkeypatch)
        assert share > 0.95
        for most, threads, least_share, most_share in (
            (ALL, 2, 0.9, 1),
            (PIECE, 1, 0.02, 0.6),
            (PIECE, 2, 0.02, 0.6),
            (NONE, 2, 0, 0),
        ):
            found, share = gradients(draw, arguments, most, threads, monkeypatch)
            assert found == expected
            assert least_share <= share <= most_share
    finally:
        dr.set_num_threads(before)


def test_memory_does_not_grow_with_overlap_beyond_what_is_kept():
    """A hundred large faces on each other: their blocks would take more room than there is for so few."""
    corners = np.array([(0, 0, 2), (300, 0, 2), (0, 300, 2)], np.float32)
    vertices = np.tile(corners, (100, 1))
    out = dr.rasterize_soft(vertices, np.arange(300).reshape(-1, 3), (256, 256))
    per_entry = 32 * 4 + 64
    assert out.kept_bytes < 256 * 256 * 8 + 800 * per_entry + dr.get_num_threads() * 4 * PIECE + 20_000


def test_faces_that_reach_into_more_strips_than_there_is_room_for(monkeypatch):
    random = np.random.default_rng(3)
    vertices = np.c_[random.uniform(-20, 160, (30, 2)), random.uniform(2, 4, 30)].astype(np.float32)
    faces = np.arange(30).reshape(-1, 3)
    grad = random.normal(size=(150, 90)).astype(np.float32)

    def draw():
        raster = dr.rasterize_soft(vertices, faces, (150, 90))
        assert len(raster._drawn.saved.bins.entries) > 20
        return raster.alpha.tobytes(), raster.backward(grad).vertices_pixel.tobytes()

    expected = draw()
    monkeypatch.setattr(bins, "_ENTRIES", 0)
    monkeypatch.setattr(bins, "_SPARE", 3)
    assert draw() == expected
