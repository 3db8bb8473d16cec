"""prune-filters for a board: no more goes than must for the frame rate asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from chain_case import scored
from priced_case import prices
from quant_case import context as branch_context
from quant_graph import data_for
from quant_graph import scored as branching
from torch import nn

from compiler.api import default_pipeline
from compiler.config import Goals
from hw_targets.boards import load_board
from hw_targets.errors import InfeasibleError, LiftFlowError
from passes import _allocation_solve as solve
from passes._allocation_build import build_space
from passes._allocation_goal import Goal, feasible
from passes._prune_board import BoardGoal
from passes.prune_filters import PruneFilters

BOARD, CLOCK, SHARE = "ulx3s-12f", 50.0, 0.3


def fastest(network: object, share: float = SHARE) -> float:
    """Frames a second of a network at 4 bits."""
    goal = Goal(load_board(BOARD), CLOCK, None, share)
    space = build_space(network, goal.board, (4,), (4,))  # type: ignore[arg-type]
    found = solve.least_interval(
        space,
        goal.limits(network, 4.0),  # type: ignore[arg-type]
        20.0,
    )
    assert found is not None
    return CLOCK * 1e6 / found.interval


def test_no_more_goes_than_must(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    rate = fastest(model.network) * 1.3
    with pytest.raises(InfeasibleError):
        feasible(model.network, BOARD, CLOCK, rate, SHARE, 4, 4)
    task = PruneFilters(
        goal="board", board=BOARD, clock_mhz=CLOCK, fps=rate, share=SHARE, divisor=1, steps=2
    )
    pruned = task.run(model, ctx)
    assert fastest(pruned.network) >= rate
    assert any("within the share of the board" in check.claim for check in ctx.checks)
    left = pruned.network.macs / model.network.macs
    assert 0.2 < left < 1.0
    assert pruned.pruned is not None


def test_a_network_that_fits_stays_as_it_is(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    rate = fastest(model.network)
    task = PruneFilters(goal="board", board=BOARD, clock_mhz=CLOCK, fps=rate, share=SHARE)
    assert task.run(model, ctx) is model


def test_what_no_pruning_reaches_says_so(tmp_path: Path) -> None:
    model, ctx = scored(tmp_path)
    task = PruneFilters(goal="board", board=BOARD, clock_mhz=CLOCK, fps=1e9, share=SHARE)
    with pytest.raises(InfeasibleError, match="the most this board reaches"):
        task.run(model, ctx)


class Skip(nn.Module):
    """A stem, a depthwise layer and one of all channels beside a shortcut, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.inner, self.outer = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.deep(torch.relu(self.stem(x))))
        x = torch.relu(self.outer(torch.relu(self.inner(x))) + x)
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


def test_no_more_goes_of_a_network_that_branches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with prices(monkeypatch):
        model = branching("skip", data_for(), tmp_path / "prepare", Skip)
        rate = fastest(model.network, 0.9) * 1.3
        task = PruneFilters(
            goal="board", board=BOARD, clock_mhz=CLOCK, fps=rate, share=0.9, divisor=1, steps=1
        )
        pruned = task.run(model, branch_context(tmp_path, data_for()))
        assert not pruned.network.chain
        assert fastest(pruned.network, 0.9) >= rate
        assert 0.1 < pruned.network.macs / model.network.macs < 1.0


def test_what_has_no_hardware_model_is_refused(tmp_path: Path) -> None:
    _, ctx = scored(tmp_path)
    task = PruneFilters(goal="board", board=BOARD, clock_mhz=CLOCK, fps=10.0)
    for name, said in (("residual", "pads channels"), ("mixed", "count_include_pad=True")):
        model = branching(name, data_for(), tmp_path / name)
        with pytest.raises(LiftFlowError, match=said):
            task.run(model, ctx)


def test_met_is_what_the_solver_reaches(tmp_path: Path) -> None:
    model, _ = scored(tmp_path)
    wanted = BoardGoal(Goal(load_board(BOARD), CLOCK, fastest(model.network), SHARE), 4, 4)
    assert wanted.met(model.network)
    faster = Goal(load_board(BOARD), CLOCK, fastest(model.network) * 1.01, SHARE)
    assert not BoardGoal(faster, 4, 4).met(model.network)


def test_goals_are_filled_in_for_a_board_only() -> None:
    goals = Goals(fps=123.0, share=0.5)
    plain = default_pipeline(BOARD, goals).passes
    for_board = default_pipeline(BOARD, goals, {"prune-filters": {"goal": "board"}}).passes
    assert next(p for p in plain if isinstance(p, PruneFilters)).board == ""
    filled = next(p for p in for_board if isinstance(p, PruneFilters))
    assert (filled.board, filled.fps, filled.share) == (BOARD, 123.0, 0.5)


def test_bad_goals(tmp_path: Path) -> None:
    _, ctx = scored(tmp_path)
    with pytest.raises(LiftFlowError, match="no such goal"):
        PruneFilters(goal="area")
    with pytest.raises(LiftFlowError, match="nosuch"):
        PruneFilters(goal="board", board="nosuch").refuse(ctx)
