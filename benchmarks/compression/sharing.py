"""Shared weight values: codebooks by relevance, without it, and uniform ones of as many values."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.compression.bench import Bench, Row
from passes._graph import accuracy, layers_of
from passes._statistics import output_statistics, restore_statistics
from passes.share_weights import importance, share

LEVELS = (4, 8, 16)
"""Values a layer: 2, 3 and 4 index bits."""

METHODS = ("uniform", "unweighted", "deeplift")

GRID = 127
"""Codebook entries are integers of this range, times a scale an output channel."""


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """One row a level: accuracy with statistics restored, the last layer in float."""
    model = bench.attributed("deeplift", seed)
    samples = bench.samples(seed)
    wanted = output_statistics(model.module, samples)
    for values in bench.levels(LEVELS):
        module = copy.deepcopy(model.module)
        *inner, _ = layers_of(module).items()
        for name, layer in inner:
            weight = layer.weight.detach().numpy().astype(np.float64)
            relevance = model.relevance.layers[name].weights.astype(np.float64)
            coded = coded_weight(weight, relevance, method, values)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(coded))
        restore_statistics(module, wanted, samples)
        yield {
            "level": values,
            "before": accuracy(module, bench.data.test_x, bench.data.test_y),
        }


def coded_weight(
    weight: NDArray[np.float64], relevance: NDArray[np.float64], method: str, values: int
) -> NDArray[np.float64]:
    """The weight with at most `values` values a layer, each times a scale an output channel."""
    rows = weight.reshape(len(weight), -1)
    if method == "uniform":
        return _uniform(rows, values).reshape(weight.shape)
    peak = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.where(peak > 0, peak, 1.0) / GRID
    integers = np.rint(rows / scale).astype(np.int64)
    # Without relevance every weight counts alike; a step of a channel of larger scale is larger.
    known = relevance.reshape(rows.shape) if method == "deeplift" else np.ones_like(rows)
    counted = importance(known, np.broadcast_to(scale, rows.shape))
    book = share(integers, counted, values, np.ones(rows.shape, dtype=bool))
    return (book.values[book.indices] * scale).reshape(weight.shape)


def _uniform(rows: NDArray[np.float64], values: int) -> NDArray[np.float64]:
    """`values` levels evenly around 0, a step an output channel of least squared error."""
    peak = np.abs(rows).max(axis=1, keepdims=True)
    peak = np.where(peak > 0, peak, 1.0)
    best, chosen = np.full((len(rows), 1), np.inf), rows
    for clip in np.linspace(0.2, 1.0, 33):
        step = 2 * clip * peak / (values - 1)
        place = np.clip(np.floor(rows / step) + 0.5, -(values - 1) / 2, (values - 1) / 2)
        coded = place * step
        error = ((coded - rows) ** 2).sum(axis=1, keepdims=True)
        chosen = np.where(error < best, coded, chosen)
        best = np.minimum(error, best)
    return chosen
