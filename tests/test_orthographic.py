from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import bumpy, disc_view, tilted_camera

import diffrender as dr
from diffrender.camera import project, project_backward
from diffrender.depth import RoundDepth
from diffrender.distortion import Distortion
from diffrender.hull import visual_hull
from diffrender.inflate import inflate
from diffrender.mirror_rays import mirror_frame
from diffrender.objective import Exposed, Objective
from diffrender.orbit import facing, orbited
from diffrender.paint import paint
from diffrender.placement import place
from diffrender.reflection import reflected_camera
from diffrender.symmetry import Plane
from diffrender.views.scene import Frame

POINTS = np.random.default_rng(0).normal(size=(9, 3)) * 0.6
SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0, background=(0.1, 0.2, 0.3))
LENS = Distortion(-0.2, 0.05, p1=0.01)


def flat_camera(size=(31, 44)):
    """An orthographic camera with skew and unequal scales."""
    camera = tilted_camera(size)
    return replace(camera, K=camera.K * [[0.3, 0.3, 1], [1, 0.3, 1], [1, 1, 1]], orthographic=True)


def test_pixels_do_not_shrink_with_depth():
    camera = flat_camera()
    for point, pixel in zip(POINTS, project(POINTS, camera), strict=True):
        x, y, z = camera.R @ point + camera.t
        np.testing.assert_allclose(pixel, [*(camera.K @ [x, y, 1])[:2], z], rtol=1e-12)
        np.testing.assert_allclose(camera.projection @ [*point, 1], [*pixel[:2], 1], rtol=1e-12)


def test_look_at_spans_so_much_of_the_world():
    camera = dr.Camera.look_at((0, 0, 5), span=4, size=(100, 200))
    assert camera.orthographic
    middle, above, right, far = project(np.array([(0.0, 0, 0), (0, 2, 0), (2.0, 0, 0), (2, 0, -7)]), camera)
    np.testing.assert_allclose(middle, (100, 50, 5))
    np.testing.assert_allclose(above, (100, 0, 5), atol=1e-12)
    np.testing.assert_allclose(right, (150, 50, 5))
    np.testing.assert_allclose(far, (150, 50, 12))


def test_project_backward_is_the_transpose_and_0_from_behind():
    camera = flat_camera()

    def forward(vertices, rotation, translation, K):
        moved = replace(camera, K=camera.K + K * [[1, 1, 1], [0, 1, 1], [0, 0, 0]])
        return project(vertices, moved.moved(rotation, translation))

    inputs = (POINTS, np.zeros(3), np.zeros(3), np.zeros((3, 3)))
    assert_transposed(forward, lambda grad: project_backward(POINTS, camera, grad)[:4], inputs)
    assert project_backward(POINTS, camera, np.ones_like(POINTS)).distortion is None
    behind = -3 * camera.R[2] * camera.t[2] + POINTS
    assert not project(behind, camera)[:, :2].any() and (project(behind, camera)[:, 2] < 0).all()
    assert not project_backward(behind, camera, np.ones_like(behind)).vertices.any()


def test_gradients_of_the_image():
    mesh, camera = bumpy(1), flat_camera()
    rendering = dr.render(mesh, camera, SOFT)
    assert 0.1 < (rendering.image[..., 3] > 0.5).mean() < 0.9

    def forward(vertices, rotation, translation, K):
        moved = replace(camera, K=camera.K + K * [[1, 1, 1], [0, 1, 1], [0, 0, 0]]).moved(rotation, translation)
        return dr.render(replace(mesh, vertices=vertices), moved, SOFT).image

    def backward(grad):
        grads = rendering.backward(grad)
        return grads.vertices, grads.rotation, grads.translation, grads.K

    inputs = (mesh.vertices, np.zeros(3), np.zeros(3), np.zeros((3, 3)))
    assert_transposed(forward, backward, inputs)


