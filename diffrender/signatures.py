"""The kernels that a first fit, pose and render compile, the longest first, for `ahead.py`.

Written by `python -m benchmarks.signatures`. One that is missing here, or out of date, is compiled when it is called.
"""

from dataclasses import dataclass
from typing import Any

from numba.types import NamedUniTuple, Tuple, b1, f4, f8, i1, i4, i8, none, u1

from .formulas.shape import Sigmoid


@dataclass(frozen=True)
class Kernel:
    """Where a kernel is, which commands need it, and the types that it is called with."""

    module: str
    name: str
    commands: tuple[str, ...]
    signature: tuple[Any, ...]


# fmt: off
KERNELS = (
    Kernel("cpu.boundaries", "find_boundaries", ("pose",),
           (i8, i8, i8[::1], i8[:,::1], f8[:,::1], i4[:,::1], i4[:,::1], i1[::1], i4[::1], i4[::1], i4[::1], i4[::1],
            i4[::1], i4[:,::1], i8[::1], i4[::1], i8, f8[:,::1], i4[:,::1], i4[:,::1], f8[:,::1], b1[:,::1], i4[::1],
            i4[::1], i4[::1], f8[::1], i4[::1], f8[:,::1], i4[::1], i8[::1], i4[:,::1], i4[::1], i8[:,::1], i4[::1],
            i4[:,::1], f8[::1], i4[:,::1], f8[:,::1], i4[:,::1], i4[::1], i4[::1], f8[:,::1], i4[::1], i4[::1], i8[::1],
            i4[::1], i8[::1],)),
    Kernel("cpu.color", "color_backward", ("fit",),
           (i8, i8, i8[::1], i4[:,::1], f4[:,::1], i4[:,::1], i8[::1], i8[::1], i4[::1], i8[::1], i8, i8[:,::1], f4, f4,
            f4, NamedUniTuple(f4, 1, Sigmoid), Tuple(()), Tuple((i4[::1], i8[::1],)), f4, f4, f4[::1], f4[:,::1],
            f4[:,::1], f4[:,:,::1], f4[:,::1], f4[:,::1], f4[:,:,::1], f4[:,::1], Tuple((f4[:,::1], f4[:,::1], f4,
            i8[::1], i8[::1], i4[:,::1],)),)),
    Kernel("cpu.color_tangent", "color_tangent", ("pose",),
           (i8, i8, i8[::1], i4[:,::1], f4[:,::1], i4[:,::1], i8[::1], i4[::1], i8[::1], i8[::1], f4, f4, f4,
            NamedUniTuple(f4, 1, Sigmoid), Tuple(()), f4, f4, f4[::1], f4[:,::1], f4[::1], none, f4[::1], i4[:,::1],
            f4[:,::1], f4[::1], f4[::1], f4[:,::1], f4[:,::1], f4[:,:,::1], f4[:,::1], f4[:,::1], f4[:,:,::1],
            f4[:,:,::1], f4[:,:,::1], f4[:,::1], f4[:,:,:,::1],)),
    Kernel("cpu.color", "color_forward", ("fit", "pose", "render",),
           (i8, i8, i8[::1], i4[:,::1], f4[:,::1], i4[:,::1], i8[::1], i4[::1], i8[::1], i8, i8[::1], f4, f4, f4,
            NamedUniTuple(f4, 1, Sigmoid), Tuple(()), Tuple((i4[::1], i8[::1],)), f4, f4[::1], f4[:,::1], f4[::1],
            f4[::1], f4[:,:,::1], f4[:,::1], f4[:,::1], f4[:,::1],)),
    Kernel("cpu.hard", "see_faces", ("pose",),
           (i8, i8, i8[::1], i8[:,::1], f4[:,::1], i4[:,::1], i8, i8, b1, f8[:,::1], i1[::1], i4[:,::1], i8[:,::1],
            i8[::1], i4[::1], f8[:,::1], i4[:,::1], i4[:,::1], i4[::1], i4[:,::1], i4[:,::1], i8[::1], b1[:,::1],
            f8[:,::1], b1[:,::1], i4[::1], i8[::1],)),
    Kernel("cpu.silhouette", "silhouette_backward", ("fit",),
           (i8, i8, i8[::1], f4[:,::1], i4[:,::1], i8[::1], i8[::1], i4[::1], i8[::1], i8, i8[:,::1], f4, f4, f4,
            NamedUniTuple(f4, 1, Sigmoid), Tuple(()), Tuple((i4[::1], i8[::1],)), f4, f4[:,::1], f4[:,::1], f4[:,::1],
            Tuple((f4[:,::1], f4[:,::1], f4, i8[::1], i8[::1], i4[:,::1],)),)),
    Kernel("cpu.way_there", "interpolate_all", ("pose",),
           (i8, i8, i8[::1], i8[:,::1], f8[:,::1], i4[:,::1], f4[:,::1], i4[:,::1], b1, i4[:,::1], i4[::1], i4[:,::1],
            i4[:,::1], i8[::1], i4[::1], i4[::1], f8[:,::1], f4[::1], f8[:,:,::1], f4[:,::1], i4[::1], i4[:,::1],
            f8[::1], i4[::1], f8, f4[::1], f4[:,::1],)),
    Kernel("cpu.bins", "_sort", ("fit", "pose", "render",),
           (i8, i8, i8[::1], i8[:,::1], f4[:,::1], i4[:,::1], i8[::1], i8, i8, f8, b1, f8[::1], f8[::1], i4[:,::1],
            f4[:,::1], i4[:,::1], u1[::1], i8[::1], i8[:,::1], i8[::1], i4[::1], i8[::1],)),
    Kernel("spin", "serve", ("fit", "pose", "render",),
           (i8[::1], i8,)),
    Kernel("cpu.half_edges", "link_half_edges", ("pose",),
           (i4[:,::1], i8, i4[::1], i4[::1],)),
    Kernel("cpu.blend", "blend", ("pose",),
           (i4[::1], i4[:,::1], f8[::1], i4[::1], f8, f4[::1], f4[:,::1], f4[:,::1], f4[:,::1],)),
    Kernel("pinhole", "project_vertices_tangent", ("pose",),
           (i8, i8, i8[::1], f4[:,::1], f8[:,::1], f8[:,::1], f8[::1], f8[:,:,::1], f8[:,::1], f4[:,:,::1],)),
    Kernel("pinhole", "project_vertices_backward", ("fit",),
           (i8, i8, i8[::1], f4[:,::1], f8[:,::1], f8[:,::1], f8[::1], f4[:,::1], f4[:,::1], f8[:,::1],)),
    Kernel("shading", "_shade", ("fit", "render",),
           (i8, i8, i8[::1], f8[:,::1], f8[::1], f8, f8, f8, f4[:,::1], f4[:,::1],)),
    Kernel("shading", "_add_normals", ("fit", "pose", "render",),
           (f4[:,::1], i4[:,::1], f8[:,::1],)),
    Kernel("pinhole", "project_vertices", ("fit", "pose", "render",),
           (i8, i8, i8[::1], f4[:,::1], f8[:,::1], f8[:,::1], f8[::1], f4[:,::1], f8[:,::1],)),
    Kernel("cpu.depths", "put_depths", ("fit", "pose", "render",),
           (f4[:,::1], i8[::1], i8, f8, f8[::1], f8[::1], f8[::1], f4[::1],)),
    Kernel("cpu.half_edges", "label_pieces", ("pose",),
           (i4[::1], i4[::1],)),
    Kernel("channels", "_find_color", ("fit",),
           (f4[:,:,::1], b1[::1],)),
    Kernel("shading", "_add_normals", ("fit",),
           (f8[:,::1], i4[:,::1], f8[:,::1],)),
    Kernel("cpu.half_edges", "pair_half_edges", ("pose",),
           (i4[:,::1], i4[::1], i4[::1], i4[::1],)),
    Kernel("by_view", "project_views", ("pose",),
           (i8, i8, i8[::1], f4[:,::1], i8[::1], f8[:,:,::1], f8[:,:,::1], f8[:,::1], f4[:,::1], f8[:,::1],)),
)
# fmt: on
