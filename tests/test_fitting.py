import numpy as np
import pytest
from meshes import disc_view

import diffrender as dr
from diffrender.camera import project
from diffrender.inflate import inflate
from diffrender.loss import iou
from diffrender.optimize.adam import Adam
from diffrender.optimize.large_steps import LargeSteps
from diffrender.optimize.schedule import cosine, geometric
from diffrender.placement import place
from diffrender.quality import aspect_ratios
from diffrender.record.evaluate import evaluate, inspect
from diffrender.thickness import squared_half_thickness
from diffrender.topology import is_closed_manifold, uniform_laplacian

QUICK = dr.FitSettings(steps=24, faces=1200, resolution=60)


def last(steps):
    *_, step = steps
    return step


def test_adam_is_kingma_and_bas():
    random = np.random.default_rng(0)
    parameter, state = np.zeros(4), Adam(0.8, 0.95).init(np.zeros(4))
    first, second, expected = np.zeros(4), np.zeros(4), np.zeros(4)
    for t in range(1, 6):
        gradient = random.normal(size=4)
        delta, state = Adam(0.8, 0.95).update(gradient, state, 0.1)
        parameter = parameter + delta
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient**2
        expected -= 0.1 * (first / (1 - 0.8**t)) / np.sqrt(second / (1 - 0.95**t))
    np.testing.assert_allclose(parameter, expected, rtol=1e-9)
    gradient = random.normal(size=(5, 3))
    uniform = Adam(uniform=True)
    delta, _ = uniform.update(gradient, uniform.init(gradient), 0.1)
    np.testing.assert_allclose(delta, -0.1 * gradient / np.abs(gradient).max(), rtol=1e-9)


def test_large_steps_solves_its_own_system_and_smooths():
    mesh = dr.icosphere(2)
    laplacian = uniform_laplacian(mesh.faces, len(mesh.vertices))
    steps = LargeSteps(laplacian, 7.0)
    np.testing.assert_allclose(steps.to_vertices(steps.to_parameter(mesh.vertices)), mesh.vertices, atol=1e-9)
    spike = np.zeros_like(mesh.vertices)
    spike[3] = 1
    spread = steps.gradient(spike)
    np.testing.assert_allclose(spread + 7.0 * (laplacian @ spread), spike, atol=1e-9)
    assert spread.max() < 0.2 and (spread > 0).all()


def test_schedules_meet_their_ends():
    assert geometric(8, 2, 0) == pytest.approx(8) and geometric(8, 2, 0.5) == pytest.approx(4)
    assert cosine(1, 0.1, 0) == 1 and cosine(1, 0.1, 1) == pytest.approx(0.1)


def test_a_disc_is_as_thick_as_a_ball_and_a_band_as_an_ellipse():
    y, x = np.mgrid[0:81, 0:81] - 40.0
    squared = squared_half_thickness((np.hypot(x, y) < 30).astype(np.float32))
    assert np.sqrt(squared[40, 40]) == pytest.approx(30, rel=0.05)
    assert (squared[0] < 0).all()
    band = np.zeros((61, 201), np.float32)
    band[20:41] = 1
    assert np.sqrt(squared_half_thickness(band)[30, 100]) == pytest.approx(10.5 * np.sqrt(2), rel=0.08)


def test_the_balloon_has_the_silhouette_and_the_holes_of_the_mask():
    view = disc_view((96, 120), 36)
    y, x = np.mgrid[0:96, 0:120] + 0.5
    ring = dr.View(view.image, view.mask * (np.hypot(x - 60, y - 48) > 14), view.camera)
    for seen, genus in ((view, 0), (ring, 1)):
        mesh = inflate(seen, faces=4000)
        assert is_closed_manifold(mesh.faces)
        assert 3000 < len(mesh.faces) < 5200
        edges = len(mesh.faces) * 3 // 2
        assert len(mesh.vertices) - edges + len(mesh.faces) == 2 - 2 * genus
        alpha = dr.render_silhouette(mesh, seen.camera, dr.Soft(sigma=1e-3)).alpha
        assert iou(alpha > 0.5, seen.mask > 0.5) > 0.95
        normal = np.cross(*(mesh.vertices[mesh.faces[:, i]] - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2)))
        assert (normal * mesh.vertices[mesh.faces[:, 0]]).sum() > 0  # outward
    flat = inflate(view, 4000, thickness=0.4)
    round_ = inflate(view, 4000, thickness=1.0)
    assert np.ptp(flat.vertices[:, 2]) == pytest.approx(0.4 * np.ptp(round_.vertices[:, 2]), rel=0.1)


