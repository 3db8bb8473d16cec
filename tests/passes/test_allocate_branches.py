"""Networks that branch are folded as well as trying everything would, and priced as planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from priced_case import prices
from quant_case import context
from quant_graph import NETWORKS, data_for, graph, scored
from torch import nn

from compiler.stages import LayerChoice
from hw_targets.boards import load_board
from hw_targets.cost import estimate_many, network_kernels
from hw_targets.cost.basis import BASES
from hw_targets.cost.model import as_row
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES
from hw_targets.network import NetworkShape
from passes import _allocation_solve as solve
from passes._allocation_branches import fixed_layers
from passes._allocation_build import build_space
from passes._allocation_goal import Goal
from passes._allocation_model import governed_elements, layer_errors
from passes._allocation_space import Space
from passes.allocate import Allocate
from passes.fold import Fold
from passes.generate_rtl import GenerateRtl
from passes.lower_finn import LowerFinn

BOARD = "ulx3s-85f"
ROOM = np.array([1e5, 1e5, 100.0, 100.0])


@pytest.fixture(autouse=True)
def priced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with prices(monkeypatch):
        yield


class Counting(NETWORKS["mixed"]):  # type: ignore[misc]
    """Its average pooling counts what is padded, as hardware does."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 2, padding=1, count_include_pad=True)


class Wide(nn.Module):
    """Channels of many divisors, a branch longer than the other, and pooling on a fixed stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.one, self.two = nn.Conv2d(6, 12, 3, padding=1), nn.Conv2d(12, 12, 1)
        self.side, self.after = nn.Conv2d(6, 12, 1), nn.Conv2d(12, 10, 3)
        self.deep = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.head = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.stem(x)), 2)
        x = self.two(torch.relu(self.one(x))) + torch.relu(self.side(x))
        x = torch.relu(self.deep(torch.relu(self.after(torch.relu(x)))))
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


MADE = {"residual": NETWORKS["residual"], "counting": Counting, "wide": Wide}


def shape_of(name: str, folder: Path) -> NetworkShape:
    return scored(name, data_for(), folder, MADE[name]).network


def choices_of(found: solve.Solution) -> list[LayerChoice]:
    return [
        LayerChoice(
            c.weight_bits, a, c.pe, c.simd, c.arithmetic, c.memory, c.cycles, c.lanes, c.quantizer
        )
        for c, a in zip(found.choices, found.act_bits, strict=True)
    ]


@pytest.mark.parametrize("name", MADE)
def test_a_path_costs_what_is_planned_of_it(name: str, tmp_path: Path) -> None:
    board, network = load_board(BOARD), shape_of(name, tmp_path)
    fixed = dict.fromkeys(fixed_layers(network), 3)
    space = build_space(network, board, (2, 3), (2, 4), fixed=fixed)
    assert space.shared is not None
    layers = [space.slowest(index) for index in range(len(network.layers))]
    least = max(space.shared.breakpoints[0], *layers)
    for interval in (least, int(1.2 * least), 2 * least, 7 * least, 50 * least, 10**7):
        # As few multipliers as will do: requantization on the arms of joins needs some.
        boundless = solve.Limits(np.array([1e9, 1e9, 1e-3, 1e9]), interval, 2.5)
        thin = solve.least_share(space, boundless, 5.0)
        assert thin is not None
        scarce = np.where([False, False, True, False], thin[1].cost, ROOM)
        for budget in (ROOM, scarce):
            limits = solve.Limits(budget, interval, 2.5)
            found = solve.least_error(space, limits, 0.1, 5.0)
            assert found is not None
            choices = choices_of(found)
            kernels = network_kernels(network, choices, found.interval)
            assert max(kernel.cycles for kernel in kernels) == found.interval <= interval
            total = estimate_many(kernels, board.family).sum(axis=0)
            np.testing.assert_allclose(total, found.cost, rtol=1e-9)


@pytest.mark.parametrize(
    "task",
    [
        Allocate(BOARD, 50.0, 20_000.0, share=0.5),
        Allocate(BOARD, 50.0, share=0.3, act_bits=(2, 3), weight_bits=(2, 4)),
        Allocate(BOARD, 50.0, 5_000.0, goal="hardware", act_bits=(2, 3), weight_bits=(2, 4)),
    ],
    ids=["accuracy", "speed", "hardware"],
)
def test_the_estimate_is_the_solvers_sum(
    task: Allocate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[solve.Solution | None] = []
    solved = Allocate._solve

    def kept(self: Allocate, space: Space, goal: Goal) -> solve.Solution | None:
        found.append(solved(self, space, goal))
        return found[-1]

    monkeypatch.setattr(Allocate, "_solve", kept)
    model = scored("residual", data_for(), tmp_path / "prepare")
    ctx = context(tmp_path, data_for())
    allocation = task.run(model, ctx).allocation
    assert allocation is not None
    (solution,) = found
    assert solution is not None
    shell = as_row(shell_estimate(load_board(BOARD), model.network))
    used = np.array([allocation.estimate[name] for name in RESOURCES], dtype=np.float64)
    np.testing.assert_allclose(used - shell, solution.cost, rtol=1e-9)
    assert all(check.passed for check in ctx.checks)
    assert allocation.interval <= task._goal().interval
    elements = governed_elements(model)
    fixed = fixed_layers(model.network)
    assert fixed == ("stem", "first_conv2", "second_conv2")
    spent = sum(allocation.layers[name].act_bits * elements[name] for name in fixed)
    assert spent <= task.mean_act_bits * sum(elements[name] for name in fixed)
    errors = layer_errors(model, task.weight_bits, task.act_bits)
    loss = 0.0
    for table, layer in zip(errors, allocation.layers.values(), strict=True):
        loss += table.weights[layer.weight_bits] + table.activations.get(layer.act_bits, 0.0)
    assert allocation.loss == pytest.approx(loss)


def test_what_was_never_calibrated_is_refused(tmp_path: Path) -> None:
    model = scored("residual", data_for(), tmp_path / "prepare")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(BASES, "Table")
        with pytest.raises(LiftFlowError, match="Table was never calibrated for ecp5"):
            Allocate(BOARD, 50.0).run(model, context(tmp_path, data_for()))


def test_a_rate_beyond_what_joins_branches_names_it(tmp_path: Path) -> None:
    model = scored("residual", data_for(), tmp_path / "prepare")
    task = Allocate(BOARD, 50.0, 1e6, weight_bits=(2,), act_bits=(2,))
    with pytest.raises(InfeasibleError, match="needs at least"):
        task.run(model, context(tmp_path, data_for()))


def test_the_allocation_is_built_as_it_says(tmp_path: Path) -> None:
    found = graph("residual")
    ctx = context(tmp_path, found.data)
    folded = Fold().run(LowerFinn(frames=4).run(found.exported, ctx), ctx)
    design = GenerateRtl(board=BOARD).run(folded, ctx)
    assert all(check.passed for check in ctx.checks)
    allocation = design.allocation
    assert max(unit.cycles for unit in design.units) == allocation.interval
    choices = list(allocation.layers.values())
    planned = network_kernels(design.network, choices, allocation.interval)
    kinds = Counter(type(kernel).__name__ for kernel in planned)
    del kinds["Fifo"]
    assert kinds == Counter(unit.kernel for unit in design.units)
