"""Hard rendering against oracles, the exact area of outlines, finite differences and its promises."""

import numpy as np
import oracle_hard
import pytest
import scenes
from gradcheck import relative_l2
from hypothesis import given, settings
from hypothesis import strategies as st
from meshes import bumpy, tilted_camera
from test_jvp import assert_transposed, directions_like

import diffrender as dr
from diffrender.camera import project
from diffrender.hard import draw_hard

_STEP = 1e-30


def boxes(size=(48, 64)):
    """Four boxes that stick in each other, each of a colour of its own: (vertices in pixels, faces, attributes, size)."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    sides = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)]
    sides += [(2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
    random = np.random.default_rng(0)
    vertices, colors = [], []
    for color in np.array([(0.9, 0.2, 0.2), (0.2, 0.8, 0.3), (0.2, 0.4, 0.9), (0.9, 0.8, 0.2)]):
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        turn *= np.sign(np.linalg.det(turn))
        middle, scale = random.uniform(-0.5, 0.5, 3), random.uniform(0.3, 0.9, 3)
        vertices.append(corners * scale @ turn.T + middle)
        colors.append(np.tile(color, (8, 1)))
    faces = (np.array(sides) + 8 * np.arange(4)[:, None, None]).reshape(-1, 3).astype(np.int32)
    camera = dr.Camera.look_at((1.2, 1.4, 3), fov_degrees=42, size=size)
    return project(np.concatenate(vertices), camera), faces, np.concatenate(colors), camera.size


def cube(turn=None, size=(20, 24)):
    """A cube with a colour on each face, corners for each face: (vertices, faces, colours of vertices, camera)."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    squares = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    vertices = corners[np.ravel(squares)]
    faces = (np.array([(0, 1, 2), (0, 2, 3)]) + 4 * np.arange(6)[:, None, None]).reshape(-1, 3).astype(np.int32)
    colors = 0.1 + 0.8 * np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)])
    camera = dr.Camera.look_at((1.2, 1.4, 5), fov_degrees=42, size=size)
    return vertices if turn is None else vertices @ turn.T, faces, np.repeat(colors, 4, axis=0), camera


