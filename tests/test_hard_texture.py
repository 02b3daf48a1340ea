"""Textures and attributes in hard rendering against an oracle, finite differences and their promises."""

import numpy as np
import oracle
import oracle_hard
import pytest
import scenes
from gradcheck import relative_l2
from meshes import bumpy, tilted_camera
from test_hard import agree, boxes
from test_jvp import assert_transposed, directions_like
from test_rendering import textured as textured_mesh

import diffrender as dr
from diffrender.camera import project
from diffrender.hard import Cover, draw_hard

_STEP = 1e-30
SIDE = (7, 10)  # of the image of a texture: odd and even


def covered_sphere(size=(15, 17), seed=3):
    """A sphere whose vertices lie anywhere in a texture, without seams: (faces, size, its inputs by name, faces_uv)."""
    scene, random = scenes.sphere(1, size), np.random.default_rng(seed)
    count = 2 * len(scene.vertices)
    inputs = {
        "vertices": scene.vertices,
        "colors": scene.attributes(3),
        "uv": random.uniform(-0.3, 1.3, (count, 2)) * random.choice([0.3, 1], (count, 1)),
        "texture": random.uniform(size=(*SIDE, 3)),
    }
    return (
        scene.faces.astype(np.int32),
        scene.size,
        inputs,
        random.permutation(count).astype(np.int32)[scene.faces],
    )


def textured(faces, size, vertices, colors, uv, texture, faces_uv, wrap, filter):
    """Return what `oracle_hard.outlined` does, of colours times a texture, and where two edges are equally near: there a vertex is,
    and which of its faces is taken decides on uv and the level."""
    levels = oracle._levels(texture) if filter == "trilinear" else [texture]
    real = vertices.real
    numbers = {(int(f[k]), int(f[(k + 1) % 3])): n for n, f in enumerate(faces) for k in range(3)}
    edges = oracle_hard._outline(real, faces)
    polygon = vertices[[a for a, _ in edges], :2]
    image, doubtful = np.zeros((*size, 4), complex), np.zeros(size, bool)
    centers, _, _, _ = oracle_hard.seen(real, faces, *(np.mgrid[0 : size[0], 0 : size[1]][::-1] + 0.5))

    def value(number, shares):
        corners, places = vertices[faces[number]], uv[faces_uv[number]]
        over = np.array([share / corner[2] for share, corner in zip(shares, corners)])
        weights = over / over.sum()
        (u, v), last = weights @ places, len(levels) - 1
        level = oracle._level(corners, places, u, v, over.sum(), texture.shape, last)
        return weights @ colors[faces[number]] * oracle._sample(levels, level, np.array(u), np.array(v), wrap)

    for row, column in np.ndindex(size):
        x, y, seen = column + 0.5, row + 0.5, centers[row, column]
        passing = [(i, j) for i, j in edges if oracle_hard._passes(real[i, :2], real[j, :2], x, y)]
        color, area = 0, 1 if seen >= 0 else 0
        if seen >= 0:
            a, b, c = vertices[faces[seen]]
            whole = oracle_hard._cross(b - a, c - a)
            pairs = ((b, c), (c, a), (a, b))
            color = value(seen, [((p[0] - x) * (q[1] - y) - (p[1] - y) * (q[0] - x)) / whole for p, q in pairs])
        if passing:
            area = oracle_hard._area(oracle_hard._clip_to_pixel(polygon, column, row))
            found = []
            for i, j in passing:
                start, along = vertices[i, :2] - [x, y], vertices[j, :2] - vertices[i, :2]
                t = -(start @ along) / (along @ along)
                t = t if 0 < t.real < 1 else min(max(t.real, 0), 1)
                found.append((np.linalg.norm((start + t * along).real), i, j, t))
            distance, i, j, t = min(found, key=lambda edge: edge[0])
            doubtful[row, column] = sum(edge[0] < distance + 1e-9 for edge in found) > 1
            face = list(faces[numbers[i, j]])
            shares = np.zeros(3, complex)
            shares[face.index(i)], shares[face.index(j)] = 1 - t, t
            color = color if seen >= 0 else value(numbers[i, j], shares)
            color = color if area.real > 1 / 256 else color * area * 256
        image[row, column, :3], image[row, column, 3] = color, area
    return image, doubtful


