"""share_weights: every layer's weights share a few integer values."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from compiler.stages import Codebook, QuantModel
from hw_targets.errors import LiftFlowError
from passes.base import Context, Pass

if TYPE_CHECKING:
    from passes._brevitas_network import QuantNetwork

LEAST_IMPORTANCE = 1e-2
"""Of the mean: a weight DeepLIFT finds irrelevant still pulls a little on its entry."""


@dataclass(frozen=True)
class ShareWeights(Pass[QuantModel, QuantModel]):
    """Reduce each layer's integer weights to `values` entries, by relevance-weighted 1-D k-means.

    One-dimensional k-means over an integer grid is solved exactly by dynamic programming (Wang and
    Song, "Ckmeans.1d.dp", The R Journal 2011), so the result is optimal and needs no seed. Zero
    stays an entry where weights are masked. Retraining keeps who shares an entry.

    values: entries a layer; 0 passes the model through.
    """

    name: ClassVar[str] = "share-weights"
    tools: ClassVar[tuple[str, ...]] = ("brevitas", "torch")
    uses: ClassVar[tuple[str, ...]] = (
        "passes._brevitas_structure",
        "passes._brevitas_fused",
        "passes._brevitas_network",
        "passes._graph",
        "passes._modules",
        "passes._brevitas_exact",
        "passes._threads",
    )

    values: int = 0

    def __post_init__(self) -> None:
        if self.values < 0 or self.values == 1:
            raise LiftFlowError(
                f"values = {self.values} shares nothing",
                where="share-weights",
                mend="give 0 for off, or at least 2",
            )

    def run(self, model: QuantModel, ctx: Context) -> QuantModel:
        """Raises LiftFlowError where relevance and weights differ in shape."""
        if self.values == 0:
            ctx.say("no weight sharing asked for", 1.0)
            return model
        import torch

        from passes import _brevitas_exact as exact

        network = cast("QuantNetwork", copy.deepcopy(model.module))
        codebooks: dict[str, Codebook] = {}
        for shape in model.network.layers:
            integers = exact.integer_weights(network, shape.name)
            importance = np.asarray(model.relevance.layers[shape.name].weights, dtype=np.float64)
            if importance.shape != integers.shape:
                raise LiftFlowError(
                    f"relevance has shape {importance.shape}, weights {integers.shape}",
                    where=shape.name,
                    mend="run attribute again after pruning",
                )
            mask = model.masks.get(shape.name, np.ones_like(integers, dtype=bool))
            book = share(np.where(mask, integers, 0), importance, self.values, mask)
            codebooks[shape.name] = book
            with torch.no_grad():
                shared = torch.from_numpy(book.values[book.indices])
                scale = exact.weight_scale(network, shape.name)
                network.layer(shape.name).weight.copy_(shared * scale)
            ctx.say(f"{shape.name}: {len(book.values)} values", None)
        exact.settle(network)
        accuracy = exact.accuracy(network, ctx.data.test_x, ctx.data.test_y)
        ctx.say(f"accuracy {accuracy:.2%} with {self.values} values a layer", 1.0)
        return replace(model, module=network, codebooks=codebooks, accuracy=accuracy)


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