def turned(axis, angle):
    """The rotation by an angle around an axis."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    across = np.array([(0, -z, y), (z, 0, -x), (-y, x, 0)])
    return np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * across @ across


def sphere(subdivisions=1, size=(26, 31)):
    """A sphere in perspective: (vertices in pixels, faces, attributes, size)."""
    scene = scenes.sphere(subdivisions, size)
    return scene.vertices, scene.faces.astype(np.int32), scene.attributes(2), scene.size


def premultiplied(image):
    return np.concatenate([image[..., :-1] * image[..., -1:], image[..., -1:]], axis=-1)


@pytest.mark.parametrize("make", scenes.ALL)
def test_each_centre_sees_the_nearest_face(make, on):
    scene = make() if make is scenes.random_triangles else on.scene(make)  # its middle is empty
    y, x = np.mgrid[0 : scene.size[0], 0 : scene.size[1]] + 0.5
    ids, weights, nearest, margin = oracle_hard.seen(scene.vertices, scene.faces, x, y)
    found = dr.rasterize_hard(scene.vertices, scene.faces, scene.size, backend=on.name)
    clear = margin > 1e-9
    assert clear.mean() > 0.5 and (ids >= 0).any()
    assert np.array_equal(found.face_ids[clear] >= 0, ids[clear] >= 0)
    same = clear & (found.face_ids == ids)
    assert same.sum() == clear.sum() or make in (scenes.shared_vertices, scenes.duplicates)  # has equal faces
    covered = same & (ids >= 0)
    np.testing.assert_allclose(found.barycentrics(False)[covered], weights[covered], atol=1e-9)
    np.testing.assert_allclose(found.depth[clear & (ids >= 0)], 1 / nearest[clear & (ids >= 0)], rtol=1e-9)
    in_space = weights[covered] / scene.vertices[scene.faces[ids[covered]], 2]
    in_space /= in_space.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found.barycentrics()[covered], in_space, atol=1e-9)
    assert (found.barycentrics()[found.face_ids < 0] == -1).all() and np.isinf(found.depth[found.face_ids < 0]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_faces_round_a_vertex_leave_no_hole(dtype):
    """Two hundred slivers, whose edges pass a hair beside centres of pixels: each centre belongs to one of them."""
    size, count = (40, 52), 200
    angles = 2 * np.pi * np.arange(count) / count + 0.1
    rim = np.stack([26.5 + 60 * np.cos(angles), 20.5 + 60 * np.sin(angles)], axis=1)
    rim[::8] = np.round(rim[::8]) + 0.5  # and some through them
    vertices = np.column_stack([np.concatenate([[(26.5, 20.5)], rim]), np.full(count + 1, 2.0)]).astype(dtype)
    ends = 1 + np.arange(count)
    faces = np.column_stack([np.zeros(count), ends, np.roll(ends, -1)]).astype(np.int32)
    seen = dr.rasterize_hard(vertices, faces, size)
    assert (seen.face_ids >= 0).all() and len(np.unique(seen.face_ids)) > count // 2
    # Seen from the other side, no centre changes hands but those on an edge.
    turned = dr.rasterize_hard(vertices, faces[:, ::-1].copy(), size)
    assert (turned.face_ids == seen.face_ids).all()


def test_layers_behind_change_nothing():
    """What is hidden is left out by whole tiles, in the order of faces that leaves most of it to be found."""
    vertices, faces, _, size = sphere(3, (90, 121))
    layers = 24
    behind = np.concatenate([vertices + [0, 0, 3.0 * k] for k in range(layers)]).astype(np.float32)
    many = np.concatenate([faces + len(vertices) * k for k in range(layers)])
    alone = dr.rasterize_hard(vertices.astype(np.float32), faces, size)
    for order in (many, many[::-1].copy()):
        seen = dr.rasterize_hard(behind, order, size)
        of_first = np.where(seen.face_ids < 0, -1, order[seen.face_ids].max(axis=-1) // len(vertices))
        assert (of_first == np.where(alone.face_ids < 0, -1, 0)).all() and (of_first == 0).mean() > 0.2
        np.testing.assert_array_equal(seen.depth, alone.depth)


@pytest.mark.parametrize("perspective", [True, False])
def test_a_convex_surface_and_all_its_gradients_are_the_oracles(perspective, on):
    vertices, faces, attributes, size = sphere(size=(15, 17))
    hard = dr.Hard(perspective_correct=perspective)
    out = draw_hard(vertices, faces, size, hard, attributes, backend=on.name)
    expected = oracle_hard.outlined(vertices, faces, size, attributes, perspective).real
    assert 0.2 < expected[..., -1].mean() < 0.8
    np.testing.assert_allclose(out.image, expected, atol=1e-7)
    grad = np.random.default_rng(1).normal(size=out.image.shape)
    grads = out.backward(grad)

    def slope(moved_vertices, moved_attributes):
        image = oracle_hard.outlined(moved_vertices, faces, size, moved_attributes, perspective)
        return (grad * image.imag).sum() / _STEP

    for name, values, found in (
        ("vertices", vertices, grads.vertices_pixel),
        ("attributes", attributes, grads.attributes),
    ):
        for seed in range(3):
            direction = np.random.default_rng(seed).normal(size=values.shape)
            moved = values + 1j * _STEP * direction
            expected = slope(moved, attributes) if name == "vertices" else slope(vertices, moved)
            assert abs((found * direction).sum() - expected) < 1e-6 * np.linalg.norm(found) * np.linalg.norm(direction)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-5)])
def test_the_gradient_of_coverage_is_that_of_the_outlines_area(dtype, tolerance):
    vertices, faces, _, size = sphere(2, (44, 48))
    vertices = vertices.astype(dtype)
    weights = np.random.default_rng(1).normal(size=size)
    fragments = dr.rasterize_hard(vertices, faces, size)
    grad = dr.antialias(fragments, fragments.covered[:, None]).backward(weights[..., None]).vertices_pixel
    exact = vertices.astype(np.float64)
    edges = oracle_hard._outline(exact, faces)
    corners = [a for a, _ in edges]
    expected = np.zeros(vertices.shape)
    for axis in (0, 1):
        for k in corners:
            moved = exact.astype(complex)
            moved[k, axis] += 1j * _STEP
            low, high = exact[corners, :2].min(axis=0).astype(int), exact[corners, :2].max(axis=0).astype(int)
            reach = np.abs(exact[[j for edge in edges if k in edge for j in edge], :2] - exact[k, :2]).max() + 2
            for row in range(max(low[1], int(exact[k, 1] - reach)), min(high[1], int(exact[k, 1] + reach)) + 1):
                for column in range(max(low[0], int(exact[k, 0] - reach)), min(high[0], int(exact[k, 0] + reach)) + 1):
                    area = oracle_hard._area(oracle_hard._clip_to_pixel(moved[corners, :2], column, row))
                    expected[k, axis] += weights[row, column] * area.imag / _STEP
    assert relative_l2(grad, expected) < tolerance
    assert not grad[:, 2].any()


def test_antialiased_images_come_near_to_many_samples():
    """What 64 samples show, of scenes with outlines over each other and surfaces that cross, but for entangled pixels."""
    for vertices, faces, attributes, size in (boxes(), sphere(2)):
        attributes = attributes if len(vertices) == 32 else vertices[:, :2] / 40
        truth = oracle_hard.supersampled(vertices, faces, size, attributes)
        plain = oracle_hard.supersampled(vertices, faces, size, attributes, 1)
        error = np.abs(premultiplied(draw_hard(vertices, faces, size, dr.Hard(), attributes).image) - truth).max(-1)
        aliased = np.abs(plain - truth).max(-1)
        assert np.sqrt((aliased**2).mean()) > 7 * np.sqrt((error**2).mean())
        assert (error > 0.1).sum() < 0.03 * (aliased > 0.1).sum()


def test_axis_aligned_edges_have_their_area_and_gradient(on):
    """Wherever the edges lie: also in the middle of pixels, where the corner's pixel is a quarter covered."""
    for left in (3.3, 3.5, 3.8):
        vertices = np.array([(left, 2.5, 2), (9.5, 2.5, 2), (9.5, 7.25, 2), (left, 7.25, 2)])
        fragments = dr.rasterize_hard(vertices, np.array([(0, 1, 2), (0, 2, 3)]), (10, 12), backend=on.name)
        out = dr.antialias(fragments, fragments.covered[:, None])
        across = np.clip(np.minimum(np.arange(1, 13), 9.5) - np.maximum(np.arange(12), left), 0, 1)
        down = np.clip(np.minimum(np.arange(1, 11), 7.25) - np.maximum(np.arange(10), 2.5), 0, 1)
        np.testing.assert_allclose(out.image[..., 0], down[:, None] * across, atol=1e-7)
        grad = out.backward(np.ones_like(out.image)).vertices_pixel
        np.testing.assert_allclose(grad[:, :2].sum(axis=0), 0, atol=1e-7)
        half, tall = 4.75 / 2, (9.5 - left) / 2
        expected = [(-half, -tall), (half, -tall), (half, tall), (-half, tall)]
        np.testing.assert_allclose(grad[:, :2], expected, atol=1e-6)