@pytest.mark.parametrize("wrap, filter", [("clamp", "trilinear"), ("repeat", "bilinear")])
def test_a_textured_surface_and_all_its_gradients_are_the_oracles(wrap, filter):
    faces, size, inputs, faces_uv = covered_sphere()
    expected, doubtful = textured(faces, size, **inputs, faces_uv=faces_uv, wrap=wrap, filter=filter)
    assert 0.2 < expected[..., 3].real.mean() < 0.8 and doubtful.mean() < 0.1
    grad = np.random.default_rng(1).normal(size=expected.shape) * ~doubtful[..., None]
    found = {}
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 2e-4)):
        vertices, colors, uv, image = (values.astype(dtype) for values in inputs.values())
        cover = Cover(dr.Texture(image, wrap, filter), uv, faces_uv)
        out = draw_hard(vertices, faces, size, dr.Hard(), colors, cover=cover)
        assert np.abs(out.image - expected.real)[~doubtful].max() < tolerance
        grads = out.backward(grad)
        found[dtype] = {
            "vertices": grads.vertices_pixel,
            "colors": grads.attributes,
            "uv": grads.uv,
            "texture": grads.texture,
        }
        assert all(value.dtype == dtype for value in found[dtype].values())
    for name, values in inputs.items():
        gradient = found[np.float64][name]
        for seed in range(2):
            direction = np.random.default_rng(seed).normal(size=values.shape)
            moved = inputs | {name: values + 1j * _STEP * direction}
            image, _ = textured(faces, size, **moved, faces_uv=faces_uv, wrap=wrap, filter=filter)
            slope = (grad * image.imag).sum() / _STEP
            bound = 1e-6 * np.linalg.norm(gradient) * np.linalg.norm(direction)
            assert abs((gradient * direction).sum() - slope) < bound, name
        assert relative_l2(found[np.float32][name], gradient) < 1e-3, name