def test_a_sphere_is_placed_on_the_mask():
    view = disc_view((60, 90), 10)
    y, x = np.mgrid[0:60, 0:90] + 0.5
    mask = (((x - 60) / 24) ** 2 + ((y - 20) / 9) ** 2 < 1).astype(np.float32)
    placed = place(dr.icosphere(3), [dr.View(view.image, mask, view.camera)], stretch=True)
    pixels = project(placed.vertices, view.camera)[:, :2]
    np.testing.assert_allclose(pixels.min(axis=0), (36, 11), atol=1.5)
    np.testing.assert_allclose(pixels.max(axis=0), (84, 29), atol=1.5)


def test_a_mesh_of_ones_own_keeps_its_proportions():
    sphere = dr.icosphere(2)
    mesh = dr.Mesh(sphere.vertices * np.float32([0.5, 0.25, 0.7]) + 3, sphere.faces)
    view = disc_view((60, 90), 12)
    placed = place(mesh, [view])
    extent = np.ptp(placed.vertices, axis=0)
    np.testing.assert_allclose(extent / extent[0], [1, 0.5, 1.4], rtol=1e-4)
    pixels = project(placed.vertices, view.camera)[:, :2]
    np.testing.assert_allclose((pixels.min(axis=0) + pixels.max(axis=0)) / 2, (45, 30), atol=1)
    assert np.prod(np.ptp(pixels, axis=0)) == pytest.approx(24**2, rel=0.15)
    fitted = last(dr.fit([view], mesh, QUICK)).mesh
    assert evaluate(fitted, view)["silhouette_iou"] > 0.9


def test_a_sphere_is_placed_where_the_rays_of_many_views_meet():
    center, radius = np.array([0.3, -0.2, 0.4]), 0.5
    truth = dr.Mesh(dr.icosphere(3).vertices * radius + center, dr.icosphere(3).faces)
    views = []
    for eye in ((0, 0, 4), (4, 0.5, 0), (-2, 2, 2)):
        camera = dr.Camera.look_at(eye, size=(80, 100))
        alpha = dr.render_silhouette(truth, camera, dr.Soft(sigma=1e-3)).alpha
        views.append(dr.View(np.zeros((80, 100, 3)), np.clip(alpha, 0, 1), camera))
    placed = place(dr.icosphere(2), views)
    np.testing.assert_allclose(placed.vertices.mean(axis=0), center, atol=0.02)
    assert np.linalg.norm(placed.vertices - center, axis=1).max() == pytest.approx(radius, rel=0.05)


@pytest.mark.parametrize("start, floor", [("balloon", 0.95), ("sphere", 0.9)])
def test_one_photo_is_fitted_without_folds(start, floor):
    view = disc_view((96, 120), 40)
    steps = list(dr.fit([view], start, dr.FitSettings(steps=60, faces=4000, resolution=120)))
    for step in steps:
        assert step.image.shape[2] == 4 and np.isfinite(step.loss)
    assert [step.done for step in steps] == [False] * 59 + [True]
    before, measured = evaluate(steps[0].mesh, view), evaluate(step.mesh, view)
    assert measured["silhouette_iou"] > floor
    assert measured["psnr_db"] > before["psnr_db"] + 1
    assert inspect(step.mesh) == {"faces": len(step.mesh.faces), "flipped_faces": 0, "closed": True}


def test_the_back_of_one_photo_has_colors_of_the_front():
    view = disc_view()
    mesh = last(dr.fit([view], settings=QUICK)).mesh
    back = mesh.vertices[:, 2] < np.quantile(mesh.vertices[:, 2], 0.1)
    front = mesh.vertices[:, 2] > np.quantile(mesh.vertices[:, 2], 0.9)
    np.testing.assert_allclose(mesh.vertex_colors[back].mean(0), mesh.vertex_colors[front].mean(0), atol=0.08)