def test_gradients_of_whole_renderings_are_finite_differences():
    """Vertices, colours, light, camera: of a dented sphere, lit, over a background, partly off the image."""
    mesh, camera = bumpy(1), tilted_camera()
    light = dr.Light()
    settings = dr.Hard(background=(0.3, 0.1, 0.2))

    inner = (np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 1, 2]))

    def function(vertices, vertex_colors, rotation, translation, intrinsics):
        K = camera.K.copy()
        K[inner] = intrinsics
        moved = dr.Camera(K, camera.R, camera.t, camera.size).moved(rotation, translation)
        rendering = dr.render(dr.Mesh(vertices, mesh.faces, vertex_colors), moved, settings, light)

        def backward(grad):
            grads = rendering.backward(grad)
            return grads._asdict() | {"intrinsics": grads.K[inner]}

        return rendering.image, backward

    inputs = {
        "vertices": mesh.vertices,
        "vertex_colors": mesh.vertex_colors,
        "rotation": np.zeros(3),
        "translation": np.zeros(3),
        "intrinsics": camera.K[inner],
    }
    check = dr.gradcheck(function, inputs, tolerance=1e-5, directions=4)
    assert check.passed, f"\n{check}"


def test_gradients_where_outlines_and_surfaces_cross():
    """Pixel by pixel along one direction, so that no pixel hides behind the others."""
    vertices, faces, attributes, size = boxes()
    direction = np.random.default_rng(0).normal(size=vertices.shape) * [1, 1, 0.02]

    def draw(step):
        return draw_hard(vertices + step * direction, faces, size, dr.Hard(), attributes)

    out, step = draw(0), 1e-7
    slopes = (draw(step).image[..., 0] - draw(-step).image[..., 0]) / (2 * step)
    pairs, lines = out._fragments.pairs, out._fragments.pairs.owners[:, 0] < 0
    assert lines.sum() > 30
    # Lines that outlines cut, outlines that others cut, and outlines that go under what is beside them.
    assert (pairs.cutters[lines] >= 0).any() and (pairs.cutters[~lines] >= 0).any() and (pairs.cutters < -1).any()
    errors = []
    for pixel in np.unique(pairs.pixels):
        grad = np.zeros(out.image.shape)
        grad.reshape(-1, 4)[pixel, 0] = 1
        found = (out.backward(grad).vertices_pixel * direction).sum()
        errors.append(abs(found - slopes.flat[pixel]) / (1 + abs(slopes.flat[pixel])))
    assert np.abs(slopes).max() > 0.1
    assert max(errors) < 1e-5


