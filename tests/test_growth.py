from dataclasses import replace

import numpy as np
import pytest
from meshes import disc_view

import diffrender as dr
from diffrender import growth
from diffrender.camera import project
from diffrender.depth import RoundDepth
from diffrender.gaps import Gaps
from diffrender.placement import object_depth
from diffrender.quality import aspect_ratios, self_intersections
from diffrender.record.evaluate import evaluate, inspect


def horseshoe(gap, mouth=None):
    """A disc with a slit of `gap` px from its middle down, and of `mouth` px at its rim."""
    view = disc_view((96, 120), 34)
    y, x = np.mgrid[0:96, 0:120] + 0.5
    half = np.where(y > 68, mouth or gap, gap) / 2
    return replace(view, mask=view.mask * ~((np.abs(x - 60) < half) & (y > 44))), (y > 50) & (y < 76)


def test_a_gap_is_widened_and_nothing_else():
    view, deep = horseshoe(6)
    gaps = Gaps(view.mask, 5)
    wide = gaps.widened(2)
    slit = deep & (np.abs(np.mgrid[0:96, 0:120][1] + 0.5 - 60) < 5)
    assert (wide[slit] == 0).all() and (view.mask[slit] == 1).sum() == 4 * 26
    away = np.abs(np.mgrid[0:96, 0:120][1] + 0.5 - 60) > 12
    np.testing.assert_array_equal(wide[away], view.mask[away])
    np.testing.assert_array_equal(gaps.widened(0), view.mask)
    assert (Gaps(view.mask, 2.5).widened(2) == view.mask).all()  # a disc of 5 px fits into a slit of 6
    nick = view.mask.copy()
    nick[14:17, 60:62] = 0
    around = (slice(10, 20), slice(50, 70))
    np.testing.assert_array_equal(Gaps(nick, 5).widened(2)[around], nick[around])


def test_a_flattened_ball_is_pulled_round_and_its_rim_stays():
    view = disc_view((96, 120), 30)
    camera = view.camera
    ball = dr.icosphere(4)
    middle, radius = camera.center + camera.R[2] * object_depth(camera), 30 * object_depth(camera) / camera.focal
    flat = ball.vertices.astype(np.float64) @ np.diag([1, 1, 0.3]) @ camera.R * radius + middle
    round_ = RoundDepth(view, 1.0)
    pull = round_.pull(flat, ball.faces, 1e-3 * radius)
    off_ray = np.cross(pull, flat - camera.center)
    assert np.abs(off_ray).max() < 1e-9 * radius * object_depth(camera)
    rim = np.abs(ball.vertices[:, 2]) < 0.02
    assert np.linalg.norm(pull[rim], axis=1).max() < 0.1 * radius < np.linalg.norm(pull, axis=1).max()
    vertices = flat
    for _ in range(40):
        vertices = vertices + 0.5 * round_.pull(vertices, ball.faces, 1e-3 * radius)
    depth = project(vertices, camera)[:, 2]
    assert np.ptp(depth) == pytest.approx(2 * radius, rel=0.06)
    thick = flat + round_.pull(flat, ball.faces, 2 * radius)
    assert np.ptp(project(thick, camera)[:, 2]) > 3.5 * radius  # no part is thinner than asked for


def test_what_faces_the_wrong_side_is_not_pulled_through_the_body():
    view = disc_view((96, 120), 30)
    ball = dr.icosphere(3)
    radius = 30 * object_depth(view.camera) / view.camera.focal
    vertices = radius * ball.vertices + view.camera.center + view.camera.R[2] * object_depth(view.camera)
    inside_out = RoundDepth(view, 1.0).pull(vertices, ball.faces[:, ::-1], 1e-3 * radius)
    deep = np.abs(ball.vertices @ view.camera.R[2]) > 0.7
    assert np.abs(inside_out[deep]).max() == 0


def test_growth_ends_with_what_was_asked_for():
    counts = [growth.face_count(40_000, progress) for progress in (0, 0.3, 0.7, 1)]
    assert counts[0] == 2500 and counts[0] < counts[1] < counts[2] == counts[3] == 40_000
    assert growth.face_count(600, 0) == 600 and growth.face_count(4000, 0) == 1000
    settings = dr.FitSettings(steps=10, faces=40_000, smoothness=2.0, smoothness_start=100.0, learning_rate=1.0)
    plan = growth.GrowthPlan(settings, 100)
    assert plan.smoothness(0, 20_000) == pytest.approx(100) and plan.smoothness(6, 20_000) == pytest.approx(2)
    assert plan.shape_rate(0, 1.0) == 1 and plan.shape_rate(10, 1.0) == pytest.approx(0.3 / 4)


def test_a_sphere_enters_a_gap_and_stays_round_and_whole():
    view, deep = horseshoe(10, mouth=4)
    settings = dr.FitSettings(steps=100, faces=4000, resolution=120, thickness=1.0, remesh_every=10)
    *_, step = dr.fit([view], "sphere", settings)
    mesh = step.mesh
    assert inspect(mesh)["closed"] and inspect(mesh)["flipped_faces"] == 0
    assert evaluate(mesh, view)["silhouette_iou"] > 0.97
    alpha = dr.render_silhouette(mesh, view.camera, dr.Soft(sigma=1e-6)).alpha
    gap = deep & (view.mask < 0.5) & (np.abs(np.mgrid[0:96, 0:120][1] + 0.5 - 60) < 5)
    assert (alpha[gap] > 0.5).mean() < 0.1
    assert np.quantile(aspect_ratios(mesh.vertices, mesh.faces), 0.99) < 2.5
    assert not len(self_intersections(mesh.vertices, mesh.faces))
    # Each arm is as thick as it is wide, about: not a fin, and not as thick as the whole.
    pixels = project(mesh.vertices, view.camera)
    arm = (np.abs(pixels[:, 1] - 62) < 2) & (pixels[:, 0] > 60)
    thick = np.ptp(pixels[arm, 2]) / object_depth(view.camera) * view.camera.focal
    wide = np.ptp(pixels[arm, 0])
    assert 0.8 < thick / wide < 2


@pytest.mark.parametrize("stop", [5, 16])
def test_growth_goes_on_to_the_same_bits(stop):
    view, _ = horseshoe(8)
    settings = dr.FitSettings(steps=20, faces=2000, resolution=60, remesh_every=4)
    steps = list(dr.fit([view], "sphere", settings))
    *_, resumed = dr.fit([view], "sphere", settings, steps[stop - 1].state)
    np.testing.assert_array_equal(resumed.mesh.faces, steps[-1].mesh.faces)
    np.testing.assert_array_equal(resumed.mesh.vertices, steps[-1].mesh.vertices)
    np.testing.assert_array_equal(resumed.mesh.vertex_colors, steps[-1].mesh.vertex_colors)
