"""A texture at fragments, and back, on the device: what `diffrender.cpu.texturing` does, a fragment a thread."""

from numba import cuda

from ..formulas.constants import ONE, ZERO
from ..formulas.texture import squared_step, squared_step_backward
from ..pyramid import CHANNELS as HUES
from .fragments import is_covered
from .jit import device, kernel
from .surface import sample, sample_backward
from .tangent import sample_slopes


@device
def _square_of(slopes, i, sizes):
    """Return the squared size of a fragment's pixel in texels, or 0 if there are no slopes (S, 2, 2)."""
    if len(slopes) == 0:
        return sizes.dtype.type(ZERO)
    return squared_step(slopes[i, 0, 0], slopes[i, 1, 0], slopes[i, 0, 1], slopes[i, 1, 1], sizes[0], sizes[1])


@kernel
def look_up(ids, uv, slopes, texels, offsets, sizes, repeat, background, colors):
    """Fill colors (S, 3) with a texture's at uv (S, 2) where fragments lie on faces, else with `background` (3,).

    slopes (S, 2, 2) choose the level, or there are none.
    """
    sampled = cuda.local.array(HUES, colors.dtype)
    for i in range(cuda.grid(1), len(colors), cuda.gridsize(1)):
        covered = is_covered(ids, i)
        if covered:
            sample(texels, offsets, sizes, repeat, uv[i, 0], uv[i, 1], _square_of(slopes, i, sizes), sampled)
        for channel in range(HUES):
            colors[i, channel] = sampled[channel] if covered else background[channel]


@kernel
def look_up_backward(ids, uv, slopes, texels, offsets, sizes, repeat, grad_colors, grad_uv, grad_slopes, grid, unit):
    """Fill grad_uv (S, 2) and grad_slopes (S, 2, 2), and add texels' gradients to the grid (3 N,), see `sample_backward`."""
    sampled = cuda.local.array(6, uv.dtype)
    grads = cuda.local.array(HUES, uv.dtype)
    for i in range(cuda.grid(1), len(uv), cuda.gridsize(1)):
        felt = False
        for channel in range(HUES):
            grads[channel] = grad_colors[i, channel]
            felt = felt or grads[channel] != ZERO
            sampled[HUES + channel] = ZERO
        if felt and is_covered(ids, i):
            square = _square_of(slopes, i, sizes)
            sample_backward(texels, offsets, sizes, repeat, uv[i, 0], uv[i, 1], square, grads, sampled, grid, unit)
        grad_uv[i, 0] = sampled[3]
        grad_uv[i, 1] = sampled[4]
        if len(slopes) > 0:
            ux, vx, uy, vy = squared_step_backward(
                sampled[5], slopes[i, 0, 0], slopes[i, 1, 0], slopes[i, 0, 1], slopes[i, 1, 1], sizes[0], sizes[1]
            )
            grad_slopes[i, 0, 0] = ux
            grad_slopes[i, 1, 0] = vx
            grad_slopes[i, 0, 1] = uy
            grad_slopes[i, 1, 1] = vy


@kernel
def look_up_tangent(ids, uv, slopes, texels, offsets, sizes, repeat, uv_moves, slope_moves, painted, tangents):
    """Fill tangents (D, S, 3) with how colours change, as uv does (D, S, 2), slopes (D, S, 2, 2), and texels: painted
    (D, 3 N + 1), or none."""
    sampled = cuda.local.array((4, HUES), uv.dtype)
    changed = cuda.local.array(HUES, uv.dtype)
    real = uv.dtype.type
    for i in range(cuda.grid(1), len(uv), cuda.gridsize(1)):
        covered, square = is_covered(ids, i), real(ZERO)
        ux = vx = uy = vy = real(ZERO)
        if covered:
            square = _square_of(slopes, i, sizes)
            sample_slopes(texels, offsets, sizes, repeat, uv[i, 0], uv[i, 1], square, sampled)
        if covered and len(slopes) > 0:
            ux, vx, uy, vy = squared_step_backward(
                real(ONE), slopes[i, 0, 0], slopes[i, 1, 0], slopes[i, 0, 1], slopes[i, 1, 1], sizes[0], sizes[1]
            )
        for d in range(len(tangents)):
            wider = real(ZERO)
            if covered and len(slopes) > 0:
                wider = ux * slope_moves[d, i, 0, 0] + vx * slope_moves[d, i, 1, 0]
                wider += uy * slope_moves[d, i, 0, 1] + vy * slope_moves[d, i, 1, 1]
            for channel in range(HUES):
                changed[channel] = ZERO
            if covered and len(painted) > 0:
                sample(painted[d], offsets, sizes, repeat, uv[i, 0], uv[i, 1], square, changed)
            for channel in range(HUES):
                change = changed[channel]
                if covered:
                    change += sampled[1, channel] * uv_moves[d, i, 0] + sampled[2, channel] * uv_moves[d, i, 1]
                    if sampled[3, channel] != ZERO:  # where the level does not depend on the size, that may be infinite
                        change += sampled[3, channel] * wider
                tangents[d, i, channel] = change


@kernel
def multiply(values, colors, products):
    """Fill products (S, 4) with the first three channels of values (S, 4) times colors (S, 3), and the last one as it is."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        for channel in range(HUES):
            products[i, channel] = values[i, channel] * colors[i, channel]
        products[i, HUES] = values[i, HUES]


@kernel
def multiply_backward(values, colors, grad_products, grad_colors):
    """Turn grad_products (S, 4) into the gradient of the values, in place, and fill grad_colors (S, 3)."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        for channel in range(HUES):
            grad = grad_products[i, channel]
            grad_colors[i, channel] = grad * values[i, channel]
            grad_products[i, channel] = grad * colors[i, channel]


@kernel
def multiply_tangent(values, colors, color_moves, tangents):
    """Turn how values change (D, S, 4) into how their products with colours (S, 3) do, which change too (D, S, 3)."""
    count = len(values)
    for i in range(cuda.grid(1), len(tangents) * count, cuda.gridsize(1)):
        d, row = i // count, i % count
        for channel in range(HUES):
            by = tangents[d, row, channel] * colors[row, channel]
            tangents[d, row, channel] = by + values[row, channel] * color_moves[d, row, channel]