def test_a_line_where_two_surfaces_cross_moves_with_depth():
    """Two planes, one tilted; the line between them moves as they do, and the colours' mean with it."""
    vertices = np.array([(-9, -9, 2), (40, -9, 2), (40, 40, 2), (-9, 40, 2)] * 2, float)
    vertices[4:, 2] = [1.5, 2.7, 2.7, 1.5]
    faces = np.array([(0, 1, 2), (0, 2, 3), (4, 5, 6), (4, 6, 7)])
    attributes = np.repeat([(1.0,), (0.0,)], 4, axis=0)
    shift = np.zeros((8, 3))
    shift[4:, 2] = 1
    out = draw_hard(vertices, faces, (20, 30), dr.Hard(), attributes)
    grad = np.ones(out.image.shape)
    slope = (out.backward(grad).vertices_pixel * shift).sum()
    sums = [
        draw_hard(vertices + step * shift, faces, (20, 30), dr.Hard(), attributes).image.sum() for step in (1e-6, -1e-6)
    ]
    expected = (sums[0] - sums[1]) / 2e-6
    assert abs(expected) > 10 and abs(slope - expected) < 1e-5 * abs(expected)


def test_a_moving_convex_surface_never_jumps():
    vertices, faces, attributes, size = sphere(2)
    steps, step = 40, 0.01
    attributes = 0 * attributes + 1
    images = [
        premultiplied(
            draw_hard(vertices + [0.8 * step * k, 0.6 * step * k, 0], faces, size, dr.Hard(), attributes).image
        )
        for k in range(steps)
    ]
    changes = np.abs(np.diff(images, axis=0))
    # An edge across a pixel is at most sqrt(2) long, and the outline has corners.
    assert 0.5 * step < changes.max() < 2 * step


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["any", "grid", "slivers", "behind", "shared"]))
def test_no_scene_gives_nan_or_leaves_its_range(dtype, seed, kind):
    random = np.random.default_rng(seed)
    count = 12
    flat = random.uniform(-6, 22, (count, 2))
    if kind == "grid":
        flat = np.round(2 * flat) / 2
    if kind == "slivers":
        flat[:, 1] = flat[:, 0] * 0.7 + random.choice([0, 1e-9, 1e-5, 1e-2], count)
    depth = random.uniform(-1 if kind == "behind" else 1, 3, count)
    faces = random.integers(0, count, (10, 3))
    if kind != "shared":
        faces[:4] = np.arange(12).reshape(4, 3)
    vertices = np.c_[flat, depth].astype(dtype)
    out = draw_hard(vertices, faces, (16, 18), dr.Hard(), np.ones((count, 1), dtype))
    assert np.isfinite(out.image).all()
    assert out.image.min() > -1e-3 and out.image.max() < 1 + 1e-3
    grads = out.backward(np.ones_like(out.image))
    assert np.isfinite(grads.vertices_pixel).all() and np.isfinite(grads.attributes).all()


def test_the_same_bits_at_any_number_of_threads():
    vertices, faces, attributes, size = boxes()
    grad = np.random.default_rng(0).normal(size=(*size, 4)).astype(np.float32)
    results, before = [], dr.get_num_threads()
    try:
        for threads in (1, 2, 3):
            dr.set_num_threads(threads)
            out = draw_hard(vertices.astype(np.float32), faces, size, dr.Hard(), attributes.astype(np.float32))
            results.append((out.image.tobytes(), out.backward(grad).vertices_pixel.tobytes()))
    finally:
        dr.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_runs_of_any_length_and_place_give_what_single_channels_do():
    """A fan whose runs of pixels are 1 to 30 long and end at the image's right border, too; float64, to rounding."""
    size, random = (18, 37), np.random.default_rng(0)
    around = np.linspace(0, 2 * np.pi, 14)[:-1]
    rim = np.column_stack([20 + 40 * np.cos(around), 8 + 40 * np.sin(around), random.uniform(2, 5, 13)])
    vertices = np.concatenate([[(11.3, 6.2, 3)], rim])
    faces = np.array([(0, k + 1, (k + 1) % 13 + 1) for k in range(13)], np.int32)
    attributes, grad = random.uniform(size=(14, 3)), random.normal(size=(*size, 4))
    together = draw_hard(vertices, faces, size, dr.Hard(), attributes)
    assert (together.alpha > 0).all()
    grads, by_vertices = together.backward(grad), 0
    for channel in range(3):
        alone = draw_hard(vertices, faces, size, dr.Hard(), attributes[:, [channel]])
        np.testing.assert_allclose(together.image[..., channel], alone.image[..., 0], rtol=1e-13)
        given = np.stack([grad[..., channel], grad[..., 3] if channel == 0 else 0 * grad[..., 3]], axis=-1)
        of_channel = alone.backward(given)
        np.testing.assert_allclose(grads.attributes[:, [channel]], of_channel.attributes, rtol=1e-10, atol=1e-11)
        by_vertices = by_vertices + of_channel.vertices_pixel
    np.testing.assert_allclose(grads.vertices_pixel, by_vertices, rtol=1e-10, atol=1e-11)


