"""prune-filters for a board: no more goes than must for the frame rate asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_case import scored
from quant_graph import data_for
from quant_graph import scored as branching

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
    found = solve.least_interval(space, goal.limits(4.0), 20.0)
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


def test_branches_have_no_hardware_model(tmp_path: Path) -> None:
    model = branching("residual", data_for(), tmp_path / "prepare")
    _, ctx = scored(tmp_path)
    task = PruneFilters(goal="board", board=BOARD, clock_mhz=CLOCK, fps=10.0)
    with pytest.raises(LiftFlowError, match="branches have none"):
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
