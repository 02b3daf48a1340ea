"""The symmetry prior of a fit: a photo as two views, the solid that it starts from, the plane, and what the user sees of it."""

import sys

import numpy as np
import pytest
from diffrender.cli import main as cli
from meshes import disc_view, mirrored_blob, tilted_camera
from PIL import Image
from scipy.sparse.csgraph import connected_components

import diffrender as dr
from diffrender import mirror_search
from diffrender.color import to_bytes
from diffrender.compare import compare_meshes
from diffrender.halves import Mirror, check_symmetry, symmetric_start
from diffrender.mirror_rays import mirror_cube, mirror_frame
from diffrender.mirror_shading import unexplained_shading
from diffrender.mirror_solid import symmetric_solid
from diffrender.placement import photo_camera
from diffrender.record.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from diffrender.record.evaluate import evaluate, inspect
from diffrender.reflection import reflected_camera, reflected_view
from diffrender.regularize import signed_volume
from diffrender.shading import vertex_normals
from diffrender.symmetry import Plane, mirror_pairs
from diffrender.tomography import energy, symmetric_occupancy
from diffrender.topology import is_closed_manifold, uniform_laplacian

QUICK = {"steps": 12, "faces": 1500, "resolution": 64}


def patterned(vertices, faces):
    """Colours that the plane x = 0 mirrors."""
    x, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    colors = np.stack([np.sin(4 * z + x), np.sin(5 * y + 2 * x), np.cos(4 * z - 3 * y)], axis=1)
    return dr.Mesh(vertices.astype(np.float32), faces, (0.5 + 0.4 * colors).astype(np.float32))


def photo(degrees=40, above=15, size=(96, 96), mesh=None):
    """A mesh, or a long body, seen half from the front: the view, the mesh in its world, and the normal of its plane."""
    if mesh is None:
        vertices, faces = mirrored_blob(4)
        mesh = patterned(vertices * [0.8, 1, 2], faces)
    azimuth, elevation = np.radians([degrees, above])
    direction = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    there, here = dr.Camera.look_at(4 * np.array(direction), size=size), photo_camera(size)
    turn, shift = here.R.T @ there.R, here.R.T @ (there.t - here.t)
    mesh = dr.Mesh((mesh.vertices @ turn.T + shift).astype(np.float32), mesh.faces, mesh.vertex_colors)
    image = dr.render(mesh, here, dr.Soft(sigma=1e-3, gamma=1e-4, near=2, far=6)).image
    return dr.View(np.clip(image[..., :3], 0, 1), np.clip(image[..., 3], 0, 1), here), mesh, turn[:, 0]


@pytest.fixture(scope="module")
def seen():
    return photo()


def last(steps):
    *_, step = steps
    return step


def test_a_symmetric_mesh_looks_the_same_from_the_mirrors_other_side():
    mesh = patterned(*mirrored_blob(3))
    plane = Plane.through(np.array([0.2, 0.1, -0.3]), np.array([1.0, 0.4, -0.2]))
    turn = np.linalg.qr(np.column_stack([plane.normal, np.eye(3)[:, 1:]]))[0]
    vertices = mesh.vertices @ (turn * np.sign(turn[:, 0] @ plane.normal)).T + plane.offset * plane.normal
    mesh = dr.Mesh(vertices, mesh.faces, mesh.vertex_colors)
    camera = tilted_camera()
    soft = dr.Soft(sigma=0.5, gamma=1e-2, near=1, far=7)
    image = dr.render(mesh, camera, soft).image
    other = dr.render(mesh, reflected_camera(camera, plane), soft).image
    assert image[..., 3].max() > 0.9
    np.testing.assert_allclose(other[:, ::-1], image, atol=1e-6)
    twice = reflected_camera(reflected_camera(camera, plane), plane)
    np.testing.assert_allclose(twice.projection, camera.projection, atol=1e-9)
    view = dr.View(np.clip(image[..., :3], 0, 1), np.clip(image[..., 3], 0, 1), camera)
    assert evaluate(mesh, reflected_view(view, plane)) == pytest.approx(evaluate(mesh, view), abs=1e-6)


def test_coordinates_change_places_with_the_mirror_image(seen):
    view, mesh, normal = seen
    frame = mirror_frame(view, normal)
    points = mesh.vertices[:50].astype(np.float64)
    plane = frame.plane

    def rays(points):
        local = points - frame.center
        across = np.stack([local @ frame.a, local @ frame.b], axis=1)
        radius = np.linalg.norm(across, axis=1)
        return np.arctan2(across[:, 1], across[:, 0]), local @ frame.m / radius, radius

    phi, first, radius = rays(points)
    phi_mirrored, second, _ = rays(plane.mirror(points))
    np.testing.assert_allclose(phi_mirrored, phi, atol=1e-9)
    np.testing.assert_allclose(2 * frame.distance / (first + second), radius, rtol=1e-9)


