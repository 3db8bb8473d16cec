"""The solver under the allocator, against trying every path of random layered graphs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from numpy.typing import NDArray

from passes._allocation_bound import Problem, bound
from passes._allocation_core import best_path
from passes._allocation_paths import Graph
from passes._allocation_prune import undominated

SEEDS = range(60)
FOREVER = 1e18


def random_graph(rng: np.random.Generator, layers: int) -> Graph:
    """Some edges of a space of designs: but for matrices, one at most between two nodes.

    In small ones what stands behind a matrix has lanes of its own, else as many as the matrix.
    """
    pairs: list[list[tuple[int, int]]] = []
    bits, lanes = 1, 1
    for layer in range(layers):
        simds, accs, pes = (int(n) for n in rng.integers(1, 4, 3))
        links = product(range(bits), range(lanes), range(simds))
        pairs.append([(b * lanes + lane, b * simds + s) for b, lane, s in links])
        matrices = product(range(bits * simds), range(accs * pes))
        pairs.append([pair for pair in matrices for _ in range(int(rng.integers(1, 3)))])
        bits = int(rng.integers(1, 3)) if layer + 1 < layers else 1
        last = layer + 1 == layers
        if layers < 3:
            lanes = 1 if last else int(rng.integers(1, 4))
            backs = product(range(accs * pes), range(bits * lanes))
            pairs.append(list(backs))
        else:
            tied = product(range(accs), range(pes), range(bits))
            pairs.append([(a * pes + p, 0 if last else b * pes + p) for a, p, b in tied])
            lanes = pes
    tails, heads, ranks = [], [], []
    first = 0
    for rank, ends in enumerate(pairs):
        after = first + max(tail for tail, _ in ends) + 1
        kept = [pair for pair in ends if rng.random() < 0.8 or pair == (0, 0)]
        tails += [first + tail for tail, _ in kept]
        heads += [after + head for _, head in kept]
        ranks += [rank] * len(kept)
        first = after
    whole = Graph(np.array(tails), np.array(heads), np.array(ranks), first + 1)
    return whole.subset(np.ones(len(tails), dtype=bool))[0]


def random_problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, int(rng.integers(1, 4)))
    edges, rows = len(graph.tails), int(rng.integers(1, 4))
    use = rng.integers(0, 20, (rows, edges)) * 10.0 ** rng.integers(-3, 3)
    mean = np.array([graph.shortest(row)[1] for row in use])
    limits = mean * rng.uniform(0.95, 2.0, rows) + 1e-6
    soft = rng.random() < 0.4
    elastic = (rng.random(rows) < 0.5) * soft * 1.0
    objective = rng.integers(0, 50, edges) * 10.0 ** rng.integers(-6, 3)
    free = elastic.any()
    return Problem(
        graph,
        np.zeros(edges) if free else objective,
        use,
        np.where(elastic > 0, 0.0, limits),
        elastic,
        1.0 if free else 0.0,
    )


def every_path(graph: Graph) -> list[NDArray[np.intp]]:
    found: list[list[int]] = [[]]
    for part in graph.slices:
        found = [
            [*path, edge]
            for path in found
            for edge in range(part.start, part.stop)
            if graph.tails[edge] == (graph.heads[path[-1]] if path else 0)
        ]
    return [np.array(path) for path in found]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_of_every_path(seed: int) -> None:
    problem = random_problem(seed)
    best = min(problem.value(path) for path in every_path(problem.graph))
    found = best_path(problem, 20.0)
    if not np.isfinite(best):
        assert found.path is None
        return
    assert found.path is not None
    assert found.value == pytest.approx(best, rel=1e-7, abs=1e-12)
    assert problem.value(found.path) == found.value
    assert found.gap == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_no_path_is_below_the_bound(seed: int) -> None:
    problem = random_problem(seed)
    known = bound(problem, FOREVER)
    for path in every_path(problem.graph):
        value = problem.value(path)
        if np.isfinite(value):
            assert known is not None
            slack = 1e-9 * max(1.0, abs(value))
            assert known.value <= value + slack
            assert (known.reduced[path] <= value + slack).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_dominated_is_not_needed(seed: int) -> None:
    problem = random_problem(seed)
    rows = np.vstack([problem.objective, problem.use]).T
    keep = undominated(problem.graph, rows, 1, 3)
    values = [(problem.value(path), keep[path].all()) for path in every_path(problem.graph)]
    best = min(value for value, _ in values)
    kept = min(value for value, whole in values if whole)
    assert kept == pytest.approx(best, rel=1e-9) or kept == best


@pytest.mark.parametrize("seed", range(10))
def test_shortest_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 3)
    weights = rng.normal(size=len(graph.tails))
    path, value = graph.shortest(weights)
    lengths = [float(weights[p].sum()) for p in every_path(graph)]
    assert value == pytest.approx(min(lengths))
    assert float(weights[path].sum()) == pytest.approx(value)
    through = (
        graph.from_source(weights)[graph.tails] + weights + graph.to_sink(weights)[graph.heads]
    )
    assert through.min() == pytest.approx(value)
    assert through[path] == pytest.approx(value)


def test_a_path_that_will_do_ends_the_search() -> None:
    graph = random_graph(np.random.default_rng(0), 3)
    use = np.ones((1, len(graph.tails)))
    task = Problem(graph, np.zeros(len(graph.tails)), use, np.zeros(1), np.ones(1), 1.0)
    found = best_path(task, 20.0, enough=(9.0, 9.0))
    assert found.path is not None
    assert found.value == 9.0
    assert best_path(task, 20.0, enough=(0.0, 1.0)).bound > 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_whether_a_path_will_do(seed: int) -> None:
    """Also where the least is what is asked for, or is missed by a ten thousandth."""
    problem = random_problem(seed)
    least = min(problem.value(path) for path in every_path(problem.graph))
    if not problem.elastic.any() or not 0 < least < np.inf:
        return
    for share, there in ((0.5, False), (0.9999, False), (1.0, True), (1.0001, True), (3.0, True)):
        asked = share * least
        found = best_path(problem, 20.0, enough=(asked, asked * (1.0 + 1e-9)))
        assert (found.value <= asked * (1.0 + 1e-9)) == there
        assert found.bound <= least * (1.0 + 1e-9) or found.bound > asked


def test_time_that_others_took_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """HiGHS is stopped by the clock before it has worked: it begins again, with more time."""
    real = scipy.optimize.milp
    given: list[float] = []

    def starved(*args: Any, options: dict[str, float], **more: Any) -> Any:
        given.append(options["time_limit"])
        stopped = len(given) <= 2
        return real(*args, options={**options, "time_limit": 0.0} if stopped else options, **more)

    checked = 0
    for seed in range(120):
        problem = random_problem(seed)
        if not problem.elastic.any():
            continue  # taken apart where time is over
        calm = best_path(problem, 20.0)
        monkeypatch.setattr(scipy.optimize, "milp", starved)
        given.clear()
        busy = best_path(problem, 20.0)
        monkeypatch.setattr(scipy.optimize, "milp", real)
        assert (busy.value, busy.bound) == (calm.value, calm.bound)
        if len(given) >= 3:
            checked += 1
            assert given[2] == 2 * given[1] == 4 * given[0]
    assert checked > 3


def test_a_graph_cut_in_two_is_empty() -> None:
    graph = random_graph(np.random.default_rng(1), 2)
    small, edges = graph.subset(graph.ranks != 3)
    assert not len(edges)
    assert not small.slices
