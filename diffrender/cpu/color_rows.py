"""Pairs of rows of a coloured image (H, W, C + 1), alpha being its last channel, to the memory of a strip and back.

Three channels and alpha are taken LANES pixels at a time. An odd image ends with half a pair, see `diffrender.cpu.rows`.
"""

from ..formulas.constants import ONE, ZERO
from ..formulas.peak import alpha_of
from ..jit import formula
from ..lanes import LANES, at, fma, load, load_apart, load_four, put, select, store, store_four, store_together
from .rows import second_of


@formula
def take_image(
    odds,
    total,
    maximum,
    blend,
    size,
    place,
    row,
    bottom,
    lowest,
    shape,
    owners,
    image,
    transmittance,
    maxima,
    inverse_sums,
):
    """Fill a pair of rows of the image, of transmittance and of the softmax's maximum and inverse sum (H, W) from the strip."""
    last, _ = second_of(row, bottom)
    arrays = (odds, total, maximum, blend)
    how = (size, lowest, shape, owners)
    into0 = (image[row], transmittance[row], maxima[row], inverse_sums[row])
    into1 = (image[last], transmittance[last], maxima[last], inverse_sums[last])
    width, channels = maxima.shape[1], image.shape[2] - 1
    full = width - width % LANES if channels == 3 else 0
    for column in range(0, full, LANES):
        begin = place + 2 * column
        odds0, odds1 = load_apart(odds, begin)
        total0, total1 = load_apart(total, begin)
        maximum0, maximum1 = load_apart(maximum, begin)
        red0, red1 = load_apart(blend, begin)
        green0, green1 = load_apart(blend, size + begin)
        blue0, blue1 = load_apart(blend, 2 * size + begin)
        _take_lanes(odds1, total1, maximum1, red1, green1, blue1, lowest, shape, owners, column, into1)
        _take_lanes(odds0, total0, maximum0, red0, green0, blue0, lowest, shape, owners, column, into0)
    for column in range(full, width):
        _take_pixel(arrays, place + 2 * column + 1, how, column, channels, into1)
        _take_pixel(arrays, place + 2 * column, how, column, channels, into0)


@formula
def _take_lanes(odds, total, maximum, red, green, blue, lowest, shape, owners, column, into):
    image, transmittance, maxima, inverse_sums = into
    alpha, rest = alpha_of(odds, lowest, shape, owners)
    inverse = ONE / total
    store_four(image, 4 * column, red * inverse, green * inverse, blue * inverse, alpha)
    store(transmittance, column, rest)
    store(maxima, column, maximum)
    store(inverse_sums, column, inverse)


@formula
def _take_pixel(arrays, place, how, column, channels, into):
    odds, total, maximum, blend = arrays
    size, lowest, shape, owners = how
    image, transmittance, maxima, inverse_sums = into
    inverse = ONE / at(total, place)
    for channel in range(channels):
        image[column, channel] = at(blend, channel * size + place) * inverse
    image[column, channels], transmittance[column] = alpha_of(at(odds, place), lowest, shape, owners)
    maxima[column], inverse_sums[column] = at(maximum, place), inverse


@formula
def put_upstream_image(
    transmittance, image, grad_image, row, bottom, vanished, upstream, upstream_color, mean, size, place
):
    """Write of a pair of rows of grad_image to the strip: of alpha, times T, or 0 where that has vanished; of colour; and the sum
    of its products with the colour, to `mean`."""
    last, there = second_of(row, bottom)
    transmittance0, transmittance1 = transmittance[row], transmittance[last]
    image0, image1, grad0, grad1 = image[row], image[last], grad_image[row], grad_image[last]
    width, channels = transmittance.shape[1], image.shape[2] - 1
    full = width - width % LANES if channels == 3 else 0
    for column in range(0, full, LANES):
        begin = place + 2 * column
        t0, t1 = load(transmittance0, column), load(transmittance1, column) * there
        red0, green0, blue0, above0 = load_four(grad0, 4 * column)
        red1, green1, blue1, above1 = load_four(grad1, 4 * column)
        store_together(
            upstream,
            begin,
            select(t0 > vanished, above0 * t0, ZERO),
            select(t1 > vanished, above1 * t1, ZERO),
        )
        red1, green1, blue1 = red1 * there, green1 * there, blue1 * there
        store_together(upstream_color, begin, red0, red1)
        store_together(upstream_color, size + begin, green0, green1)
        store_together(upstream_color, 2 * size + begin, blue0, blue1)
        r0, g0, b0, _ = load_four(image0, 4 * column)
        r1, g1, b1, _ = load_four(image1, 4 * column)
        mean0 = fma(blue0, b0, fma(green0, g0, red0 * r0))
        store_together(mean, begin, mean0, fma(blue1, b1, fma(green1, g1, red1 * r1)))
    for column in range(full, width):
        begin = place + 2 * column
        t0, t1 = transmittance0[column], transmittance1[column] * there
        put(upstream, begin, grad0[column, channels] * t0 if t0 > vanished else ZERO)
        put(upstream, begin + 1, grad1[column, channels] * t1 if t1 > vanished else ZERO)
        mean0 = mean1 = transmittance.dtype.type(ZERO)
        for channel in range(channels):
            hue0, hue1 = grad0[column, channel], grad1[column, channel] * there
            put(upstream_color, channel * size + begin, hue0)
            put(upstream_color, channel * size + begin + 1, hue1)
            mean0, mean1 = fma(hue0, image0[column, channel], mean0), fma(hue1, image1[column, channel], mean1)
        put(mean, begin, mean0)
        put(mean, begin + 1, mean1)
