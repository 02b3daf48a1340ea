"""The other union, the maximum: alpha = D of the face with the highest coverage logit, the first one in face order.

`owners` is () for the probabilistic union and one image of faces for the maximum: what it decides is known when a kernel is
compiled.
"""

import numpy as np

from ..jit import formula
from ..lanes import higher, select
from .constants import ONE, ZERO
from .coverage import union_end
from .shape import rates

NOTHING = np.float32(-1e30)  # the coverage logit where no face has been


@formula
def peak_step(peak, owner, logit, face):
    """Return the highest coverage logit and the face that has it, the lowest number among equals, with one more face."""
    # `face` takes its place below this number: any where it is higher, the owner's where it is as high, and none elsewhere.
    below = select(logit > peak, face + ONE, select(logit >= peak, owner, -ONE))
    takes = below > face
    return select(takes, logit, peak), select(takes, face, owner)


@formula
def peak_end(peak, lowest, shape):
    """Return alpha and its slope D' in the coverage logit of the one face that it depends on."""
    coverage, _, log_rate = rates(higher(peak, lowest), shape)
    return select(peak >= lowest, coverage, ZERO), select(peak >= lowest, coverage * log_rate, ZERO)


@formula
def alpha_of(state, lowest, shape, owners):
    """Return alpha and what a pixel multiplies all gradients of it by: T from the odds, or D' from the highest logit."""
    if len(owners) == 0:
        return union_end(state)
    else:
        return peak_end(state, lowest, shape)
