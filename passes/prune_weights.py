"""prune-weights: single weights that DeepLIFT and their own size call irrelevant become zero."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from compiler.stages import LayerRelevance, PruneReport, ScoredModel
from hw_targets.errors import LiftFlowError
from passes._graph import accuracy, layers_of
from passes._prune_plan import channel_counts
from passes._relevance import Settings, measure
from passes._threads import threads_for
from passes.attribute import prove_complete
from passes.base import Context, Pass


@dataclass(frozen=True)
class PruneWeights(Pass[ScoredModel, ScoredModel]):
    """Zero the least relevant weights of all layers, ranked together, and record the masks.

    The score of a weight is the geometric mean of its DeepLIFT contribution |w| x relevance and
    its magnitude over its layer's mean magnitude: contribution alone is blind to weights that
    would matter for samples not seen, magnitude alone to what the output needs.

    sparsity: least share of all weights to zero, 0 for none. batch: samples a backward pass.
    """

    name: ClassVar[str] = "prune-weights"
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum")
    uses: ClassVar[tuple[str, ...]] = (
        "passes.deeplift",
        "passes._one_pass",
        "passes._threads",
        "passes._rescale",
        "passes.attribute",
        "passes._relevance",
        "passes._graph",
        "passes._prune_plan",
    )

    sparsity: float = 0.0
    batch: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise LiftFlowError(
                f"sparsity is {self.sparsity:g}",
                where=self.name,
                mend="give a share from 0 to below 1",
            )
        if self.batch < 1:
            raise LiftFlowError(f"batch is {self.batch}", where=self.name, mend="use at least 1")

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        """Masks and zeroed weights; the model itself where sparsity is 0."""
        if self.sparsity == 0:
            return model
        module = copy.deepcopy(model.module)
        layers = layers_of(module)
        scores = {
            name: weight_score(layer.weight.detach().numpy(), model.relevance.layers[name])
            for name, layer in layers.items()
        }
        masks = keep_masks(scores, self.sparsity)
        with torch.no_grad():
            for name, layer in layers.items():
                layer.weight.mul_(torch.from_numpy(masks[name]))
        old = model.relevance
        settings = Settings(old.samples, old.reference, old.target, self.batch)
        with threads_for(model.network.macs, self.batch):
            relevance = measure(module, ctx.data, settings, ctx.rng("attribute"), ctx.device)
        prove_complete(relevance, ctx)
        measured = accuracy(module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        kept = sum(int(mask.sum()) for mask in masks.values())
        zeroed = 1 - kept / model.network.weights
        ctx.prove(
            "at least the asked share of weights is zero",
            zeroed >= self.sparsity,
            measured=f"{zeroed:.4f}",
            required=f"{self.sparsity:g}",
        )
        ctx.say(f"{zeroed:.1%} of weights zero, accuracy {measured:.2%}", 1.0)
        return dataclasses.replace(
            model,
            module=module,
            relevance=relevance,
            masks=masks,
            sparsity=zeroed,
            accuracy=measured,
            pruned=self._report(model, kept, measured),
        )

    def _report(self, model: ScoredModel, kept: int, measured: float) -> PruneReport:
        """What all pruning so far removed: weights that are zero count as removed."""
        before = model.pruned or PruneReport(
            macs_before=model.network.macs,
            macs_after=model.network.macs,
            weights_before=model.network.weights,
            weights_after=model.network.weights,
            channels_before=channel_counts(model.network),
            channels_after=channel_counts(model.network),
            accuracy=model.accuracy,
        )
        return dataclasses.replace(before, weights_after=kept, accuracy=measured)


def weight_score(weight: NDArray[np.float32], relevance: LayerRelevance) -> NDArray[np.float64]:
    """sqrt(|w| x relevance x |w| / mean |w| of the layer), same shape as `weight`."""
    magnitude = np.abs(weight).astype(np.float64)
    mean = float(magnitude.mean())
    score: NDArray[np.float64] = magnitude * np.sqrt(relevance.weights / (mean or 1.0))
    return score


def keep_masks(
    scores: dict[str, NDArray[np.float64]], sparsity: float
) -> dict[str, NDArray[np.bool_]]:
    """Layer -> True where a weight stays; exactly the ceil(sparsity x all) least scores go."""
    flat = np.concatenate([values.ravel() for values in scores.values()])
    keep = np.ones(flat.size, dtype=bool)
    keep[np.argsort(flat, kind="stable")[: math.ceil(sparsity * flat.size)]] = False
    ends = np.cumsum([values.size for values in scores.values()])[:-1]
    parts = zip(scores.items(), np.split(keep, ends), strict=True)
    return {name: part.reshape(values.shape) for (name, values), part in parts}
