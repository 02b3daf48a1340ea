"""Remeshing: triangles of the size and the shape that a surface needs, while it is being optimised.

Botsch & Kobbelt, A remeshing approach to multiresolution modeling, 2004; Palfinger, Continuous remeshing for inverse
rendering, 2022.
"""

from .collapse import collapse
from .flip import flip
from .relax import relax
from .rounds import remesh
from .split import split
from .surface import Remeshed

__all__ = ["Remeshed", "collapse", "flip", "relax", "remesh", "split"]