def test_a_gradient_beside_a_face_has_no_part_in_its_own():
    """Pixels are gone over eight at a time: what is no number where nothing is seen must not reach a face beside it."""
    mesh, camera = bumpy(1), tilted_camera()
    rendering = dr.render(mesh, camera, dr.Hard())
    grad = np.random.default_rng(0).normal(size=rendering.image.shape)
    nothing = rendering.image[..., 3] == 0
    assert nothing.any()
    grad[nothing] = 0
    expected = rendering.backward(grad)
    grad[nothing] = np.nan
    actual = rendering.backward(grad)
    np.testing.assert_array_equal(actual.vertices, expected.vertices)
    np.testing.assert_array_equal(actual.vertex_colors, expected.vertex_colors)


def test_too_little_room_at_first_makes_no_difference(monkeypatch):
    vertices, faces, attributes, size = boxes()
    grad = np.random.default_rng(0).normal(size=(*size, 4))
    enough = draw_hard(vertices, faces, size, dr.Hard(), attributes)
    monkeypatch.setattr("diffrender.fragments._ROOM", 0)
    monkeypatch.setattr("diffrender.fragments._SPARE", 8)
    monkeypatch.setattr("diffrender.fragments._ENTRIES", 0)
    scarce = draw_hard(vertices, faces, size, dr.Hard(), attributes)
    assert len(enough._fragments.pairs.pixels) > 64
    np.testing.assert_array_equal(scarce.image, enough.image)
    np.testing.assert_array_equal(scarce.backward(grad).vertices_pixel, enough.backward(grad).vertices_pixel)


def test_the_stages_compose_to_what_render_shows():
    mesh, camera = bumpy(2, np.float32), tilted_camera()
    rendering = dr.render(mesh, camera, dr.Hard())
    fragments = dr.rasterize_hard(project(mesh.vertices, camera), mesh.faces, camera.size)
    drawn = dr.interpolate(fragments, mesh.vertex_colors)
    image = dr.antialias(fragments, drawn.values)
    bright = rendering.image[..., 3] > 1 / 256  # fainter, colours go over to the background
    np.testing.assert_allclose(image.image[bright], premultiplied(rendering.image)[bright, :3], atol=1e-6)
    assert drawn.image.shape == (*camera.size, 3)
    silhouette = dr.render_silhouette(mesh, camera, dr.Hard())
    assert np.array_equal(silhouette.alpha, rendering.image[..., 3])
    grad = np.random.default_rng(0).normal(size=rendering.image.shape).astype(np.float32)
    grad[..., :3] = 0
    whole, alone = rendering.backward(grad), silhouette.backward(grad[..., 3])
    np.testing.assert_allclose(alone.vertices, whole.vertices, atol=1e-4)
    # The gradients of the stages add up to those of the whole: of colours premultiplied, over black.
    values = drawn.backward(image.backward(np.ones_like(image.image)).values)
    assert np.isfinite(values.vertices_pixel).all() and np.abs(values.attributes).max() > 0


def test_a_seam_is_no_outline():
    mesh, camera = bumpy(1), tilted_camera()
    whole = dr.render(mesh, camera, dr.Hard()).image
    corners = np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3)
    torn = dr.Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), corners, mesh.vertex_colors[mesh.faces].reshape(-1, 3))
    image = dr.render(torn, camera, dr.Hard()).image
    # Where outlines are entangled, the order in which they come may matter.
    assert (np.abs(image - whole)[..., 3] > 1e-9).sum() <= 2
    # Beside an outline each face has its colour at its own nearest point, no farther from the truth.
    other = np.abs(image - whole).max(axis=-1) > 1e-9
    assert 0 < other.mean() < 0.1
    truth = oracle_hard.supersampled(project(mesh.vertices, camera), mesh.faces, camera.size, mesh.vertex_colors)
    errors = [np.sqrt(((premultiplied(each) - truth)[other] ** 2).mean()) for each in (whole, image)]
    assert errors[1] < 1.1 * errors[0]


