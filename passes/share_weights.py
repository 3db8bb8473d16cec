"""share_weights: every layer's weights share a few integer values."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor, log2
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from compiler.stages import Codebook, QuantModel
from hw_targets.errors import LiftFlowError
from passes._allocation_bits import least_error
from passes._score import told
from passes._uses import QUANT_NETWORK
from passes.base import Context, Pass

if TYPE_CHECKING:
    from passes._brevitas_network import QuantNetwork

LEAST_IMPORTANCE = 1e-2
"""Of the mean: a weight DeepLIFT finds irrelevant still pulls a little on its entry."""


@dataclass(frozen=True)
class ShareWeights(Pass[QuantModel, QuantModel]):
    """Reduce each layer's integer weights to few entries, by relevance-weighted 1-D k-means.

    One-dimensional k-means over an integer grid is solved exactly by dynamic programming (Wang and
    Song, "Ckmeans.1d.dp", The R Journal 2011), so the result is optimal and needs no seed. An error
    counts as the square of what it moves the output by, its float value times DeepLIFT's relevance.
    Zero stays an entry where weights are masked. Entries are integers that hardware decodes;
    retraining trains them and keeps who shares one.

    values: entries a layer at most; 0 passes the model through. mean_index_bits: each layer gets
    the number of entries, a power of two up to `values`, that makes the modelled error least while
    the index of a weight has at most so many bits on average; 0 gives every layer `values`.
    """

    name: ClassVar[str] = "share-weights"
    tools: ClassVar[tuple[str, ...]] = ("brevitas", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        *QUANT_NETWORK,
        "passes._allocation_bits",
    )

    values: int = 0
    mean_index_bits: float = 0.0

    def __post_init__(self) -> None:
        if self.values < 0 or self.values == 1:
            raise LiftFlowError(
                f"values = {self.values} shares nothing",
                where="share-weights",
                mend="give 0 for off, or at least 2",
            )
        if self.mean_index_bits and not self.mean_index_bits >= 1:
            raise LiftFlowError(
                f"mean_index_bits = {self.mean_index_bits:g} leaves no index",
                where="share-weights",
                mend="give at least 1, or 0 for the same number of values in every layer",
            )

    def run(self, model: QuantModel, ctx: Context) -> QuantModel:
        """Raises LiftFlowError where relevance and weights differ in shape."""
        if self.values == 0:
            ctx.say("no weight sharing asked for", 1.0)
            return model
        import torch

        from passes import _brevitas_exact as exact

        network = cast("QuantNetwork", copy.deepcopy(model.module))
        layers = {shape.name: _layer(model, network, shape.name) for shape in model.network.layers}
        codebooks = self._codebooks(layers)
        for name, book in codebooks.items():
            with torch.no_grad():
                shared = torch.from_numpy(book.values[book.indices])
                scale = exact.weight_scale(network, name)
                network.layer(name).weight.copy_(shared * scale)
            ctx.say(f"{name}: {len(book.values)} values", None)
        exact.settle(network)
        accuracy = exact.accuracy(network, ctx.data.test_x, ctx.data.test_y)
        index_bits = sum(book.index_bits * book.indices.size for book in codebooks.values())
        mean = index_bits / sum(book.indices.size for book in codebooks.values())
        if self.mean_index_bits:
            ctx.prove(
                "mean index bits within the limit",
                mean <= self.mean_index_bits + 1e-9,
                measured=f"{mean:.3f}",
                required=f"at most {self.mean_index_bits:g}",
            )
        ctx.say(f"{told(accuracy, ctx.data.regression)} with {mean:.2f} index bits a weight", 1.0)
        return replace(model, module=network, codebooks=codebooks, accuracy=accuracy)

    def _codebooks(self, layers: Mapping[str, _Layer]) -> dict[str, Codebook]:
        if not self.mean_index_bits:
            return {name: layer.shared(self.values) for name, layer in layers.items()}
        widths = range(1, max(1, floor(log2(self.values))) + 1)
        books = {
            name: {width: layer.shared(2**width) for width in widths}
            for name, layer in layers.items()
        }
        errors = [
            {width: layers[name].error(book) for width, book in each.items()}
            for name, each in books.items()
        ]
        sizes = [layer.integers.size for layer in layers.values()]
        chosen = least_error(errors, sizes, self.mean_index_bits)
        return {name: books[name][width] for name, width in zip(books, chosen, strict=True)}


@dataclass(frozen=True)
class _Layer:
    """Integer weights with what their errors count. All of one shape; step: float value of one."""

    integers: NDArray[np.int64]
    relevance: NDArray[np.float64]
    step: NDArray[np.float64]
    mask: NDArray[np.bool_]

    def shared(self, values: int) -> Codebook:
        return share(self.integers, importance(self.relevance, self.step), values, self.mask)

    def error(self, book: Codebook) -> float:
        """What the output moves by, first order: relevance x |error|, added over the weights."""
        delta = np.abs(book.values[book.indices] - self.integers) * self.step
        return float((self.relevance * delta).sum())


def _layer(model: QuantModel, network: QuantNetwork, name: str) -> _Layer:
    from passes import _brevitas_exact as exact

    integers = exact.integer_weights(network, name)
    relevance = np.asarray(model.relevance.layers[name].weights, dtype=np.float64)
    if relevance.shape != integers.shape:
        raise LiftFlowError(
            f"relevance has shape {relevance.shape}, weights {integers.shape}",
            where=name,
            mend="run attribute again after pruning",
        )
    mask = model.masks.get(name, np.ones_like(integers, dtype=bool))
    scale = exact.weight_scale(network, name).detach().cpu().numpy().astype(np.float64)
    step = np.broadcast_to(scale, integers.shape)
    return _Layer(np.where(mask, integers, 0), relevance, step, mask)


def importance(relevance: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a squared error of one integer step counts: what the output moves by, squared."""
    return (step * relevance) ** 2