@pytest.mark.parametrize("camera", [flat_camera((48, 60)), replace(tilted_camera((48, 60)), distortion=LENS)])
def test_utilities_keep_the_kind_of_camera(camera):
    pixel = project(POINTS, camera)
    np.testing.assert_allclose(project(POINTS, camera.resized((96, 30)))[:, :2], pixel[:, :2] * [0.5, 2], rtol=1e-12)
    moved = camera.moved(np.array([0.1, 0, 0]), np.zeros(3)).moved(np.array([-0.1, 0, 0]), np.zeros(3))
    np.testing.assert_allclose(project(POINTS, moved), pixel, rtol=1e-9)
    there = orbited(camera, np.ones(3), 40)
    assert np.abs(project(POINTS, there) - pixel).max() > 1
    np.testing.assert_allclose(project(POINTS, orbited(there, np.ones(3), -40)), pixel, rtol=1e-9)
    view = replace(disc_view(), camera=camera)
    part = view.cropped(3)
    corner = (pixel - project(POINTS, part.camera))[0, :2]
    assert corner.min() > 3
    np.testing.assert_allclose(project(POINTS, part.camera)[:, :2], pixel[:, :2] - corner.round(), rtol=1e-9)
    ahead = facing(bumpy(1), camera, (20, 30))
    assert not ahead.orthographic and ahead.distortion is None


def test_rays_are_parallel_and_nothing_moves_along_them():
    camera = dr.Camera.look_at((1.0, 2, 5), span=4, size=(48, 60))
    np.testing.assert_allclose(camera.directions(POINTS), np.tile(camera.R[2], (9, 1)))
    assert camera.directions(POINTS.astype(np.float32)).dtype == np.float32
    mesh = dr.icosphere(2)
    painted = replace(mesh, vertex_colors=paint(mesh, [replace(disc_view(), camera=camera)]))
    objective = Objective(1.0, 1.0, "srgb", 1e-3, "cpu")
    found = objective.compare_alone(painted, Exposed(replace(disc_view(), camera=camera), np.ones(3, np.float32)), 1.0)
    assert np.abs(found.grad_vertices).max() > 1e-6
    np.testing.assert_allclose(found.grad_vertices @ camera.R[2], 0, atol=1e-7)


BEHIND = Plane(np.array([1.0, 0.0, 0.2]), 0.0)
NEEDS = {
    "placing a mesh on masks": lambda view: place(dr.icosphere(1), [view]),
    "a mask blown up": inflate,
    "a sphere around masks": lambda view: visual_hull([view, view]),
    "a mirror image": lambda view: reflected_camera(view.camera, BEHIND),
    "depth by symmetry": lambda view: mirror_frame(view, np.array([1.0, 0.2, 0.5])),
    "the depth of a round body": lambda view: RoundDepth(view, 1.0),
    "a photo of a scene": lambda view: Frame("a", "a.png", None, view.camera),
}


@pytest.mark.parametrize("purpose", NEEDS)
@pytest.mark.parametrize("kind", ["orthographic", "lens"])
def test_what_needs_a_pinhole_says_so(purpose, kind):
    view = disc_view()
    camera = (
        replace(view.camera, orthographic=True) if kind == "orthographic" else replace(view.camera, distortion=LENS)
    )
    found = "an orthographic one" if kind == "orthographic" else "one with Distortion.k1=-0.2"
    with pytest.raises(ValueError, match=f"{purpose} needs a pinhole camera, got {found}"):
        NEEDS[purpose](replace(view, camera=camera))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flat_camera().center, "an orthographic camera has no centre"),
        (lambda: replace(flat_camera(), distortion=LENS), "no angles for a lens to bend, got Distortion"),
        (lambda: dr.Camera.look_at((0, 0, 3), span=0), "span must be positive, got 0"),
        (lambda: dr.Camera.from_projection(flat_camera().projection, (4, 4)), "no finite camera centre"),
    ],
)
def test_bad_orthographic_cameras_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
