"""prune-filters: the channels that DeepLIFT finds least relevant for what they cost are removed."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from compiler.stages import PruneReport, Relevance, ScoredModel
from hw_targets.errors import InfeasibleError, LiftFlowError
from passes._graph import accuracy, ir_text, network_shape, placed
from passes._prune_channels import ChannelGroups, DeepLiftImportance, mean_inputs
from passes._prune_plan import Limits, channel_counts, least_counts, macs, plan
from passes._relevance import Settings, measure
from passes._threads import threads_for
from passes.attribute import prove_complete
from passes.base import Context, Pass


@dataclass(frozen=True)
class PruneFilters(Pass[ScoredModel, ScoredModel]):
    """Remove the channels with the least DeepLIFT relevance a multiply-accumulate they cost.

    Coupled layers come from Torch-Pruning's dependency graph (Fang et al., CVPR 2023, arXiv
    2301.12900). Ranked over all layers at once, in `steps` with relevance measured anew after
    each; what a removed channel gave on average goes into the next layer's bias. The outputs of
    the last layer are the classes and stay.

    macs: least share of multiply-accumulates to remove, 0 for none. steps: rounds of attribution
    and removal. divisor: layers that start with at least twice as many channels keep multiples of
    it, because folding (PE, SIMD) needs divisors. batch: samples a backward pass.
    """

    name: ClassVar[str] = "prune-filters"
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum", "torch-pruning")
    uses: ClassVar[tuple[str, ...]] = (
        "passes.deeplift",
        "passes._one_pass",
        "passes._threads",
        "passes._rescale",
        "passes.attribute",
        "passes._relevance",
        "passes._graph",
        "passes._prune_plan",
        "passes._prune_channels",
    )

    macs: float = 0.5
    steps: int = 4
    divisor: int = 4
    batch: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.macs < 1:
            raise LiftFlowError(
                f"macs is {self.macs:g}", where=self.name, mend="give a share from 0 to below 1"
            )
        for option in ("steps", "divisor", "batch"):
            if getattr(self, option) < 1:
                raise LiftFlowError(
                    f"{option} is {getattr(self, option)}", where=self.name, mend="use at least 1"
                )

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        """Raises InfeasibleError when so many multiply-accumulates cannot go."""
        if self.macs == 0:
            return model
        if model.masks:
            raise LiftFlowError(
                "weights are masked already", where=self.name, mend="prune filters before weights"
            )
        limits = Limits(channel_counts(model.network), self.divisor)
        self._check_reachable(model, limits)
        pruned = dataclasses.replace(model, module=copy.deepcopy(model.module))
        total = model.network.macs
        for step in range(1, self.steps + 1):
            # The epsilon keeps a share such as 0.45 x 100 from asking for one more than 45.
            budget = int(total * (1 - self.macs * step / self.steps) + 1e-6)
            pruned = self._shrink(pruned, limits, budget, ctx)
            share = 1 - pruned.network.macs / total
            ctx.say(f"step {step} of {self.steps}: {share:.1%} of MACs gone", step / self.steps)
        ctx.prove(
            "at least the asked share of multiply-accumulates is removed",
            1 - pruned.network.macs / total >= self.macs,
            measured=f"{1 - pruned.network.macs / total:.4f}",
            required=f"{self.macs:g}",
        )
        prove_complete(pruned.relevance, ctx)
        (ctx.workdir / "pruned.txt").write_text(ir_text(pruned.module, model.input_shape))
        measured = accuracy(pruned.module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        report = PruneReport(
            macs_before=total,
            macs_after=pruned.network.macs,
            weights_before=model.network.weights,
            weights_after=pruned.network.weights,
            channels_before=channel_counts(model.network),
            channels_after=channel_counts(pruned.network),
            accuracy=measured,
        )
        return dataclasses.replace(pruned, accuracy=measured, pruned=report)

    def _check_reachable(self, model: ScoredModel, limits: Limits) -> None:
        least = macs(model.network, least_counts(model.network, limits))
        most = 1 - least / model.network.macs
        if self.macs > most:
            raise InfeasibleError(
                f"at most {most:.1%} of the multiply-accumulates can go with divisor "
                f"{self.divisor}, {self.macs:.1%} are asked for",
                where=self.name,
                mend="ask for a smaller share or use a smaller divisor",
            )

    def _shrink(self, model: ScoredModel, limits: Limits, budget: int, ctx: Context) -> ScoredModel:
        """`model` with at most `budget` multiply-accumulates and relevance measured anew."""
        groups = ChannelGroups(model.module, torch.zeros(1, *model.input_shape))
        scores = groups.scores(DeepLiftImportance(model.relevance, model.module))
        arrays = {name: value.numpy() for name, value in scores.items()}
        removed = plan(model.network, arrays, limits, budget)
        means = self._means(model.module, model.relevance, ctx)
        for name, channels in removed.items():
            groups.remove(name, channels, means)
        network = network_shape(model.module, model.name, model.input_shape, model.input)
        old = model.relevance
        settings = Settings(old.samples, old.reference, old.target, self.batch)
        with threads_for(network.macs, self.batch):
            relevance = measure(model.module, ctx.data, settings, ctx.rng("attribute"), ctx.device)
        return dataclasses.replace(model, network=network, relevance=relevance)

    def _means(
        self, module: nn.Module, relevance: Relevance, ctx: Context
    ) -> dict[str, torch.Tensor]:
        picked = ctx.rng(self.name).permutation(len(ctx.data.train_x))[: 4 * relevance.samples]
        samples = torch.from_numpy(ctx.data.train_x[picked]).to(ctx.device)
        return mean_inputs(placed(module, ctx.device), samples)