def share(
    integers: NDArray[np.int64],
    importance: NDArray[np.float64],
    count: int,
    mask: NDArray[np.bool_],
) -> Codebook:
    """The codebook of at most `count` entries with the least weighted squared error.

    integers, importance, mask: of one shape. Entries are the clusters' weighted means, rounded to
    the grid; the cluster of a masked weight has the entry 0.
    """
    floor = LEAST_IMPORTANCE * float(importance.mean()) or 1.0
    weights = np.maximum(importance, floor)
    grid, places = np.unique(integers, return_inverse=True)
    places = places.reshape(integers.shape)
    mass = np.zeros(len(grid), dtype=np.float64)
    np.add.at(mass, places.ravel(), weights.ravel())
    if not mask.all():
        mass[grid == 0] += 1e6 * mass.sum()  # holds its cluster's mean at zero
    cuts = _partition(grid.astype(np.float64), mass, min(count, len(grid)))
    entries = np.zeros(len(grid), dtype=np.int64)
    for start, end in pairwise(cuts):
        mean = np.average(grid[start:end], weights=mass[start:end])
        entries[start:end] = round(float(mean))
    values, indices = np.unique(entries[places], return_inverse=True)
    return Codebook(values, indices.reshape(integers.shape).astype(np.int64))


def _partition(points: NDArray[np.float64], mass: NDArray[np.float64], count: int) -> list[int]:
    """Bounds of the `count` runs of ascending points that have the least squared error."""
    total = len(points)
    moments = np.stack([mass, mass * points, mass * points**2], axis=1)
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(moments, axis=0)])

    def error(start: int, end: int) -> float:
        m, first, second = sums[end] - sums[start]
        return float(max(second - first * first / m, 0.0))

    best = np.full((count + 1, total + 1), np.inf)
    origin = np.zeros((count + 1, total + 1), dtype=np.int64)
    best[0, 0] = 0.0
    for runs in range(1, count + 1):
        for end in range(runs, total + 1):
            costs = [best[runs - 1, start] + error(start, end) for start in range(runs - 1, end)]
            chosen = int(np.argmin(costs))
            best[runs, end], origin[runs, end] = costs[chosen], runs - 1 + chosen
    bounds = [total]
    for runs in range(count, 0, -1):
        bounds.append(int(origin[runs, bounds[-1]]))
    return bounds[::-1]
