"""prune-filters: the channels that matter least for what they cost are removed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compiler.stages import PruneReport, Relevance, ScoredModel
from hw_targets.boards import load_board
from hw_targets.errors import InfeasibleError, LiftFlowError
from passes._allocation_goal import Goal
from passes._coupling import Group, Unit, added_layers, coupled_groups, remove_units, rows_of
from passes._graph import accuracy, ir_text, layers_of, placed
from passes._network_shape import network_shape
from passes._prune_board import BoardGoal
from passes._prune_plan import (
    COSTS,
    Limits,
    Plan,
    channel_counts,
    choose_units,
    group_keys,
    least_cost,
)
from passes._reconstruct import reconstruct
from passes._relevance import remeasure
from passes._statistics import (
    Statistics,
    output_statistics,
    rescaled,
    restore_statistics,
    statistics_samples,
)
from passes.attribute import Attribute, prove_complete
from passes.base import Context, Pass

RECONSTRUCTED, POSITIONS = 256, 16
"""Samples, and output positions of each, that second moments are taken over."""

GOALS = ("macs", "board")
_NAMES = {"macs": "multiply-accumulates", "weights": "weights"}


@dataclass(frozen=True)
class PruneFilters(Pass[ScoredModel, ScoredModel]):
    """Remove the channels that matter least for what they cost, with all that is coupled to them.

    Ranked over the whole network at once, in `steps` with relevance measured anew after each. In
    each step the weights left are chosen anew by least squares, so that layers give what they gave
    before it: what other channels can tell of a removed one lives on in the next layer's weights.
    Then every layer's outputs get back the mean and deviation they had before any pruning. The
    outputs of the last layer are the classes and stay.

    macs: least share of the cost to remove, 0 for none. steps: rounds of attribution and removal.
    divisor: groups that start with at least twice as many channels keep multiples of it, because
    folding (PE, SIMD) needs divisors. cost: what a channel saves, "macs" or "weights". thrift:
    exponent of what is saved in the ranking; 0 ranks by relevance alone, 1 by relevance a unit of
    cost. streams: also prune the channels that run through residual adds. reconstruct: choose the
    weights left anew. batch: samples a backward pass.

    goal: "macs" as told above, or "board": no more goes than must for `board` to reach `fps` at
    `clock_mhz` within `share` of it, by the cost model, with `weight_bits` and `act_bits`
    everywhere. What folding makes of the channels that are left is what counts there. `macs` then
    does not matter, and the compilation's goals fill in the others. board: a board's name or TOML
    file. clock_mhz: of the design. fps: least frames a second, None for any. share: of the board,
    that the design may use. weight_bits, act_bits: of all weights and of all activations.
    """

    name: ClassVar[str] = "prune-filters"
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum")
    uses: ClassVar[tuple[str, ...]] = (
        *Attribute.uses,
        "passes.attribute",
        "passes._brevitas_structure",
        "passes._coupling",
        "passes._network_shape",
        "passes._statistics",
        "passes._reconstruct",
        "passes._guides",
        "passes._prune_plan",
        "passes._prune_board",
        "passes._allocation_blocks",
        "passes._allocation_bound",
        "passes._allocation_branches",
        "passes._allocation_build",
        "passes._allocation_core",
        "passes._allocation_exits",
        "passes._allocation_goal",
        "passes._allocation_highs",
        "passes._allocation_master",
        "passes._allocation_meeting",
        "passes._allocation_merge",
        "passes._allocation_paths",
        "passes._allocation_polish",
        "passes._allocation_price",
        "passes._allocation_prune",
        "passes._allocation_solve",
        "passes._allocation_space",
        "passes._allocation_stage",
        "passes._allocation_tree",
        "hw_targets.cost",
        "hw_targets.lanes",
    )

    # With another goal a change of board would mean pruning anew for nothing.
    goals_with: ClassVar[tuple[str, str]] = ("goal", "board")

    macs: float = 0.5
    steps: int = 5
    divisor: int = 4
    cost: str = "macs"
    thrift: float = 0.5
    streams: bool = False
    reconstruct: bool = True
    batch: int = 64
    goal: str = "macs"
    board: str = ""
    clock_mhz: float = 0.0
    fps: float | None = None
    share: float = 0.7
    weight_bits: int = 4
    act_bits: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.macs < 1:
            raise LiftFlowError(
                f"macs is {self.macs:g}", where=self.name, mend="give a share from 0 to below 1"
            )
        if self.cost not in COSTS:
            raise LiftFlowError(
                f"no such cost: {self.cost!r}", where=self.name, mend=f"use {', '.join(COSTS)}"
            )
        if self.thrift < 0:
            raise LiftFlowError(f"thrift is {self.thrift:g}", where=self.name, mend="use 0 or more")
        if self.goal not in GOALS:
            raise LiftFlowError(
                f"no such goal: {self.goal!r}", where=self.name, mend=f"use {', '.join(GOALS)}"
            )
        for option in ("steps", "divisor", "batch", "weight_bits", "act_bits"):
            if getattr(self, option) < 1:
                raise LiftFlowError(
                    f"{option} is {getattr(self, option)}", where=self.name, mend="use at least 1"
                )

    def refuse(self, ctx: Context) -> None:
        """Raises LiftFlowError for an unknown board or goals that make no sense."""
        self._board_goal()

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        """Raises InfeasibleError when so much of the cost cannot go, or all is not enough."""
        wanted = self._board_goal()
        if wanted is None:
            return model if self.macs == 0 else self._pruned(model, self.macs, None, ctx)
        share = self._needed(model, wanted, ctx)
        found = model if share == 0 else self._pruned(model, share, wanted, ctx)
        rate = "at any rate" if self.fps is None else f"at {self.fps:,.0f} frames a second"
        ctx.prove(
            f"modelled hardware within the share of the board {rate}",
            wanted.met(found.network),
            measured=f"{found.network.macs / model.network.macs:.1%} of the work left",
            required=f"a folding with {self.weight_bits} and {self.act_bits} bits",
        )
        return found

    def _board_goal(self) -> BoardGoal | None:
        if self.goal == "macs":
            return None
        board = load_board(self.board)
        clock = self.clock_mhz or board.clock.default_mhz
        goal = Goal(board, clock, self.fps, self.share)
        return BoardGoal(goal, self.weight_bits, self.act_bits)

    def _needed(self, model: ScoredModel, wanted: BoardGoal, ctx: Context) -> float:
        """Share of the cost that must go for the board's goal."""
        ctx.say(f"looking for what {self.board} can hold", 0.0)
        groups, limits = self._limits(model)
        scores = {
            key: unit_scores(group, model.relevance)
            for key, group in zip(group_keys(groups), groups, strict=True)
        }

        def plan() -> Plan:
            return Plan(model.network, groups, limits, COSTS[self.cost])

        return wanted.needed(plan, scores, self.thrift)

    def _limits(self, model: ScoredModel) -> tuple[tuple[Group, ...], Limits]:
        groups = self._groups(model)
        keyed = dict(zip(group_keys(groups), groups, strict=True))
        depthwise = frozenset(key for key, group in keyed.items() if group.units[0].depthwise)
        sizes = {key: len(group.units) for key, group in keyed.items()}
        return groups, Limits(sizes, self.divisor, depthwise)

    def _pruned(
        self, model: ScoredModel, asked: float, wanted: BoardGoal | None, ctx: Context
    ) -> ScoredModel:
        """`model` without a share of its cost, and without more until a board's goal is met."""
        if model.masks:
            raise LiftFlowError(
                "weights are masked already", where=self.name, mend="prune filters before weights"
            )
        groups, limits = self._limits(model)
        total = Plan(model.network, groups, limits, COSTS[self.cost]).cost
        self._check_reachable(model, groups, limits, total, asked)
        pruned = dataclasses.replace(model, module=copy.deepcopy(model.module))
        samples = statistics_samples(ctx, self.name)
        outputs = output_statistics(placed(model.module, ctx.device), samples)
        share, step, left = 0.0, 0, total
        while step < self.steps or not (wanted is None or wanted.met(pruned.network)):
            step += 1
            # A board's goal may need some more than its plan said: relevance is measured anew.
            goal = min(asked * step / self.steps, 1.0)
            # The epsilon keeps a share such as 0.45 x 100 from asking for one more than 45.
            budget = total * (1 - goal) + 1e-6
            before = share
            pruned, outputs, left = self._shrink(
                pruned, limits, budget, samples, outputs, ctx, last=step >= self.steps
            )
            share = 1 - left / total
            ctx.say(
                f"step {step} of {self.steps}: {share:.1%} of {self.cost} gone",
                min(step / self.steps, 1.0),
            )
            if step > self.steps and share == before and goal == 1.0:
                break
        if wanted is None:
            ctx.prove(
                f"at least the asked share of {_NAMES[self.cost]} is removed",
                left <= total * (1 - asked) + 1e-6,
                measured=f"{share:.4f}",
                required=f"{asked:g}",
            )
        prove_complete(pruned.relevance, ctx)
        (ctx.workdir / "pruned.txt").write_text(ir_text(pruned.module, model.input_shape))
        measured = accuracy(pruned.module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        report = PruneReport(
            macs_before=model.network.macs,
            macs_after=pruned.network.macs,
            weights_before=model.network.weights,
            weights_after=pruned.network.weights,
            channels_before=channel_counts(model.network),
            channels_after=channel_counts(pruned.network),
            accuracy=measured,
        )
        return dataclasses.replace(pruned, accuracy=measured, pruned=report)

    def _groups(self, model: ScoredModel) -> tuple[Group, ...]:
        """Groups of channels this pass may remove; without `streams`, those of one layer each."""
        groups = coupled_groups(model.module, model.input_shape)
        if self.streams:
            return groups
        through_adds = added_layers(model.module)
        return tuple(g for g in groups if through_adds.isdisjoint(g.rows))

    def _check_reachable(
        self,
        model: ScoredModel,
        groups: tuple[Group, ...],
        limits: Limits,
        total: float,
        asked: float,
    ) -> None:
        most = 1 - least_cost(model.network, groups, limits, COSTS[self.cost]) / total
        if self.goal == "macs" and asked > most:
            mend = "ask for a smaller share or use a smaller divisor"
            if not self.streams:
                mend += ", or streams = true where the network has residual adds"
            raise InfeasibleError(
                f"at most {most:.1%} of the {_NAMES[self.cost]} can go with divisor "
                f"{self.divisor}, {asked:.1%} are asked for",
                where=self.name,
                mend=mend,
            )

    def _shrink(
        self,
        model: ScoredModel,
        limits: Limits,
        budget: float,
        samples: Tensor,
        wanted: dict[str, Statistics],
        ctx: Context,
        *,
        last: bool,
    ) -> tuple[ScoredModel, dict[str, Statistics], float]:
        """`model` within `budget`, its statistics and relevance anew; what is wanted; its cost."""
        groups = self._groups(model)
        plan = Plan(model.network, groups, limits, COSTS[self.cost])
        scores = {key: unit_scores(group, model.relevance) for key, group in plan.groups.items()}
        removed = choose_units(plan, scores, budget, self.thrift)
        if self.reconstruct:
            self._choose_weights_anew(model.module, removed, samples, ctx)
        remove_units(model.module, removed)
        gone = rows_of(removed)
        wanted = {name: s.without(gone.get(name, set())) for name, s in wanted.items()}
        norms = {name: norm.without(gone.get(name, set())) for name, norm in model.norms.items()}
        restored = placed(model.module, ctx.device)
        norms = rescaled(norms, restore_statistics(restored, wanted, samples))
        module = restored.cpu()
        network = network_shape(
            module, model.name, model.input_shape, model.input, model.network.regression
        )
        relevance = remeasure(
            module, network, model.relevance, norms, ctx, self.batch, weights=last
        )
        model = dataclasses.replace(
            model, module=module, network=network, relevance=relevance, norms=norms
        )
        left = {la.name: (la.in_channels, la.out_channels) for la in network.layers}
        return model, wanted, COSTS[self.cost](network, left)

    def _choose_weights_anew(
        self, module: nn.Module, removed: Sequence[Unit], samples: Tensor, ctx: Context
    ) -> None:
        """Weights of `module` that do without the channels of `removed`, in place."""
        changed = placed(module, ctx.device)
        masks = {
            name: torch.ones_like(layer.weight, dtype=torch.bool)
            for name, layer in layers_of(changed).items()
        }
        for unit in removed:
            for layer, columns in unit.inputs.items():
                masks[layer][:, columns] = False
        drawn = torch.Generator().manual_seed(int(ctx.rng("positions").integers(2**31)))
        before = copy.deepcopy(changed)
        reconstruct(changed, before, masks, samples[:RECONSTRUCTED], POSITIONS, drawn)
        if changed is not module:
            module.load_state_dict({k: v.cpu() for k, v in changed.state_dict().items()})


def unit_scores(group: Group, relevance: Relevance) -> NDArray[np.float64]:
    """(units,) relevance of each unit: that of all output channels that go with it, added."""
    scores = np.zeros(len(group.units))
    for at, unit in enumerate(group.units):
        for layer, rows in (*unit.outputs.items(), *unit.depthwise.items()):
            scores[at] += float(relevance.layers[layer].channels[rows].sum(dtype=np.float64))
    return scores
