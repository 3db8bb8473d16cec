"""From which value on a quantizer gives which integer, for every rounding that QONNX has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

ROUNDINGS = ("ROUND", "HALF_EVEN", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
"""UP and HALF_UP go away from zero, DOWN and HALF_DOWN towards it."""
TIE = 1e-9
"""Steps within which a sum of steps is zero, where its sign alone decides."""


def least_counts(results: Int64, scale: float, step: Float64, bias: Float64, mode: str) -> Float64:
    """The least integer `i` whose value `i * step + bias` is rounded to each result or more.

    results: (n,). step, bias: (1,) or (channels,). Returns (1 or channels, n) whole numbers.

    Source: qonnx 1.0.0, custom_op/general/intquant.py, `resolve_rounding_mode`.
    """
    edges, reaches = _edges(results, mode)
    reached = (edges * scale - bias[:, None]) / step[:, None]
    return np.asarray(np.where(reaches, np.ceil(reached), np.floor(reached) + 1))


def bounded(
    steps: Float64,
    results: Int64,
    scale: float,
    mode: str,
    floor: Float64 | None,
    ceiling: Float64 | None,
    limits: tuple[int, int],
) -> Float64:
    """Least integers where values were held between bounds before they were rounded.

    What even the floor gives is always reached, what the ceiling does not is never. steps: (1 or
    channels, n). floor, ceiling: (1,) or (channels,). limits: (least, greatest) integer.
    """
    edges, reaches = _edges(results, mode)
    if floor is not None:
        least = floor[:, None] / scale
        steps = np.where((least > edges) | ((least == edges) & reaches), limits[0], steps)
    if ceiling is not None:
        most = ceiling[:, None] / scale
        reached = (most > edges) | ((most == edges) & reaches)
        steps = np.where(reached, steps, limits[1] + 1)
    return steps


def sign_counts(step: Float64, bias: Float64) -> tuple[Float64, Float64]:
    """The least integers whose value is at least zero, and above zero; each (channels or 1, 1)."""
    zero = (-bias / step)[:, None]
    whole = np.round(zero)
    zero = np.where(np.abs(zero - whole) < TIE * np.maximum(1.0, np.abs(zero)), whole, zero)
    return np.asarray(np.ceil(zero)), np.asarray(np.floor(zero) + 1)


def _edges(results: Int64, mode: str) -> tuple[Float64, NDArray[np.bool_]]:
    """Where each result begins, in steps of the quantizer, and whether the edge belongs to it."""
    n, above = results.astype(np.float64), results > 0
    every = np.ones(len(results), bool)
    match mode:
        case "FLOOR":
            return n, every
        case "CEIL":
            return n - 1, ~every
        case "UP":
            return np.where(above, n - 1, n), ~above
        case "DOWN":
            return np.where(above, n, n - 1), above
        case "HALF_UP":
            return n - 0.5, above
        case "HALF_DOWN":
            return n - 0.5, ~above
        case _:
            return n - 0.5, results % 2 == 0