def flat_sphere():
    """A sphere with a colour on each face."""
    vertices, faces, _, size = sphere(1)
    corners = np.arange(faces.size, dtype=np.int32).reshape(-1, 3)
    colors = np.random.default_rng(0).uniform(size=(len(faces), 3))
    return vertices[faces].reshape(-1, 3), corners, np.repeat(colors, 3, axis=0), size


def aligned_cube(shift):
    """A cube seen along a diagonal of its top: two sides with an upright seam between them, `shift` px from pixels' centres."""
    vertices, faces, colors, camera = cube(turned((0, 1, 0), np.pi / 4))
    camera = dr.Camera.look_at((0, 0, 5), fov_degrees=42, size=camera.size)
    return np.round(project(vertices, camera), 12) + [0.5 + shift, 0.1, 0], faces, colors, camera.size


def tilted_cube():
    vertices, faces, colors, camera = cube(turned((1, 2, 3), 0.3))
    return project(vertices, camera), faces, colors, camera.size


@pytest.mark.parametrize("make", [tilted_cube, lambda: aligned_cube(0), lambda: aligned_cube(0.3), flat_sphere])
def test_seams_are_antialiased_and_have_the_gradient_of_their_areas(make, on):
    """Pixels that seams pass are the mean of both sides' colours, weighed by areas, as the gradient says: exactly."""
    if on.simulated and make is not tilted_cube:
        pytest.skip("the simulator takes seconds for each")
    vertices, faces, colors, size = make()
    out = draw_hard(vertices, faces, size, dr.Hard(), colors, backend=on.name)
    expected = oracle_hard.faceted(vertices, faces, size, colors[faces[:, 0]]).real
    assert 0.2 < expected[..., 3].mean() < 0.8
    seen = expected[..., 3] > 1 / 256  # fainter, colours go over to the background
    np.testing.assert_allclose(premultiplied(out.image)[seen], expected[seen], atol=1e-6)
    np.testing.assert_allclose(out.alpha, expected[..., 3], atol=1e-6)
    grad = np.random.default_rng(1).normal(size=out.image.shape) * seen[..., None]
    found = out.backward(grad).vertices_pixel
    places, copies = np.unique(vertices, axis=0, return_inverse=True)
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=places.shape)[copies.ravel()]
        direction[:, 2] = 0
        moved = oracle_hard.faceted(vertices + 1j * _STEP * direction, faces, size, colors[faces[:, 0]])
        straight = moved / np.where(seen, moved[..., 3], 1)[..., None]
        straight[..., 3] = moved[..., 3]
        slope = (grad * straight.imag).sum() / _STEP
        assert abs((found * direction).sum() - slope) < 1e-5 * np.linalg.norm(found) * np.linalg.norm(direction)


def test_a_turning_cube_with_coloured_faces_never_jumps():
    """One alone, and one before another: what a step moves is all that changes."""
    *one, camera = cube()
    other = 0.4 * cube(turned((1, 0, 2), 1.1))[0] + [0.2, 0.4, 2.2]
    pair = np.concatenate([one[0], other]), np.concatenate([one[1], one[1] + 24]), np.tile(one[2], (2, 1))
    for vertices, faces, colors in (one, pair):
        before, largest = None, 0.0
        for k in range(60):
            pixel = project(vertices @ turned((1, 2, 3), 0.002 * k).T, camera)
            image = premultiplied(draw_hard(pixel, faces, camera.size, dr.Hard(), colors).image)
            if before is not None:
                step = np.linalg.norm(pixel - before[0], axis=1).max()
                largest = max(largest, np.abs(image - before[1]).max() / step)
            before = pixel, image
        assert 0.2 < largest < 2


def test_seams_of_attributes_alone_are_those_of_split_vertices():
    vertices, faces, colors, size = tilted_cube()
    _, first, joined = np.unique(np.round(vertices, 9), axis=0, return_index=True, return_inverse=True)
    split = dr.rasterize_hard(vertices, faces, size)
    whole = dr.rasterize_hard(vertices[first], joined.ravel()[faces], size, attribute_faces=faces)
    one = dr.antialias(split, dr.interpolate(split, colors).values)
    other = dr.antialias(whole, dr.interpolate(whole, colors, faces).values)
    np.testing.assert_allclose(other.image, one.image, atol=1e-9)
    without = dr.rasterize_hard(vertices[first], joined.ravel()[faces], size)
    assert len(without.pairs.pixels) < len(whole.pairs.pixels)
    with pytest.raises(ValueError, match="attribute_faces must be integers"):
        dr.rasterize_hard(vertices, faces, size, attribute_faces=faces[:3])