@pytest.mark.parametrize("wrap, filter", [("clamp", "trilinear"), ("repeat", "bilinear")])
def test_seams_of_a_texture_are_antialiased_and_have_the_gradient_of_their_areas(wrap, filter):
    """Each face lies in a texel of its own: pixels are the mean of the texels seen in them, weighed by exact areas."""
    scene, random = scenes.sphere(1, (26, 31)), np.random.default_rng(3)
    vertices, faces = scene.vertices, scene.faces.astype(np.int32)
    count, ones = len(faces), np.ones_like(scene.attributes(3))
    texels = random.uniform(size=(8, count // 8, 3))
    row, column = np.divmod(random.permutation(count), count // 8)
    uv = np.stack([(column + 0.5) / (count // 8), (row + 0.5) / 8], axis=1)
    faces_uv = np.repeat(np.arange(count, dtype=np.int32)[:, None], 3, axis=1)
    out = draw_hard(
        vertices, faces, scene.size, dr.Hard(), ones, cover=Cover(dr.Texture(texels, wrap, filter), uv, faces_uv)
    )
    expected = oracle_hard.faceted(vertices, faces, scene.size, texels[row, column]).real
    assert 0.2 < expected[..., 3].mean() < 0.8
    seen = expected[..., 3] > 1 / 256  # fainter, colours go over to the background
    premultiplied = np.concatenate([out.image[..., :3] * out.image[..., 3:], out.image[..., 3:]], axis=-1)
    np.testing.assert_allclose(premultiplied[seen], expected[seen], atol=1e-6)
    grad = np.random.default_rng(1).normal(size=out.image.shape) * seen[..., None]
    grads = out.backward(grad)
    for name, found in (("vertices", grads.vertices_pixel), ("texture", grads.texture)):
        direction = np.random.default_rng(2).normal(size=found.shape)
        inputs = {"vertices": vertices, "texture": texels}
        if name == "vertices":
            direction[:, 2] = 0
        inputs[name] = inputs[name] + 1j * _STEP * direction
        image = oracle_hard.faceted(inputs["vertices"], faces, scene.size, inputs["texture"][row, column])
        straight = image / np.where(seen, image[..., 3], 1)[..., None]
        straight[..., 3] = image[..., 3]
        slope = (grad * straight.imag).sum() / _STEP
        assert abs((found * direction).sum() - slope) < 1e-5 * np.linalg.norm(found) * np.linalg.norm(direction), name


def test_a_seam_across_which_a_texture_goes_on_is_not_seen():
    faces, size, inputs, faces_uv = covered_sphere((40, 52))
    uv, image = 0.1 * inputs["uv"], inputs["texture"]
    vertices, colors = inputs["vertices"], inputs["colors"]
    own = np.arange(faces.size, dtype=np.int32).reshape(-1, 3)

    def draw(uv, faces_uv):
        cover = Cover(dr.Texture(image, filter="bilinear"), uv, faces_uv)
        return draw_hard(vertices, faces, size, dr.Hard(), colors, cover=cover)

    whole, torn = draw(uv, faces_uv), draw(uv[faces_uv].reshape(-1, 2), own)
    assert len(torn._fragments.pairs.pixels) > 3 * len(whole._fragments.pairs.pixels)
    covered = whole.alpha == 1  # beside an outline each face has its colour at its own nearest point
    assert covered.mean() > 0.3
    # Where several seams meet in a pixel, each side has its colour at the one that is nearest to it.
    change = np.abs(torn.image - whole.image)[covered].max(axis=-1)
    assert (change > 1e-9).mean() < 0.05 and change.max() < 0.02


@pytest.mark.parametrize("perspective", [True, False])
def test_slopes_are_how_values_change_as_the_picture_is_shifted(perspective):
    scene = scenes.sphere(1)
    attributes, step = scene.attributes(2), 1e-6

    def draw(x, y):
        fragments = dr.rasterize_hard(scene.vertices - [x, y, 0], scene.faces, scene.size)
        return dr.interpolate(fragments, attributes, None, perspective), fragments.face_ids

    drawn, ids = draw(0, 0)
    slopes = drawn.slopes[: ids.size].reshape(*scene.size, 2, 2)
    for axis, way in enumerate(((step, 0), (0, step))):
        (after, after_ids), (before, before_ids) = draw(*way), draw(*(-part for part in way))
        same = (after_ids == ids) & (before_ids == ids) & (ids >= 0)
        assert same.sum() > 100
        expected = (after.image - before.image)[same] / (2 * step)
        np.testing.assert_allclose(slopes[same, :, axis], expected, atol=1e-8)
    assert np.abs(slopes).max() > 0.05 and not slopes[ids < 0].any()


def test_gradients_of_whole_renderings_are_finite_differences():
    """Of a lit and textured surface that the near plane cuts, and of what has a name."""
    mesh, camera = bumpy(1), tilted_camera()
    random = np.random.default_rng(0)
    faces_uv = random.integers(0, 70, mesh.faces.shape).astype(np.int32)
    given = {
        "vertices": mesh.vertices,
        "vertex_colors": mesh.vertex_colors,
        "uv": random.uniform(-0.3, 1.3, (70, 2)),
        "texture": random.uniform(0.1, 0.9, (*SIDE, 3)),
        "translation": np.zeros(3),
    }

    def function(vertices, vertex_colors, uv, texture, translation):
        covered = dr.Mesh(vertices, mesh.faces, vertex_colors, uv, faces_uv, dr.Texture(texture))
        settings = dr.Hard(background=(0.3, 0.1, 0.2), near=3.2)
        rendering = dr.render(covered, camera.moved(np.zeros(3), translation), settings, dr.Light())
        return rendering.image, lambda grad: rendering.backward(grad)._asdict()

    check = dr.gradcheck(function, given, tolerance=1e-5, directions=3)
    assert check.passed, f"\n{check}"


def test_the_stages_compose_to_what_render_shows():
    mesh, camera = bumpy(1, np.float32), tilted_camera()
    random = np.random.default_rng(0)
    faces_uv = random.integers(0, 70, mesh.faces.shape)
    texture = dr.Texture(random.uniform(size=(*SIDE, 3)).astype(np.float32))
    covered = dr.Mesh(mesh.vertices, mesh.faces, None, random.uniform(size=(70, 2)), faces_uv, texture)
    rendering = dr.render(covered, camera, dr.Hard())
    fragments = dr.rasterize_hard(
        project(covered.vertices, camera), covered.faces, camera.size, attribute_faces=faces_uv
    )
    uv = dr.interpolate(fragments, covered.uv, covered.faces_uv)
    colors = dr.sample_texture(fragments, texture, uv.values, uv.slopes)
    image = dr.antialias(fragments, colors.values)
    bright = rendering.image[..., 3] > 1 / 256  # fainter, colours go over to the background
    premultiplied = rendering.image[..., :3] * rendering.image[..., 3:]
    np.testing.assert_allclose(image.image[bright], premultiplied[bright], atol=1e-6)
    # And back: of an image premultiplied, so that no colour is divided by a small alpha.
    grad = random.normal(size=image.image.shape).astype(np.float32)
    of_image = image.backward(grad)
    of_colors = colors.backward(of_image.values)
    of_uv = uv.backward(of_colors.uv, of_colors.slopes)
    alpha = rendering.image[..., 3:]
    straight = np.concatenate([grad * alpha, (grad * rendering.image[..., :3]).sum(-1, keepdims=True)], axis=-1)
    whole = rendering.backward(straight * bright[..., None])
    assert relative_l2(of_uv.attributes, whole.uv) < 1e-3
    assert relative_l2(of_colors.texture, whole.texture) < 1e-3
    assert np.abs(of_image.vertices_pixel + of_uv.vertices_pixel).max() > 0


@pytest.mark.parametrize("filter", ["bilinear", "trilinear"])
def test_a_texture_of_one_color_is_that_color(filter):
    faces, size, inputs, faces_uv = covered_sphere((26, 31))
    color, settings = np.array([0.25, 0.5, 1.0]), dr.Hard(background=(0.1, 0.2, 0.3))
    cover = Cover(dr.Texture(np.broadcast_to(color, (*SIDE, 3)), filter=filter), inputs["uv"], faces_uv)
    ones = np.ones_like(inputs["colors"])
    out = draw_hard(inputs["vertices"], faces, size, settings, ones, cover=cover)
    plain = draw_hard(inputs["vertices"], faces, size, settings, ones * color)
    np.testing.assert_allclose(out.image, plain.image, atol=1e-12)
    grad = np.random.default_rng(2).normal(size=out.image.shape)
    grads, expected = out.backward(grad), plain.backward(grad)
    np.testing.assert_allclose(grads.vertices_pixel, expected.vertices_pixel, atol=1e-10)
    np.testing.assert_allclose(grads.texture.sum(axis=(0, 1)), expected.attributes.sum(axis=0), rtol=1e-9)
    assert np.abs(grads.uv).max() < 1e-11


def test_the_same_bits_at_any_number_of_threads():
    faces, size, inputs, faces_uv = covered_sphere((40, 52))
    vertices, colors, uv, image = (values.astype(np.float32) for values in inputs.values())
    grad = np.random.default_rng(0).normal(size=(*size, 4)).astype(np.float32)
    bits, before = set(), dr.get_num_threads()
    try:
        for threads in (1, 2, 3):
            dr.set_num_threads(threads)
            out = draw_hard(vertices, faces, size, dr.Hard(), colors, cover=Cover(dr.Texture(image), uv, faces_uv))
            grads = out.backward(grad)
            arrays = (out.image, grads.vertices_pixel, grads.attributes, grads.uv, grads.texture)
            bits.add(b"".join(array.tobytes() for array in arrays))
    finally:
        dr.set_num_threads(before)
    assert len(bits) == 1


def checkered_floor(size):
    """A plane in steep perspective with a checkerboard: (vertices in pixels, faces, uv, image of the texture)."""
    corners = np.array([(-3, 0.4, 0.8), (3, 0.4, 0.8), (3, 0.4, 9), (-3, 0.4, 9)], float)
    flat = corners[:, :2] / corners[:, 2:] * size[1] / 2 + [size[1] / 2, size[0] * 0.2]
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    squares = (np.indices((128, 128)).sum(axis=0) % 2)[..., None] * np.ones(3)
    return np.c_[flat, corners[:, 2]], np.array([(0, 1, 2), (0, 2, 3)], np.int32), uv, squares


def test_colors_stay_within_those_of_the_texture():
    """Also on outlines, where a texture that is not filtered changes by more than its whole range within a pixel."""
    faces, size, inputs, faces_uv = covered_sphere((40, 52))
    texture = dr.Texture(np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.ones(3), filter="bilinear")
    cover = Cover(texture, inputs["uv"], faces_uv)
    out = draw_hard(inputs["vertices"], faces, size, dr.Hard(), np.ones_like(inputs["colors"]), cover=cover)
    assert out.image.min() > -1e-9 and out.image.max() < 1 + 1e-9


def test_mip_maps_come_near_to_the_mean_over_each_pixel():
    size, samples = (48, 64), 16
    vertices, faces, uv, squares = checkered_floor(size)

    def draw(filter, scale=1):
        cover = Cover(dr.Texture(squares, filter=filter), uv, faces)
        scaled = vertices * [scale, scale, 1]
        whole = (size[0] * scale, size[1] * scale)
        return draw_hard(scaled, faces, whole, dr.Hard(), np.ones((4, 3)), cover=cover).image[..., 0]

    truth = draw("bilinear", samples).reshape(size[0], samples, size[1], samples).mean(axis=(1, 3))
    covered = draw_hard(vertices, faces, size, dr.Hard(), np.ones((4, 3))).alpha == 1
    aliased, filtered = ((draw(filter) - truth)[covered] for filter in ("bilinear", "trilinear"))
    assert covered.mean() > 0.2
    assert np.sqrt((filtered**2).mean()) < 0.4 * np.sqrt((aliased**2).mean())


def test_attributes_are_what_a_pixel_sees():
    mesh, camera = bumpy(2), tilted_camera()
    hard = dr.Hard()
    fragments = dr.rasterize_hard(project(mesh.vertices, camera), mesh.faces, camera.size)
    plain = np.isin(np.arange(fragments.face_ids.size), fragments.pairs.pixels, invert=True).reshape(camera.size)
    seen, empty = plain & (fragments.face_ids >= 0), plain & (fragments.face_ids < 0)
    assert seen.sum() > 100 and empty.sum() > 100
    depth = dr.render_attributes(mesh, camera, "depth", hard, background=7.0)
    np.testing.assert_allclose(depth.image[seen, 0], fragments.depth[seen], rtol=1e-9)
    assert (depth.image[empty] == 7).all() and np.array_equal(
        depth.alpha, dr.render_silhouette(mesh, camera, hard).alpha
    )
    # Each pixel's position is on the ray through its centre.
    positions = dr.render_attributes(mesh, camera, "positions_world", hard).image
    rows, columns = np.nonzero(seen)
    np.testing.assert_allclose(project(positions[seen], camera)[:, :2], np.c_[columns + 0.5, rows + 0.5], atol=1e-7)
    # Colours are attributes like others, and a vertex array's image is the vertex colours'.
    colors = dr.render_attributes(mesh, camera, mesh.vertex_colors, hard)
    np.testing.assert_allclose(colors.image, dr.render(mesh, camera, hard).image[..., :3], atol=1e-12)


def test_gradients_of_attributes_in_single_precision_are_those_in_double():
    random, camera = np.random.default_rng(0), tilted_camera()
    mesh = bumpy(1)
    faces_uv = random.integers(0, 70, mesh.faces.shape)
    uv, attributes = random.uniform(size=(70, 2)), random.normal(size=(len(mesh.vertices), 4))
    for what in ("depth", "normals_camera", "uv", attributes):
        found = []
        for dtype in (np.float64, np.float32):
            given = what if isinstance(what, str) else what.astype(dtype)
            drawn = dr.Mesh(mesh.vertices.astype(dtype), mesh.faces, None, uv, faces_uv)
            out = dr.render_attributes(drawn, camera, given, dr.Hard())
            weights = np.random.default_rng(1)
            grads = out.backward(weights.normal(size=out.image.shape), weights.normal(size=out.alpha.shape))
            assert grads.vertices.dtype == dtype
            found.append([value for value in grads if value is not None])
        assert all(np.any(value) for value in found[0][:2])
        assert all(relative_l2(single, double) < 2e-3 for double, single in zip(*found))


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_the_forward_mode_is_the_transpose_of_the_way_back(dtype, tolerance):
    """Where outlines and surfaces cross, and of a texture in its places."""
    vertices, faces, colors, size = boxes()
    crossing = draw_hard(vertices.astype(dtype), faces, size, dr.Hard(), colors.astype(dtype))
    assert (crossing._fragments.pairs.owners[:, 0] < 0).any() and (crossing._fragments.pairs.cutters < -1).any()
    faces, size, inputs, faces_uv = covered_sphere()
    vertices, colors, uv, image = (values.astype(dtype) for values in inputs.values())
    cover = Cover(dr.Texture(image, "clamp"), uv, faces_uv)
    settings = dr.Hard(background=(0.1, 0.2, 0.3), perspective_correct=False)
    for out in (crossing, draw_hard(vertices, faces, size, settings, colors, cover=cover)):
        grad = np.random.default_rng(1).normal(size=out.image.shape).astype(dtype)
        assert_transposed(out.image, out.backward(grad), out.jvp, grad, tolerance)
    silhouette = draw_hard(vertices, faces, size, dr.Hard(), None)
    grad = np.random.default_rng(1).normal(size=silhouette.image.shape).astype(dtype)
    assert_transposed(silhouette.image, silhouette.backward(grad), silhouette.jvp, grad, tolerance)


@pytest.mark.parametrize("filter", ["", "trilinear"])
def test_whole_renderings_have_a_forward_mode(filter):
    mesh = textured_mesh(bumpy(1), filter) if filter else bumpy(1)
    settings = dr.Hard(background=(0.3, 0.1, 0.2), near=3.2)
    rendering = dr.render(mesh, tilted_camera(), settings, dr.Light())
    grad = np.random.default_rng(1).normal(size=rendering.image.shape)
    assert_transposed(rendering.image, rendering.backward(grad), rendering.jvp, grad, 1e-12)


def torn_sphere(size, dtype):
    """The sphere of `covered_sphere`, all of whose edges are seams: (vertices, colors, uv, texture's image), faces, faces_uv."""
    faces, _, inputs, _ = covered_sphere(size)
    faces_uv = np.random.default_rng(5).integers(0, len(inputs["uv"]), faces.shape).astype(np.int32)
    return [values.astype(dtype) for values in inputs.values()], faces, faces_uv


@pytest.mark.parametrize("wrap, dtype, tolerance", [("clamp", np.float64, 1e-12), ("repeat", np.float32, 1e-5)])
def test_the_backends_agree_on_a_texture(wrap, dtype, tolerance, on_cuda):
    """On its seams and over a background: image, gradients, and the forward mode, which is the transpose of the way back."""
    size = (8, 10)
    (vertices, colors, uv, image), faces, faces_uv = torn_sphere(size, dtype)
    cover, settings = Cover(dr.Texture(image, wrap), uv, faces_uv), dr.Hard(background=(0.1, 0.2, 0.3))
    expected, actual = (
        draw_hard(vertices, faces, size, settings, colors, cover=cover, backend=name) for name in ("cpu", on_cuda.name)
    )
    assert 0.2 < expected.alpha.mean() < 0.8 and len(expected._fragments.pairs.pixels) > 50
    agree(actual.image, expected.image, tolerance)
    grad = np.random.default_rng(1).normal(size=expected.image.shape).astype(dtype)
    grads, expected_grads = actual.backward(grad), expected.backward(grad)
    for name, value in expected_grads._asdict().items():
        assert getattr(grads, name).dtype == dtype
        agree(getattr(grads, name), value, tolerance)
    directions = directions_like(grads, 2)
    agree(actual.jvp(**directions), expected.jvp(**directions), tolerance)
    assert_transposed(actual.image, grads, actual.jvp, grad, tolerance, 1)


def test_the_backends_agree_on_a_texture_stage_by_stage(on_cuda):
    """Values of more channels have slopes too, and gradients of these without those of values."""
    size, results = (8, 10), []
    (vertices, _, uv, image), faces, faces_uv = torn_sphere(size, np.float64)
    random = np.random.default_rng(2)
    attributes, grad = random.normal(size=(len(uv), 3)), random.normal(size=(*size, 3))
    for backend in ("cpu", on_cuda.name):
        fragments = dr.rasterize_hard(vertices, faces, size, attribute_faces=faces_uv, backend=backend)
        places = dr.interpolate(fragments, uv, faces_uv, perspective_correct=False)
        sampled = dr.sample_texture(fragments, dr.Texture(image), places.values, places.slopes, (0.3, 0.2, 0.1))
        out = dr.antialias(fragments, sampled.values)
        of_sampled = sampled.backward(out.backward(grad).values)
        back = places.backward(of_sampled.uv, of_sampled.slopes)
        drawn = dr.interpolate(fragments, attributes, faces_uv)
        count, own = (
            size[0] * size[1] + 1,
            np.zeros((fragments.count, 3, 2)),
        )  # places come in an order of the backend's own
        own[:count] = np.random.default_rng(3).normal(size=(count, 3, 2))
        alone = drawn.backward(np.zeros(drawn.values.shape), own)
        assert not np.array_equal(back.attributes, places.backward(of_sampled.uv).attributes)
        results.append((out.image, sampled.values[:count], places.slopes[:count], of_sampled.texture, *back, *alone))
    for expected, actual in zip(*results):
        agree(actual, expected, 1e-12)
    with pytest.raises(ValueError, match="grad_slopes must have shape"):
        places.backward(places.values, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="grad_values must have shape"):
        sampled.backward(np.zeros((3, 3)))


def test_whole_textured_renderings_agree(on_cuda):
    """Lit, not filtered, and cut by the near plane."""
    mesh, settings = textured_mesh(bumpy(0), "bilinear"), dr.Hard(background=(0.3, 0.1, 0.2), near=3.2)
    expected, actual = (
        dr.render(mesh, tilted_camera((10, 13)), settings, dr.Light(), name) for name in ("cpu", on_cuda.name)
    )
    agree(actual.image, expected.image, 1e-12)
    grad = np.random.default_rng(0).normal(size=expected.image.shape)
    grads, expected_grads = actual.backward(grad), expected.backward(grad)
    for name in ("vertices", "rotation", "translation", "uv", "texture"):
        agree(getattr(grads, name), getattr(expected_grads, name), 1e-10)
    directions = directions_like(expected_grads, 1)
    agree(actual.jvp(**directions), expected.jvp(**directions), 1e-12)


def test_wrong_input_is_refused():
    fragments = dr.rasterize_hard(np.array([(1, 1, 1), (5, 1, 1), (1, 5, 1.0)]), np.array([(0, 1, 2)]), (6, 6))
    texture, places = dr.Texture(np.zeros((2, 2, 3))), np.zeros((fragments.count, 2))
    with pytest.raises(ValueError, match="uv must have shape"):
        dr.sample_texture(fragments, texture, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="a trilinear texture needs slopes"):
        dr.sample_texture(fragments, texture, places)
    with pytest.raises(ValueError, match="grad_values must have shape"):
        dr.sample_texture(fragments, dr.Texture(texture.image, filter="bilinear"), places).backward(np.zeros((3, 3)))
    drawn = dr.interpolate(fragments, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="grad_slopes must have shape"):
        drawn.backward(drawn.values, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="uv"):
        dr.render_attributes(bumpy(0), tilted_camera(), "uv", dr.Hard())
    rendering = dr.render_attributes(bumpy(0), tilted_camera(), "depth", dr.Hard())
    with pytest.raises(ValueError, match="grad_alpha must have shape"):
        rendering.backward(rendering.image, np.zeros((2, 2)))
