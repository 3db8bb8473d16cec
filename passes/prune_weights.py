"""prune-weights: weights that matter least become zero, alone, N of M, or block by block."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compiler.stages import FoldedNorm, PruneReport, Relevance, ScoredModel
from hw_targets.errors import LiftFlowError
from passes._graph import accuracy, layers_of, placed
from passes._guides import guides
from passes._prune_plan import channel_counts
from passes._reconstruct import reconstruct
from passes._relevance import remeasure
from passes._score import told
from passes._sparsity import Mask, Pattern, Scores, keep_masks, parse_pattern
from passes._statistics import (
    output_statistics,
    rescaled,
    restore_statistics,
    statistics_samples,
)
from passes.attribute import Attribute, prove_complete
from passes.base import Context, Pass

POSITIONS = 64
"""Output positions a sample that second moments are taken over, drawn at random."""

TEMPER = 0.25
"""Power of a weight's relevance in its score: magnitude leads, relevance corrects it."""

GUIDED = 0.35
"""Share of an error's count, when weights left are chosen anew, that its multiplier decides."""

SCOPES = ("network", "layer", "row")


@dataclass(frozen=True)
class PruneWeights(Pass[ScoredModel, ScoredModel]):
    """Zero the weights that matter least, and record the masks that retraining keeps.

    The score of a weight is its magnitude as trained, before batch norms were folded in, times a
    root of its DeepLIFT relevance over the layer's mean: relevance alone is blind to weights that
    would matter for samples not seen, magnitude alone to what the output needs. Scored by another
    criterion, it is |w| x relevance. In `rounds`, relevance measured anew before each; after each
    round the weights left are chosen anew so that layers give what they gave (least squares, errors
    counted by what they move the output by), and outputs get back their mean and deviation.

    sparsity: least share of all weights to zero, 0 for none. scope: "network" ranks all weights
    together, "layer" takes the share of every layer, "row" of every output of a layer. pattern: ""
    for single weights, "2:4" for at most 2 of 4 neighbours in the order hardware reads a row, "4x8"
    for whole blocks of 4 outputs x 8 inputs (PE x SIMD), which hardware can skip. N:M patterns set
    the sparsity themselves; give any above 0. rounds: of scoring and zeroing. reconstruct: choose
    the weights left anew. guided:
    share of an error's count that DeepLIFT decides, 0 to count all alike as with another criterion.
    batch: samples a backward pass.
    """

    name: ClassVar[str] = "prune-weights"
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum")
    uses: ClassVar[tuple[str, ...]] = (
        *Attribute.uses,
        "passes.attribute",
        "passes._prune_plan",
        "passes._coupling",
        "passes._sparsity",
        "passes._reconstruct",
        "passes._guides",
        "passes._statistics",
    )

    sparsity: float = 0.0
    scope: str = "network"
    pattern: str = ""
    rounds: int = 3
    reconstruct: bool = True
    guided: float = GUIDED
    batch: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise LiftFlowError(
                f"sparsity is {self.sparsity:g}",
                where=self.name,
                mend="give a share from 0 to below 1",
            )
        if self.scope not in SCOPES:
            raise LiftFlowError(
                f"no such scope: {self.scope!r}", where=self.name, mend=f"use {', '.join(SCOPES)}"
            )
        parse_pattern(self.pattern)
        if not 0 <= self.guided <= 1:
            raise LiftFlowError(
                f"guided is {self.guided:g}", where=self.name, mend="give a share from 0 to 1"
            )
        for option in ("rounds", "batch"):
            if getattr(self, option) < 1:
                raise LiftFlowError(
                    f"{option} is {getattr(self, option)}", where=self.name, mend="use at least 1"
                )

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        """Masks and zeroed weights; the model itself where sparsity is 0."""
        if self.sparsity == 0:
            return model
        pattern = parse_pattern(self.pattern)
        module, masks, relevance = self._pruned(model, pattern, ctx)
        prove_complete(relevance, ctx)
        measured = accuracy(module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        kept = sum(int(mask.sum()) for mask in masks.values())
        zeroed = 1 - kept / model.network.weights
        least = self.sparsity
        if pattern.structured:
            least = 1 - _most_kept(model.module, pattern) / model.network.weights
        zeros = sum(int((la.weight == 0).sum()) for la in layers_of(module).values())
        ctx.prove(
            "at least the asked share of weights is zero",
            zeros / model.network.weights >= least,
            measured=f"{zeros / model.network.weights:.4f}",
            required=f"{least:.4f}",
        )
        ctx.say(f"{zeroed:.1%} of weights zero, {told(measured, ctx.data.regression)}", 1.0)
        return dataclasses.replace(
            model,
            module=module,
            relevance=relevance,
            masks=masks,
            sparsity=zeroed,
            accuracy=measured,
            pruned=self._report(model, kept, measured),
        )

    def _pruned(
        self, model: ScoredModel, pattern: Pattern, ctx: Context
    ) -> tuple[nn.Module, dict[str, Mask], Relevance]:
        samples = statistics_samples(ctx, self.name)
        drawn = torch.Generator().manual_seed(int(ctx.rng("positions").integers(2**31)))
        original = placed(model.module, ctx.device)
        wanted = output_statistics(original, samples)
        module = copy.deepcopy(original)
        masks = {n: np.ones(la.weight.shape, dtype=bool) for n, la in layers_of(module).items()}
        relevance, norms = model.relevance, dict(model.norms)
        guide = None
        if self.reconstruct and self.guided and relevance.criterion.startswith("deeplift"):
            guide = guides(original, samples, relevance.target, self.guided, POSITIONS, drawn)
        for number in range(1, self.rounds + 1):
            # As many of the weights left go in every round, so that the last rounds are careful.
            share = 1 - (1 - self.sparsity) ** (number / self.rounds)
            final = number == self.rounds
            if not pattern.structured or final:
                scores = masked_scores(module, relevance, norms, masks)
                masks = keep_masks(
                    scores, self.sparsity if final else share, pattern,
                    scope=self.scope,
                )  # fmt: skip
            kept = {name: torch.from_numpy(mask).to(ctx.device) for name, mask in masks.items()}
            if self.reconstruct:
                reconstruct(module, original, kept, samples, POSITIONS, drawn, guide)
            else:
                _zero(module, kept)
            norms = rescaled(norms, restore_statistics(module, wanted, samples))
            relevance = remeasure(module, model.network, relevance, norms, ctx, self.batch)
            ctx.say(f"round {number} of {self.rounds}", number / self.rounds)
        return module.cpu(), masks, relevance

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


@torch.no_grad()
def _zero(module: nn.Module, kept: Mapping[str, torch.Tensor]) -> None:
    for name, layer in layers_of(module).items():
        layer.weight.mul_(kept[name])


def _most_kept(module: nn.Module, pattern: Pattern) -> int:
    """Weights that an N:M pattern leaves at most."""
    total = 0
    for layer in layers_of(module).values():
        whole, rest = divmod(layer.weight[0].numel(), pattern.group)
        total += len(layer.weight) * (whole * pattern.most + min(rest, pattern.most))
    return total


def masked_scores(
    module: nn.Module,
    relevance: Relevance,
    norms: Mapping[str, FoldedNorm],
    masks: Mapping[str, Mask],
) -> dict[str, Scores]:
    """Layer -> score of each weight; weights that went already have less than any other."""
    scores = {}
    for name, layer in layers_of(module).items():
        magnitude = np.abs(layer.weight.detach().cpu().numpy()).astype(np.float64)
        importance = relevance.layers[name].weights
        if relevance.criterion.startswith("deeplift"):
            scale = norms[name].scale if name in norms else np.ones(len(magnitude), np.float32)
            values = tempered(magnitude, importance, scale)
        else:
            values = magnitude * importance
        scores[name] = np.where(masks[name], values, -1.0)
    return scores


def tempered(
    magnitude: NDArray[np.float64], importance: NDArray[np.float32], scale: NDArray[np.float32]
) -> Scores:
    """magnitude / |scale| x (importance / its mean) ** TEMPER, same shape as the weight.

    importance: `LayerRelevance.weights`. scale: (out,) what folding multiplied the weights with.
    """
    factor = np.abs(scale.astype(np.float64)).reshape(-1, *[1] * (magnitude.ndim - 1))
    trained = np.divide(magnitude, factor, out=np.zeros_like(magnitude), where=factor > 0)
    mean = float(importance.mean(dtype=np.float64))
    relative = importance.astype(np.float64) / (mean or 1.0)
    score: Scores = trained * relative**TEMPER
    return score