def test_the_solids_energy_has_its_gradient(seen):
    view, _, normal = seen
    cube = mirror_cube(view, mirror_frame(view, normal), 14)
    random = np.random.default_rng(0)
    occupancy, direction = random.uniform(0.1, 0.8, (2, *cube.inside.shape))
    occupancy, direction = ((x + np.swapaxes(x, 1, 2)) / 2 for x in (occupancy, direction))
    _, gradient = energy(cube, occupancy)
    h = 1e-6
    numeric = (energy(cube, occupancy + h * direction)[0] - energy(cube, occupancy - h * direction)[0]) / (2 * h)
    assert (gradient * direction).sum() == pytest.approx(numeric, rel=1e-6)


def test_the_solid_is_closed_symmetric_and_fills_the_mask(seen):
    view, _, normal = seen
    solid, plane = symmetric_solid(view, normal, 3000)
    assert is_closed_manifold(solid.faces) and signed_volume(solid.vertices, solid.faces) > 0
    assert mirror_pairs(solid.vertices, solid.faces, plane) is not None
    assert abs(plane.normal @ normal) == pytest.approx(1)
    assert 2000 < len(solid.faces) < 4500
    assert evaluate(solid, view)["silhouette_iou"] > 0.9


def test_thin_limbs_stay_on_the_solid():
    """A table on four thin legs, of which the photo shows all: one piece, as long as the legs are."""
    from diffrender.polygonize import polygonize

    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 65)] * 3, indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(np.abs(grid), 3, 0)
    top = np.maximum(np.maximum(x - 0.6, z - 0.6), np.abs(grid[..., 1] - 0.5) - 0.1)
    legs = np.maximum(np.hypot(x - 0.5, z - 0.5) - 0.06, y - 0.6)
    vertices, faces = polygonize(-np.minimum(top, legs))
    view, _, normal = photo(35, 20, mesh=patterned(vertices / 32 - 1, faces))
    solid, _ = symmetric_solid(view, normal, 6000)
    parts, _ = connected_components(uniform_laplacian(solid.faces, len(solid.vertices)), directed=False)
    assert parts == 1
    assert is_closed_manifold(solid.faces)
    assert evaluate(solid, view)["silhouette_iou"] > 0.85


def test_a_fit_with_symmetry_is_nearer_to_the_truth_and_stays_symmetric(seen):
    view, truth, normal = seen
    chamfers = []
    for symmetry in ("none", tuple(normal)):
        step = last(dr.fit([view], settings=dr.FitSettings(steps=40, faces=3000, resolution=96, symmetry=symmetry)))
        center = view.camera.center.astype(np.float32)
        scaled = [
            dr.Mesh(center + (step.mesh.vertices - center) * np.float32(factor), step.mesh.faces)
            for factor in np.linspace(0.85, 1.15, 13)
        ]
        chamfers.append(min(compare_meshes(mesh, truth, points=1000).chamfer for mesh in scaled))
    assert chamfers[1] < 0.65 * chamfers[0]
    assert mirror_pairs(step.mesh.vertices, step.mesh.faces, step.state.plane) is not None
    assert inspect(step.mesh)["closed"] and inspect(step.mesh)["flipped_faces"] == 0
    assert evaluate(step.mesh, view)["silhouette_iou"] > 0.95


def test_light_from_one_side_explains_shades_but_not_noise():
    vertices, faces = mirrored_blob(4)
    vertices = vertices * [0.8, 1, 2]
    light = np.clip(vertex_normals(vertices, faces)[0] @ [0.5, 0.7, 0.5], 0, 1)
    colors = (0.2 + 0.7 * light)[:, None] * np.where(vertices[:, [2]] > 0.3, [0.9, 0.5, 0.2], [0.3, 0.6, 0.9])
    view, _, normal = photo(mesh=dr.Mesh(vertices.astype(np.float32), faces, colors.astype(np.float32)))
    cube, occupancy = symmetric_occupancy(view, mirror_frame(view, normal), ((32, 40),))
    noise = np.random.default_rng(0).uniform(0.1, 1, (*view.mask.shape, 1)) * np.ones(3)
    noisy = dr.View(noise.astype(np.float32), view.mask, view.camera)
    assert unexplained_shading(view, cube, occupancy) < 0.7 < unexplained_shading(noisy, cube, occupancy)
    assert unexplained_shading(view, cube, np.zeros_like(occupancy)) == np.inf


@pytest.mark.parametrize("degrees, above", [(40, 15), (-55, 10), (-25, 30)])
def test_the_search_tries_a_plane_near_the_true_one_and_takes_the_best(monkeypatch, degrees, above):
    view, _, normal = photo(degrees, above)

    def sine(view, tried):
        return np.linalg.norm(np.cross(tried, normal))

    monkeypatch.setattr(mirror_search, "_unexplained", sine)
    assert sine(view, mirror_search.find_normal(view)) < np.sin(np.radians(10))
    monkeypatch.setattr(mirror_search, "_unexplained", lambda view, tried: np.inf)
    with pytest.raises(ValueError, match="no plane was found"):
        mirror_search.find_normal(view)


