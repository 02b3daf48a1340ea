"""The smoothest solid that a plane mirrors, that fills a photo's mask and is about as deep as the mask lets one expect."""

import numpy as np

from .mirror_rays import Cube, MirrorFrame, mirror_cube
from .optimize.adam import Adam
from .views.view import View

LEVELS = ((40, 100), (72, 50))  # cells along an axis and steps
_FOG = 0.3  # weight of what is neither full nor empty, which grows from 0: at first, every place is open
_AREA = 0.1  # weight of the surface, of which 1 is the square of the object's extent
_SOFT = 0.05  # slope of the occupancy, per extent, below which it is free
_THINNEST = 0.05  # of the extent: depths are compared relative to themselves, down to this
_LEARNING_RATE = 0.4
_SURE = 7.0  # largest logit


def symmetric_occupancy(
    view: View, frame: MirrorFrame, levels: tuple[tuple[int, int], ...] = LEVELS
) -> tuple[Cube, np.ndarray]:
    """Return a cube of cells and the occupancy (P, W, W) in [0, 1] of a photo's object, symmetric in its last two axes.

    `levels` are the cells along an axis and the steps, coarse first.

    Each ray of the mask wants to meet the solid, and as much of it as `thickness` says: of all that the photo and its mirror
    image agree on, the one with the smallest surface. Relaxed as Kolev et al., Continuous Global Optimization in Multiview
    3D Reconstruction, 2009.
    """
    (size, steps), *finer = levels
    cube = mirror_cube(view, frame, size)
    logit = _descend(cube, _start(cube), np.arange(steps) / steps)
    for size, steps in finer:
        coarse, cube = cube, mirror_cube(view, frame, size)
        logit = _descend(cube, _refined(logit, coarse, cube), np.ones(steps))
    return cube, _occupancy(cube, logit)


def _start(cube: Cube) -> np.ndarray:
    """Return the logits of the depth that is wanted, spread over all that is inside along a ray."""
    length = (cube.inside * cube.step).sum(axis=2)
    share = np.clip(cube.thickness / np.maximum(length, 1e-6), 0.05, 0.9)
    occupancy = np.sqrt(share[:, :, None] * share[:, None, :])
    return np.log(occupancy / (1 - occupancy))


def _refined(logit: np.ndarray, coarse: Cube, fine: Cube) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    rows, columns = coarse.cells(fine.phi, fine.w)
    places = np.meshgrid(rows, columns, columns, indexing="ij")
    return np.clip(map_coordinates(logit, places, order=1, mode="nearest"), -4, 4)


def _descend(cube: Cube, logit: np.ndarray, firmness: np.ndarray) -> np.ndarray:
    optimizer = Adam(beta2=0.99)
    state = optimizer.init(logit)
    for firm in firmness:
        occupancy = _occupancy(cube, logit)
        _, gradient = energy(cube, occupancy, float(firm))
        delta, state = optimizer.update(gradient * occupancy * (1 - occupancy), state, _LEARNING_RATE)
        logit = np.clip(logit + delta, -_SURE, _SURE)
    return logit


def _occupancy(cube: Cube, logit: np.ndarray) -> np.ndarray:
    return np.where(cube.inside, 1 / (1 + np.exp(-logit)), 0)


def energy(cube: Cube, occupancy: np.ndarray, firm: float = 1.0) -> tuple[float, np.ndarray]:
    """Return what `symmetric_occupancy` makes small and its gradient (P, W, W), for an occupancy equal to its transpose.

    `firm` is the share of the weight against fog: without it, a thin limb would be spread over all the places it may be at.
    """
    depth, grad_depth = _depth(cube, occupancy)
    hit, grad_hit = _hit(cube, occupancy)
    area, grad_area = _area(cube, occupancy)
    fog, grad_fog = _fog(cube, occupancy)
    gradient = grad_depth + grad_hit + _AREA * grad_area + firm * _FOG * grad_fog
    return depth + hit + _AREA * area + firm * _FOG * fog, (gradient + np.swapaxes(gradient, 1, 2)) / 2


def _depth(cube: Cube, occupancy: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean squared error of the solid's depth along the mask's rays, relative to the depth that is wanted."""
    seen = cube.mask > 0.5
    scale = np.maximum(cube.thickness, _THINNEST * cube.frame.extent)
    error = np.where(seen, ((occupancy * cube.step).sum(axis=2) - cube.thickness) / scale, 0)
    gradient = (2 / seen.sum() * error / scale)[..., None] * cube.step
    return float((error * error).sum() / seen.sum()), gradient


def _fog(cube: Cube, occupancy: np.ndarray) -> tuple[float, np.ndarray]:
    """Return how much of the depth that is wanted is neither full nor empty, as a mean over the mask's rays."""
    seen = cube.mask > 0.5
    share = (seen / seen.sum() / np.maximum(cube.thickness, _THINNEST * cube.frame.extent))[..., None] * cube.step
    return float((occupancy * (1 - occupancy) * share).sum()), (1 - 2 * occupancy) * share


def _hit(cube: Cube, occupancy: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean squared share of light that goes past the solid along the mask's rays."""
    seen = cube.mask > 0.5
    free = 1 - occupancy
    past = np.where(seen, np.prod(free, axis=2), 0)
    # d past / d occupancy is that of all the others, the product without one.
    gradient = (-2 / seen.sum() * past * past)[..., None] / np.maximum(free, 1e-4)
    return float((past * past).sum() / seen.sum()), gradient


def _area(cube: Cube, occupancy: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the total variation, the surface's area over the squared extent. Slopes along h, q and q phi by the chain rule."""
    w1, w2 = cube.w[:, None], cube.w
    rows, columns = cube.phi[1] - cube.phi[0], cube.w[1] - cube.w[0]
    along_phi, along_1, along_2 = np.zeros((3, *occupancy.shape))
    along_phi[:-1] = np.diff(occupancy, axis=0) / rows
    along_1[:, :-1] = np.diff(occupancy, axis=1) / columns
    along_2[:, :, :-1] = np.diff(occupancy, axis=2) / columns
    height, outward, around = along_1 - along_2, -(w1 * along_1 + w2 * along_2), along_phi
    soft = _SOFT / cube.frame.extent
    slope = np.sqrt((height**2 + outward**2 + around**2) / cube.depth**2 + soft**2)
    unit = cube.volume / cube.frame.extent**2
    value = float(((slope - soft) * unit).sum())
    share = unit / slope / cube.depth**2
    gradient = np.zeros_like(occupancy)
    _add_difference(gradient, 0, share * around / rows)
    _add_difference(gradient, 1, share * (height - w1 * outward) / columns)
    _add_difference(gradient, 2, share * (-height - w2 * outward) / columns)
    return value, gradient


def _add_difference(gradient: np.ndarray, axis: int, step: np.ndarray) -> None:
    """Add what goes back through the difference of neighbours along an axis."""
    gradient, step = np.moveaxis(gradient, axis, 0), np.moveaxis(step, axis, 0)
    gradient[1:] += step[:-1]
    gradient[:-1] -= step[:-1]
