"""The last layer's bias as integers that leave the greatest output the greatest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ALIKE = 1e-7
"""Steps that two fractions of a step may differ by and still be one: both come from float32."""


def ranked(counts: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Whole numbers and a shift for biases of `counts` steps, (channels,).

    Of `(sums << shift) + bias` the greatest one, and the first of several, is that of `sums +
    counts`: fractions of a step decide between sums that are equal but for them, and only their
    order does, which takes as many more bits as number it.
    """
    whole = np.floor(counts + ALIKE)
    parts = np.maximum(counts - whole, 0.0)
    order = np.argsort(parts, kind="stable")
    steps = np.diff(parts[order], prepend=parts[order[:1]]) > ALIKE
    rank = np.empty(len(counts), np.int64)
    rank[order] = np.cumsum(steps)
    shift = int(rank.max(initial=0)).bit_length()
    return (whole.astype(np.int64) << shift) + rank, shift
