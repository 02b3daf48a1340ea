"""A fit that keeps near its template: rigidity and volume."""

import numpy as np
import pytest
from meshes import bumpy, disc_view

import diffrender as dr
from diffrender.body import Body
from diffrender.priors import Rigid, SameVolume
from diffrender.regularize import signed_volume

QUICK = {"steps": 60, "faces": 1280, "resolution": 60}


@pytest.fixture
def template():
    """An ellipsoid, while the mask is a disc."""
    ball = dr.icosphere(3)
    return dr.Mesh(ball.vertices * np.float32([1.5, 0.8, 1]), ball.faces)


def last(steps):
    *_, step = steps
    return step


def strain(mesh, other):
    """The largest relative change of an edge's length."""
    first, second = (
        np.linalg.norm(m.vertices[m.faces] - m.vertices[np.roll(m.faces, 1, axis=1)], axis=2) for m in (mesh, other)
    )
    return np.quantile(np.abs(second / first / np.median(second / first) - 1), 0.9)


def test_priors_do_not_depend_on_the_unit_or_the_number_of_faces():
    for subdivisions, unit in ((2, 1.0), (3, 1.0), (3, 7.0)):
        ball = dr.icosphere(subdivisions)
        start = dr.Mesh(unit * ball.vertices.astype(np.float64), ball.faces)
        body = Body.of(1.1 * start.vertices, start.faces, 0.0, None)
        volume, strain = (prior.of(start, 1.0).evaluate(body) for prior in (SameVolume, Rigid))
        assert volume[0] == pytest.approx(0.331**2, rel=1e-6)
        assert strain[0] == pytest.approx(4 * 0.1**2, rel=1e-6)
        assert volume[1].shape == strain[1].shape == start.vertices.shape


def test_a_template_that_is_held_stretches_less(template):
    view = disc_view(radius=14)
    stretched = [
        strain(template, last(dr.fit([view], template, dr.FitSettings(**QUICK, rigidity=rigidity))).mesh)
        for rigidity in (0.0, 10.0)
    ]
    assert stretched[1] < 0.5 * stretched[0]


def test_volume_is_kept(template):
    view = disc_view(radius=14)
    start = next(iter(dr.fit([view], template, dr.FitSettings(**QUICK, learning_rate=0.0)))).mesh
    changes = []
    for weight in (0.0, 10.0):
        mesh = last(dr.fit([view], template, dr.FitSettings(**QUICK, volume_weight=weight))).mesh
        changes.append(abs(signed_volume(mesh.vertices, mesh.faces) / signed_volume(start.vertices, start.faces) - 1))
    assert changes[1] < 0.3 * changes[0]


def test_going_on_gives_the_same_bits():
    settings = dr.FitSettings(**QUICK, rigidity=1.0, volume_weight=1.0)
    template = bumpy(2, np.float32)
    steps = list(dr.fit([disc_view()], template, settings))
    resumed = last(dr.fit([disc_view()], template, settings, steps[6].state))
    np.testing.assert_array_equal(resumed.mesh.vertices, steps[-1].mesh.vertices)
    assert {"rigidity", "volume"} <= set(steps[0].parts)


def test_bad_weights_are_named_with_their_value():
    with pytest.raises(ValueError, match="rigidity must be finite and >= 0, got -1.0"):
        dr.FitSettings(rigidity=-1.0)
    with pytest.raises(ValueError, match="rigidity 1.0 needs the start's triangles, but remesh_every is 5"):
        dr.FitSettings(rigidity=1.0, remesh_every=5)
    flat = dr.Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="no volume to keep: its signed volume is 0"):
        SameVolume.of(flat, 1.0)
