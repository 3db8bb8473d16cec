"""Designs taken apart, against trying every path of random layered graphs."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from passes import _allocation_tree as tree
from passes._allocation_bound import Bound, Problem, bound
from passes._allocation_master import Master
from passes._allocation_meeting import meeting
from passes._allocation_merge import merged
from passes._allocation_polish import polished
from tests.passes.test_allocation_core import FOREVER, every_path, random_problem

SEEDS = [seed for seed in range(120) if not (random_problem(seed).elastic > 0).any()]


def values(problem: Problem) -> list[float]:
    return [problem.value(path) for path in every_path(problem.graph)]


def bounded(problem: Problem) -> Bound | None:
    return bound(problem, FOREVER)


@pytest.mark.parametrize("small", [0, 500])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_of_every_path(seed: int, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With HiGHS at the end, and down to single paths without it."""
    monkeypatch.setattr(tree, "SMALL", small)
    problem = random_problem(seed)
    known = bounded(problem)
    best = min(values(problem))
    if known is None:
        assert best == np.inf
        return
    found = tree.branched(problem, known, known.path, 0.0, FOREVER)
    if not np.isfinite(best):
        assert found.path is None
        assert found.bound == np.inf
        return
    assert found.path is not None
    assert found.value == pytest.approx(best, rel=1e-7, abs=1e-12)
    assert problem.value(found.path) == found.value
    assert found.gap <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_no_better_path_than_told(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a tolerance, and when time is over before the first node."""
    monkeypatch.setattr(tree, "SMALL", 0)
    problem = random_problem(seed)
    known, best = bounded(problem), min(values(problem))
    if known is None or not np.isfinite(best):
        return
    near = tree.branched(problem, known, None, 0.1, FOREVER)
    assert near.bound <= best * (1 + 1e-9) + 1e-12
    assert best <= near.value * (1 + 1e-9)
    assert near.gap <= 0.1 + 1e-9
    late = tree.branched(problem, known, None, 0.0, time.process_time() - 1)
    assert late.bound <= best * (1 + 1e-9) + 1e-12
    assert best <= late.value * (1 + 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_joined_ranks_keep_a_best_path(seed: int) -> None:
    problem = random_problem(seed)
    small, members = merged(problem)
    assert len(small.graph.slices) <= len(problem.graph.slices)
    best = np.inf
    for path in every_path(small.graph):
        whole = members[path]
        value = problem.value(whole[whole >= 0])
        assert value == pytest.approx(small.value(path), rel=1e-12)
        best = min(best, value)
    assert best == pytest.approx(min(values(problem)), rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_paths_met_and_polished_keep_to_the_limits(seed: int) -> None:
    problem = random_problem(seed)
    known = bounded(problem)
    if known is None:
        return
    path = meeting(problem, known.prices, known.value, np.inf)
    if path is None:
        return
    assert np.isfinite(problem.value(path))
    rng = np.random.default_rng(seed)
    better = polished(problem, known.reduced, path, rng, FOREVER)
    assert min(values(problem)) * (1 - 1e-9) <= problem.value(better) <= problem.value(path)


def test_most_small_problems_are_met() -> None:
    met = 0
    for seed in SEEDS:
        problem = random_problem(seed)
        known = bounded(problem)
        if known is not None:
            path = meeting(problem, known.prices, known.value, np.inf)
            met += path is not None and problem.value(path) == pytest.approx(min(values(problem)))
    assert met > len(SEEDS) / 4


def test_prices_of_a_mix() -> None:
    """Half of each path keeps to the limit; a unit of it is worth what the dear path costs more."""
    master = Master(np.array([1.0]), 1e3)
    master.add(1.0, np.array([2.0]))
    alone = master.solve()
    assert alone is not None
    assert alone[0] == pytest.approx(1001.0)
    master.add(5.0, np.array([0.0]))
    solved = master.solve()
    assert solved is not None
    objective, prices, weights = solved
    assert objective == pytest.approx(3.0)
    assert prices == pytest.approx([2.0])
    assert weights == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mix_that_is_not_solved_is_left_to_the_end(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Master, "solve", lambda _: None)
    monkeypatch.setattr(tree, "SMALL", 0)
    problem = random_problem(seed)
    known, best = bounded(problem), min(values(problem))
    if known is None or not np.isfinite(best):
        return
    found = tree.branched(problem, known, None, 0.0, FOREVER)
    assert found.value == pytest.approx(best, rel=1e-7, abs=1e-12)
    assert found.gap <= 1e-6


def test_partial_paths_that_use_alike_are_one() -> None:
    from passes._allocation_meeting import KEPT, _different

    nodes: NDArray[np.intp] = np.array([3, 3, 3, 4] + [5] * (KEPT + 3))
    crossed = np.concatenate([[[0.2], [0.7], [1.2], [0.3]], np.arange(KEPT + 3)[:, None] + 0.5])
    kept = _different(nodes, crossed)
    assert kept.tolist() == [0, 2, 3, *range(4, 4 + KEPT)]
