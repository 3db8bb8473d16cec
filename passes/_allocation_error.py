"""Modelled error of a choice of bits: rounding errors weighted by DeepLIFT's relevance.

A weight w with relevance r a unit of weight, rounded to w + d, moves the output by about r |d|; an
activation channel with contribution c, rounded with relative error e, by about c e. Both are in
units of the network's output, hence layers compare; `scale` makes them a share of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.stages import LayerRelevance

CREST = 4.0
"""Peak over root mean square of an activation after ReLU; the quantizer's range is the peak."""
GAUSSIAN = {1: 0.1188, 2: 0.03744, 3: 0.01154, 4: 0.003495, 5: 0.001041, 6: 0.000304}
"""Bits of one side -> least mean square error of a uniform quantizer on a Gaussian of variance 1.

Source: Max, "Quantizing for Minimum Distortion", IRE Transactions on Information Theory, 1960,
table II, of 4 to 128 levels; the positive half of a symmetric quantizer has one bit less.
"""
_CLIPS = np.linspace(0.3, 1.0, 15)
"""Ranges tried, as shares of the greatest weight."""


def quantized(
    weight: NDArray[np.floating[Any]], width: int, *, per_channel: bool
) -> NDArray[np.float64]:
    """The weight rounded to `width` bits, symmetric and narrow, as `quantize` sets it first.

    One scale an output channel (or one for the layer), each the best of `_CLIPS` by squared error.
    A channel of zeros is exact under any scale. Of 1 bit are signs, times the mean magnitude.
    """
    rows = weight.reshape(len(weight), -1) if per_channel else weight.reshape(1, -1)
    rows = rows.astype(np.float64)
    peak = np.abs(rows).max(axis=1, keepdims=True)
    peak[peak == 0] = 1.0
    if width == 1:
        signs = np.where(rows < 0, -1.0, 1.0) * np.abs(rows).mean(axis=1, keepdims=True)
        return np.asarray(signs.reshape(weight.shape), dtype=np.float64)
    top = 2 ** (width - 1) - 1
    best = np.full((len(rows), 1), np.inf)
    chosen: NDArray[Any] = rows
    for clip in _CLIPS:
        step = clip * peak / top
        rounded = np.clip(np.round(rows / step), -top, top) * step
        squared = ((rows - rounded) ** 2).sum(axis=1, keepdims=True)
        chosen = np.where(squared < best, rounded, chosen)
        best = np.minimum(best, squared)
    result: NDArray[np.float64] = chosen.reshape(weight.shape)
    return result


def activation_errors(
    relevance: LayerRelevance, bits: Sequence[int], *, signed: bool = False
) -> dict[int, float]:
    """Bits -> sum over channels of what the output moves by when activations are rounded.

    Rounding errors of single activations are independent, so that what they do to the output is
    the multipliers' root of the sum of squares (`noise`) times their root mean square. That is the
    least distortion of a one-sided Gaussian of the activation's own size, or, if less, that of a
    uniform quantizer up to its peak, step / sqrt(12). Where a criterion gave no multipliers, it is
    the contribution times the relative error of a quantizer whose range is `CREST` root mean
    squares. Of signed activations one bit tells the side.
    """
    if signed:
        sides = activation_errors(relevance, [width - 1 for width in bits])
        return {width: sides[width - 1] for width in bits}
    if relevance.noise is not None and relevance.peak > 0:
        noise = float(relevance.noise.sum(dtype=np.float64))
        return {width: noise * _distortion(width, relevance) for width in bits}
    total = float(np.abs(relevance.channels.astype(np.float64)).sum())
    return {width: total * CREST / np.sqrt(12.0) / (2**width - 1) for width in bits}


def _distortion(width: int, relevance: LayerRelevance) -> float:
    """Root mean square rounding error of the activations at `width` bits."""
    uniform = relevance.peak / (2**width - 1) / np.sqrt(12.0)
    if width not in GAUSSIAN:
        return float(uniform)
    return float(min(uniform, relevance.rms * np.sqrt(GAUSSIAN[width])))


def scale(layers: Mapping[str, LayerRelevance]) -> float:
    """Mean over layers of the relevance that passes through one: what errors are a share of."""
    totals = [float(np.abs(layer.channels).sum()) for layer in layers.values()]
    return float(np.mean(totals)) or 1.0