def test_attributes_at_corners_are_those_at_vertices():
    mesh, camera = bumpy(1), tilted_camera()
    fragments = dr.rasterize_hard(project(mesh.vertices, camera), mesh.faces, camera.size)
    corners = np.arange(mesh.faces.size).reshape(-1, 3)
    one = dr.interpolate(fragments, mesh.vertex_colors, background=0.5)
    other = dr.interpolate(fragments, mesh.vertex_colors[mesh.faces].reshape(-1, 3), corners, background=0.5)
    np.testing.assert_array_equal(one.values, other.values)
    grad = np.random.default_rng(0).normal(size=one.values.shape)
    np.testing.assert_allclose(one.backward(grad).vertices_pixel, other.backward(grad).vertices_pixel, atol=1e-9)


def test_a_background_may_be_one_number_and_a_wrong_one_is_shown():
    mesh, camera = dr.icosphere(1), dr.Camera.look_at(eye=(0, 0, 4), size=(16, 16))
    grey = dr.render(mesh, camera, dr.Hard(background=(0.5, 0.5, 0.5))).image
    np.testing.assert_array_equal(dr.render(mesh, camera, dr.Hard(background=0.5)).image, grey)
    for wrong in (None, (1, 2), ([1, 2], [3, 4], [5, 6])):
        with pytest.raises(ValueError, match="background must"):
            dr.render(mesh, camera, dr.Hard(background=wrong))


def test_wrong_input_is_refused():
    fragments = dr.rasterize_hard(np.array([(1, 1, 1), (5, 1, 1), (1, 5, 1.0)]), np.array([(0, 1, 2)]), (6, 6))
    with pytest.raises(ValueError, match="values must have shape"):
        dr.antialias(fragments, np.zeros((3, 1)))
    with pytest.raises(ValueError, match="attribute_faces"):
        dr.interpolate(fragments, np.zeros((3, 1)), np.array([(0, 1, 3)]))
    with pytest.raises(ValueError, match="near must be positive"):
        dr.Hard(near=0)
    with pytest.raises(ValueError, match="backend must be"):
        dr.render(bumpy(0), tilted_camera(), dr.Hard(), backend="gpu")
    with pytest.raises(ValueError, match="grad_image must have shape"):
        dr.antialias(fragments, fragments.covered[:, None]).backward(np.zeros((6, 6)))


def agree(actual, expected, tolerance):
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_the_backends_agree_where_outlines_and_surfaces_cross(dtype, tolerance, on_cuda):
    vertices, faces, attributes, size = boxes((20, 28))
    vertices, attributes, hard = vertices.astype(dtype), attributes.astype(dtype), dr.Hard(background=(0.2, 0.3, 0.1))
    expected = draw_hard(vertices, faces, size, hard, attributes)
    pairs, lines = expected._fragments.pairs, expected._fragments.pairs.owners[:, 0] < 0
    assert lines.any() and (pairs.cutters[lines] >= 0).any() and (pairs.cutters[~lines] >= 0).any()
    actual = draw_hard(vertices, faces, size, hard, attributes, backend=on_cuda.name)
    agree(actual.image, expected.image, tolerance)
    grad = np.random.default_rng(0).normal(size=expected.image.shape)
    grads, expected_grads = actual.backward(grad), expected.backward(grad)
    assert actual.image.dtype == grads.vertices_pixel.dtype == grads.attributes.dtype == dtype
    agree(grads.vertices_pixel, expected_grads.vertices_pixel, tolerance)
    agree(grads.attributes, expected_grads.attributes, tolerance)
    directions = directions_like(grads, 2)
    agree(actual.jvp(**directions), expected.jvp(**directions), tolerance)
    assert_transposed(actual.image, grads, actual.jvp, grad, tolerance, 1)


def test_centres_on_an_edge_have_a_forward_mode(on):
    """Of a square whose diagonal and sides go through centres of pixels, which are not clipped to their face."""
    vertices = np.array([(2.5, 1.5, 2), (6.5, 1.5, 3), (6.5, 5.5, 2), (2.5, 5.5, 4)])
    faces, colors = np.array([(0, 1, 2), (0, 2, 3)]), np.random.default_rng(0).uniform(size=(4, 3))
    out = draw_hard(vertices, faces, (7, 9), dr.Hard(), colors, backend=on.name)
    grad = np.random.default_rng(1).normal(size=out.image.shape)
    assert_transposed(out.image, out.backward(grad), out.jvp, grad, 1e-12, 1)