@pytest.mark.parametrize("start, remesh_every", [("balloon", 0), ("sphere", 0), ("balloon", 4)])
def test_going_on_from_a_checkpoint_gives_the_same_bits(tmp_path, seen, start, remesh_every):
    view, _, normal = seen
    settings = dr.FitSettings(**QUICK, symmetry=tuple(normal), remesh_every=remesh_every)
    steps = list(dr.fit([view], start, settings))
    for stop in (3, 8):
        state = steps[stop - 1].state
        save_checkpoint(Checkpoint(state, np.zeros((0, 2, 2, 3), np.uint8), 1.0, "run"), tmp_path / "state.npz")
        state = load_checkpoint(tmp_path / "state.npz").state
        resumed = last(dr.fit([view], start, settings, state))
        np.testing.assert_array_equal(resumed.mesh.vertices, steps[-1].mesh.vertices)
        np.testing.assert_array_equal(resumed.mesh.vertex_colors, steps[-1].mesh.vertex_colors)
    final = dr.finish(steps[-1].state, [view], settings)
    np.testing.assert_allclose(final.vertices, steps[-1].mesh.vertices, atol=1e-6)


def test_a_mirror_keeps_what_is_symmetric():
    vertices, faces = mirrored_blob(2)
    mirror = Mirror.of(vertices, faces, Plane(np.array([1.0, 0, 0]), 0.0))
    np.testing.assert_allclose(mirror.symmetric(vertices), vertices, atol=1e-12)
    gradient = mirror.gradient(np.random.default_rng(0).normal(size=vertices.shape))
    np.testing.assert_allclose(gradient[mirror.pairs], gradient * [-1, 1, 1], atol=1e-12)
    assert Mirror.of(vertices, faces, None).symmetric(vertices) is vertices


def test_a_meshs_own_plane_is_taken(seen):
    view, _, normal = seen
    vertices, faces = mirrored_blob(2)
    turn = np.linalg.qr(np.column_stack([normal, np.eye(3)[:, 1:]]))[0]
    mesh = dr.Mesh(vertices @ turn.T, faces)
    for symmetry in ("auto", tuple(normal + [0.05, 0.05, 0])):
        _, plane = symmetric_start(mesh, [view], symmetry, 1000, lambda: mesh)
        assert abs(plane.normal @ normal) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "value, message",
    [
        ("left", "symmetry must be 'none', 'auto' or the normal .* got 'left'"),
        ((1, 0), r"got \(1, 0\)"),
        ((0, 0, 0), r"a plane's normal must be three finite numbers that are not all 0, got \[0.0, 0.0, 0.0\]"),
        ((1, np.nan, 0), "three finite numbers"),
    ],
)
def test_bad_symmetries_are_named_with_their_value(value, message):
    with pytest.raises(ValueError, match=message):
        check_symmetry(value)


@pytest.mark.parametrize(
    "normal, message", [((0.0, 0.0, 1.0), "across the plane"), ((1.0, 0.0, 0.0), "along the plane")]
)
def test_a_photo_that_shows_no_depth_by_the_plane_is_refused(normal, message):
    with pytest.raises(ValueError, match=message):
        dr.fit([disc_view()], settings=dr.FitSettings(**QUICK, symmetry=normal))


def test_the_command_takes_a_plane_and_resumes(tmp_path, seen, monkeypatch, capsys):
    view, _, normal = seen
    path = tmp_path / "photo.png"
    Image.fromarray(to_bytes(np.dstack([view.image, view.mask]))).save(path)

    def run(*more):
        monkeypatch.setattr(sys, "argv", ["diffrender", "fit", str(path), "--out", str(tmp_path / "run"), *more])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, capsys.readouterr().err

    for text, message in (("1,2", "got ['1', '2']"), ("0,0,0", "got [0.0, 0.0, 0.0]"), ("up", "got 'up'")):
        status, errors = run("--symmetry", text)
        assert status == 1 and message in errors and errors.count("\n") == 1
    plane = ",".join(str(number) for number in normal)
    assert run("--symmetry", plane, "--steps", "12", "--faces", "1500", "--resolution", "64") == (0, "")
    before = (tmp_path / "run" / "mesh.glb").read_bytes()
    assert run("--resume", "--symmetry", plane) == (0, "")
    assert (tmp_path / "run" / "mesh.glb").read_bytes() == before
    status, errors = run("--resume", "--symmetry", "auto")
    assert status == 1 and "--symmetry auto cannot be given with --resume" in errors