def test_many_views_shape_the_mesh_from_all_sides():
    truth = dr.icosphere(3)
    truth = dr.Mesh(truth.vertices * np.float32([1, 0.6, 0.5]), truth.faces, np.full_like(truth.vertices, 0.6))
    views = []
    for azimuth in range(0, 360, 60):
        angle = np.radians(azimuth)
        camera = dr.Camera.look_at((4 * np.sin(angle), 1.0, 4 * np.cos(angle)), size=(48, 48))
        image = dr.render(truth, camera, dr.Soft(sigma=0.1, gamma=1e-3, near=2, far=6)).image
        views.append(dr.View(np.clip(image[..., :3], 0, 1), np.clip(image[..., 3], 0, 1), camera))
    settings = dr.FitSettings(steps=100, faces=1280, resolution=48)
    mesh = last(dr.fit(views, None, settings)).mesh
    extent = np.ptp(mesh.vertices, axis=0) / 2
    np.testing.assert_allclose(extent, [1, 0.6, 0.5], atol=0.06)
    assert inspect(mesh)["flipped_faces"] == 0


def test_a_sphere_that_is_remeshed_grows_a_limb_without_stretched_triangles():
    view = disc_view((96, 120), 18)
    y, x = np.mgrid[0:96, 0:120] + 0.5
    mask = np.maximum(view.mask, ((np.abs(y - 48) < 5) & (x > 60) & (x < 112)).astype(np.float32))
    view = dr.View(view.image, mask, view.camera)
    worst = []
    for remesh_every in (0, 5):
        settings = dr.FitSettings(steps=80, faces=1500, resolution=120, remesh_every=remesh_every)
        mesh = last(dr.fit([view], "sphere", settings)).mesh
        assert is_closed_manifold(mesh.faces) and inspect(mesh)["flipped_faces"] == 0
        assert evaluate(mesh, view)["silhouette_iou"] > 0.85
        worst.append(np.quantile(aspect_ratios(mesh.vertices, mesh.faces), 0.95))
    assert 1000 < len(mesh.faces) < 2500
    assert worst[1] < 1.7 < worst[0]


@pytest.mark.parametrize("start, remesh_every", [("balloon", 0), ("sphere", 0), ("sphere", 4)])
def test_going_on_from_a_state_gives_the_same_bits(start, remesh_every):
    view = disc_view()
    settings = dr.FitSettings(steps=12, faces=600, resolution=48, remesh_every=remesh_every)
    steps = list(dr.fit([view], start, settings))
    for stop in (3, 4, 8):
        resumed = last(dr.fit([view], start, settings, steps[stop - 1].state))
        np.testing.assert_array_equal(resumed.mesh.vertices, steps[-1].mesh.vertices)
        np.testing.assert_array_equal(resumed.mesh.vertex_colors, steps[-1].mesh.vertex_colors)
    final = dr.finish(steps[-1].state, [view], settings)
    np.testing.assert_allclose(final.vertices, steps[-1].mesh.vertices, atol=1e-6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: dr.fit([]), "at least one view, got none"),
        (lambda: dr.fit([disc_view()], "cube"), "'sphere', 'balloon', 'hull' or None, got 'cube'"),
        (lambda: dr.FitSettings(steps=0), "steps must be a positive integer, got 0"),
        (lambda: dr.FitSettings(sigma_end=0.0), "sigma_end must be positive, got 0.0"),
        (lambda: dr.FitSettings(learning_rate=np.nan), "learning_rate must be finite and >= 0, got nan"),
        (lambda: inflate(disc_view(), thickness=-1), "thickness must be positive, got -1"),
    ],
)
def test_bad_requests_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.zeros((48, 61, 3))}, r"image must have shape \(48, 60, 3\) .* got \(48, 61, 3\)"),
        ({"mask": np.zeros((48, 61))}, r"mask must have shape \(48, 60\) .* got \(48, 61\)"),
        ({"mask": np.zeros((48, 60))}, "the mask is empty"),
        ({"mask": np.full((48, 60), 2.0)}, r"mask must lie in \[0, 1\], got 2 to 2"),
        ({"image": np.full((48, 60, 3), np.nan)}, "image has NaN or infinity in 48 rows"),
    ],
)
def test_bad_views_are_named_with_their_value(change, message):
    view = disc_view()
    arguments = {"image": view.image, "mask": view.mask, "camera": view.camera} | change
    with pytest.raises(ValueError, match=message):
        dr.View(**arguments)


def test_a_view_forgives_what_a_render_rounds():
    view = disc_view()
    rounded = dr.View(view.image, view.mask + np.float32(2e-7), view.camera)
    assert view.mask.max() == rounded.mask.max() == 1
