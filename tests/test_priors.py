"""Shape priors: volume, rigidity and mirror symmetry, against closed forms and finite differences in float64."""

import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import bumpy, mirrored_blob

from diffrender import regularize
from diffrender.symmetry import Plane, find_plane, mirror_pairs, paired_symmetry, symmetry
from diffrender.topology import cotangent_laplacian, uniform_laplacian

RANDOM = np.random.default_rng(0)
MESH = bumpy(1)
BENT = MESH.vertices + 0.1 * RANDOM.normal(size=MESH.vertices.shape)


def box(size=(1.0, 2.0, 3.0)):
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * size
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, np.array([(a, b, c) for a, b, c, d in sides] + [(a, c, d) for a, b, c, d in sides])


def rotation(seed=1):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def test_a_boxs_volume_is_its_sides_product():
    vertices, faces = box()
    vertices = vertices + [5, -3, 1]
    assert regularize.signed_volume(vertices, faces) == pytest.approx(6)
    assert regularize.signed_volume(vertices, faces[:, ::-1]) == pytest.approx(-6)
    value, gradient = regularize.volume(vertices, faces, 4.0)
    assert value == pytest.approx(0.25)
    # A side of area 6 that moves out by d makes the volume 6 + 6 d, the value 0.25 + 2 * 0.5 * 6 d / 4.
    assert gradient[vertices[:, 0] > 5.5, 0].sum() == pytest.approx(1.5)
    with pytest.raises(ValueError, match="a finite volume that is not 0, got 0"):
        regularize.volume(vertices, faces, 0)


def test_arap_does_not_feel_motion_and_feels_everything_else():
    turned = MESH.vertices @ rotation().T + [3, -1, 2]
    for matrix in (
        uniform_laplacian(MESH.faces, len(MESH.vertices)),
        cotangent_laplacian(MESH.vertices, MESH.faces),
    ):
        value, gradient = regularize.arap(turned, MESH.vertices, matrix)
        assert value == pytest.approx(0, abs=1e-20) and np.abs(gradient).max() < 1e-12
        # Scaled by 1 + s, every edge has s times itself left over.
        scaled, _ = regularize.arap(1.1 * turned, MESH.vertices, matrix)
        edges = (MESH.vertices * (matrix @ MESH.vertices)).sum()  # of each edge once, weight times squared length
        assert scaled == pytest.approx(0.01 * 2 * edges / len(MESH.vertices))
        # No rotation makes a mirror image.
        assert regularize.arap(MESH.vertices * [-1, 1, 1], MESH.vertices, matrix)[0] > 0.01


def symmetric_energy(vertices):
    return symmetry(vertices, MESH.faces, Plane(np.array([0.9, 0.2, -0.3]), 0.05))


PRIORS = [
    lambda v: regularize.volume(v, MESH.faces, 3.0),
    lambda v: regularize.arap(v, MESH.vertices, uniform_laplacian(MESH.faces, len(v))),
    lambda v: regularize.arap(v, MESH.vertices, cotangent_laplacian(MESH.vertices, MESH.faces)),
    lambda v: symmetric_energy(v)[:2],
    lambda v: paired_symmetry(v, np.roll(np.arange(len(v)), 1), Plane(np.array([0.9, 0.2, -0.3]), 0.05))[:2],
]


@pytest.mark.parametrize("function", PRIORS)
def test_priors_gradients(function):
    value, gradient = function(BENT)
    assert value > 0
    assert_transposed(lambda v: function(v)[0], lambda grad: [grad * gradient], [BENT], tolerance=1e-5)
    assert function(BENT.astype(np.float32))[1].dtype == np.float32


@pytest.mark.parametrize("function", PRIORS)
def test_priors_bear_collapsed_faces(function):
    vertices = BENT.copy()
    vertices[MESH.faces[0]] = vertices[MESH.faces[0, 0]]
    value, gradient = function(vertices)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_planes_gradient():
    pairs = np.roll(np.arange(len(BENT)), 1)
    plane = Plane(np.array([0.9, 0.2, -0.3]), 0.05)
    for function in (
        lambda plane: symmetry(BENT, MESH.faces, plane),
        lambda plane: paired_symmetry(BENT, pairs, plane),
    ):
        _, _, grad = function(plane)
        assert_transposed(
            lambda normal, offset: function(Plane(normal, float(offset)))[0],
            lambda scale: [scale * grad.normal, scale * grad.offset],
            [plane.normal, np.float64(plane.offset)],
            tolerance=1e-5,
        )


