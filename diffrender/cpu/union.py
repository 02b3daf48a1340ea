"""How faces join in alpha, in the memory of a strip.

`owners` is () for the probabilistic union; for the maximum it is one image (H, W) of the face that is alpha at each pixel, or
-1, and the strip's odds are the highest coverage logits so far. The compiler leaves out the other one.
"""

from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import union_backward, union_step
from ..formulas.peak import NOTHING, peak_step
from ..formulas.pixel import covered_logit_backward
from ..jit import formula
from ..lanes import at, load_pair, magnitude, select, store_pair, times_sign
from .rows import second_of
from .spans import number_of, places_of
from .strips import fill


@formula
def begin_peaks(odds, owner):
    """Write to a strip of the maximum that there is no face."""
    fill(odds, 0, len(odds), NOTHING)
    fill(owner, 0, len(owner), -ONE)


@formula
def join(odds, owner, lists, block, entries, entry, logit, exponential, owners):
    """Let two blocks of a face take part, by their coverage logits, or by their odds, which are 0 below the cutoff."""
    first, second = places_of(lists, block)
    if len(owners) == 0:
        store_pair(odds, first, second, union_step(load_pair(odds, first, second), exponential))
    else:
        face = _face_of(lists, block, entries, entry, odds)
        peaks, faces = load_pair(odds, first, second), load_pair(owner, first, second)
        peaks, faces = peak_step(peaks, faces, logit, face)
        store_pair(odds, first, second, peaks)
        store_pair(owner, first, second, faces)


@formula
def take_owners(owner, place, row, bottom, owners):
    """Fill a pair of rows of the owners' image (H, W) from the strip."""
    last, _ = second_of(row, bottom)
    owner0, owner1 = owners[row], owners[last]
    for column in range(len(owner0)):
        owner1[column] = at(owner, place + 2 * column + 1)
        owner0[column] = at(owner, place + 2 * column)


@formula
def alpha_backward(above, owner, lists, block, entries, entry, counts, rate, owners):
    """Return the gradient of the coverage logit, for grad_alpha times what `alpha_of` gave a pixel, from two blocks."""
    if len(owners) == 0:
        return select(counts, union_backward(above, rate), ZERO)
    else:
        faces = load_pair(owner, *places_of(lists, block))
        face = _face_of(lists, block, entries, entry, owner)
        return select(magnitude(faces - face) < HALF, above, ZERO)


@formula
def covered_backward(upstream, owner, lists, block, entries, entry, logit, lowest, shape, owners):
    """Return `covered_logit_backward` of two blocks, from the strip's grad_alpha times what `alpha_of` gave a pixel."""
    above = load_pair(upstream, *places_of(lists, block))
    if len(owners) == 0:
        return covered_logit_backward(above, logit, lowest, shape)
    else:
        grad = alpha_backward(above, owner, lists, block, entries, entry, logit, logit, owners)
        return times_sign(grad, logit)


@formula
def _face_of(lists, block, entries, entry, like):
    return like.dtype.type(at(entries, entry + number_of(lists, block)))
