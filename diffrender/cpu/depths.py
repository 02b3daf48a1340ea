"""The depths of views' vertices, as the kernels take them: NumPy would walk over them four times."""

import numpy as np

from ..jit import kernel


@kernel
def put_depths(vertices, starts, slices, scale, nearest, per_depth, ahead, logits):
    """Fill of each view, whose vertices are those of (V, 3) by starts (B + 1,), its least depth (B,), the number of `slices` of
    what it is deep (B,), 0 for nothing, and its least depth in front of the camera (B,), 0 for none; and logits (V,).

    Those are zbar / gamma of the vertices relative to what of the view is nearest in front of the camera, `scale` being
    1 / ((far - near) gamma). A softmax does not see the shift, and float32 keeps the differences that matter: zbar / gamma
    itself is in the thousands for a small gamma.
    """
    for view in range(len(nearest)):
        begin, end = starts[view], starts[view + 1]
        least, most, first = np.inf, -np.inf, np.inf
        for vertex in range(begin, end):
            depth = np.float64(vertices[vertex, 2])
            least, most = min(least, depth), max(most, depth)
            if depth > 0.0:
                first = min(first, depth)
        if begin == end:
            least, most = 0.0, 0.0
        first = first if first < np.inf else 0.0
        nearest[view], ahead[view] = least, first
        per_depth[view] = slices / (most - least) if most > least else 0.0
        for vertex in range(begin, end):
            logits[vertex] = (first - np.float64(vertices[vertex, 2])) * scale