def test_symmetry_is_the_distance_to_the_surface():
    vertices, faces = box((1.0, 2.0, 3.0))
    assert symmetry(vertices, faces, Plane(np.array([0, 2.0, 0]), 1.0))[0] == pytest.approx(0)
    # Mirrored at x = 0.5 + h, all corners lie 2 h beyond: one side's four outside by that, the other's inside by it.
    value, _, grad = symmetry(vertices, faces, Plane(np.array([1.0, 0, 0]), 0.6))
    assert value == pytest.approx(0.5 * 0.2**2)  # inside, they are still on the side faces that they slid along
    assert grad.offset == pytest.approx(0.5 * 8 * 0.1)
    np.testing.assert_allclose(Plane.through([1, 5, 5], [2, 0, 0]).mirror(np.array([(3.0, 1, 2)])), [(-1, 1, 2)])


def test_mirror_pairs_are_partners():
    vertices, faces = mirrored_blob(2)
    turn = rotation()
    moved, plane = vertices @ turn.T + [1, 2, 3], Plane.through([1, 2, 3], turn[:, 0])
    pairs = mirror_pairs(moved, faces, plane)
    np.testing.assert_allclose(vertices[pairs], vertices * [-1, 1, 1], atol=1e-6)
    assert paired_symmetry(moved, pairs, plane)[0] == pytest.approx(0, abs=1e-12)
    assert mirror_pairs(moved, faces, Plane(plane.normal, plane.offset + 0.1)) is None
    assert mirror_pairs(moved, faces[1:], plane) is None  # a hole on one side
    # Of a box, the corners are symmetric and the diagonals are not.
    assert mirror_pairs(*box(), Plane(np.array([0, 1.0, 0]), 1.0)) is None


@pytest.mark.parametrize("seed", [1, 2])
def test_the_plane_of_a_turned_mesh_is_found_and_a_lopsided_mesh_has_none(seed):
    vertices, faces = mirrored_blob(2)
    turn = rotation(seed)
    moved = 3 * vertices @ turn.T + [5, 1, -2]
    found = find_plane(moved, faces)
    across = found.plane.normal * np.sign(found.plane.normal @ turn[:, 0])
    np.testing.assert_allclose(across, turn[:, 0], atol=1e-6)
    assert found.plane.mirror(np.array([(5.0, 1, -2)])) == pytest.approx(np.array([(5.0, 1, -2)]), abs=1e-5)
    assert found.residual < 1e-6
    lopsided = moved + np.sin(moved[:, [1, 2, 0]] + seed)
    assert find_plane(lopsided, faces).residual > 0.1


def test_a_plane_is_refined_from_a_start_alone():
    vertices, faces = box()  # three planes: from near each one that one
    for axis, size in enumerate((1.0, 2.0, 3.0)):
        normal = np.eye(3)[axis]
        found = find_plane(vertices, faces, Plane(normal + [0.05, -0.1, 0.08], size / 2 + 0.02))
        assert found.residual < 1e-6
        assert abs(found.plane.normal @ normal) == pytest.approx(1)
        assert abs(found.plane.offset) == pytest.approx(size / 2, abs=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Plane.through([0, 0, 0], [0, 0, 0]), r"not all 0, got \[0.0, 0.0, 0.0\]"),
        (lambda: symmetry(np.zeros((3, 3)), np.array([(0, 1, 2)]), Plane(np.ones(3), 0.0)), "each of its 1 faces"),
        (lambda: find_plane(np.ones((3, 3)), np.array([(0, 1, 2)])), r"all of its 3 vertices are at \[1.0, 1.0, 1.0\]"),
    ],
)
def test_bad_planes_and_meshes_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
