"""Integers kept as float32 multiples of a step: how near they have to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.1
"""Steps by which sums of float32 scales may be off."""
AMBIGUOUS = 0.45
"""Steps beyond which an integer cannot be told from its neighbour."""
FLOAT32_ROUNDING = 2.0**-24
"""Relative error of the nearest float32."""


def distance(counts: NDArray[np.float64]) -> float:
    """Greatest distance from an integer, in steps; 0 without any counts."""
    return float(np.abs(counts - np.round(counts)).max(initial=0.0))


def tolerance(counts: NDArray[np.float64]) -> float:
    """What `distance` may be: a great count was rounded to float32 by more of a step."""
    greatest = float(np.abs(counts).max(initial=0.0))
    return min(TOLERANCE + greatest * FLOAT32_ROUNDING, AMBIGUOUS)