@pytest.mark.parametrize("seams", [False, True])
def test_the_backends_agree_stage_by_stage(seams, on_cuda):
    """With attributes at corners, some corners of one face sharing theirs, and a background that has its gradient."""
    scene = scenes.shared_vertices(vertices=7, count=6).window((12, 16))
    random = np.random.default_rng(0)
    corners, attributes = random.integers(0, 9, scene.faces.shape), random.uniform(size=(9, 2))
    grad, results = random.normal(size=(*scene.size, 2)), []
    of_seams = {"attribute_faces": corners} if seams else {}
    for backend in ("cpu", on_cuda.name):
        fragments = dr.rasterize_hard(scene.vertices, scene.faces, scene.size, **of_seams, backend=backend)
        drawn = dr.interpolate(fragments, attributes, corners, background=0.5)
        out = dr.antialias(fragments, drawn.values)
        areas = out.backward(grad)
        pixels = scene.size[0] * scene.size[1] + 1  # places come in an order of the backend's own
        back = drawn.backward(areas.values)
        results.append((drawn.image, out.image, areas.vertices_pixel, areas.values[:pixels], *back, fragments.depth))
    assert (corners[:, 0] == corners[:, 1]).any() and np.abs(results[0][3][-1]).max() > 0
    for expected, actual in zip(*results):
        seen = np.isfinite(expected)
        assert np.array_equal(seen, np.isfinite(actual))
        agree(actual[seen], expected[seen], 1e-12)


@pytest.mark.parametrize("seed", [2, 6])
def test_the_backends_agree_on_what_lies_below_many_sheets(seed, on_cuda):
    """Strips one below the other, whose edges come together in pixels: what lies below them all must be searched for."""
    random, places = np.random.default_rng(seed), []
    for depth in 1 + 0.2 * np.arange(5):
        angle = random.uniform(-1, 1)
        middle, along = random.normal((8, 6), 1.5), np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]]) * random.uniform(0.1, 3)
        for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            places.append((*(middle + 7 * s * along + t * across), random.normal(depth, 0.05)))
    faces = (np.array([(0, 1, 2), (0, 2, 3)]) + 4 * np.arange(5)[:, None, None]).reshape(-1, 3)
    colors = random.uniform(size=(20, 3))
    expected, actual = (
        draw_hard(np.array(places), faces, (12, 16), dr.Hard(), colors, backend=name) for name in ("cpu", on_cuda.name)
    )
    agree(actual.image, expected.image, 1e-12)
    grad = np.random.default_rng(0).normal(size=expected.image.shape)
    agree(actual.backward(grad).vertices_pixel, expected.backward(grad).vertices_pixel, 1e-12)


def test_whole_renderings_agree(on_cuda):
    """A lit mesh that is torn at each edge, so that its links are those of places; its silhouette, and what has a name."""
    mesh, camera = bumpy(0), tilted_camera((14, 18))
    torn = dr.Mesh(
        mesh.vertices[mesh.faces].reshape(-1, 3),
        np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3),
        mesh.vertex_colors[mesh.faces].reshape(-1, 3),
    )
    renderings = [dr.render(torn, camera, dr.Hard(), dr.Light(), backend) for backend in ("cpu", on_cuda.name)]
    agree(renderings[1].image, renderings[0].image, 1e-12)
    grad = np.random.default_rng(0).normal(size=renderings[0].image.shape)
    expected, actual = (rendering.backward(grad) for rendering in renderings)
    for name in ("vertices", "vertex_colors", "rotation", "translation", "K"):
        agree(getattr(actual, name), getattr(expected, name), 1e-10)
    directions = directions_like(expected, 1)
    agree(*(rendering.jvp(**directions) for rendering in renderings[::-1]), 1e-12)
    outlines = [dr.render_silhouette(torn, camera, dr.Hard(), backend) for backend in ("cpu", on_cuda.name)]
    agree(outlines[1].alpha, outlines[0].alpha, 1e-12)
    agree(*(outline.backward(grad[..., 3]).vertices for outline in outlines[::-1]), 1e-10)
    agree(*(outline.jvp(vertices=directions["vertices"]) for outline in outlines[::-1]), 1e-12)
    charted = dr.Mesh(
        mesh.vertices, mesh.faces, uv=np.random.default_rng(1).uniform(size=(9, 2)), faces_uv=mesh.faces % 9
    )
    named = [dr.render_attributes(charted, camera, "uv", dr.Hard(), backend=name) for name in ("cpu", on_cuda.name)]
    agree(named[1].image, named[0].image, 1e-12)
    agree(*(each.backward(grad[..., :2], grad[..., 3]).attributes for each in named[::-1]), 1e-10)
    moved = {"vertices": mesh.vertices[None], "attributes": directions["vertices"][:, :9, :2]}
    agree(*(each.jvp(**moved)[0] for each in named[::-1]), 1e-12)
