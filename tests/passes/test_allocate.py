"""allocate: as good as trying everything, within the budget, and clear about what cannot be."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quant_graph import data_for
from quant_graph import scored as branching

from compiler.stages import (
    Dataset,
    InputFormat,
    LayerChoice,
    LayerRelevance,
    Relevance,
    ScoredModel,
)
from hw_targets.boards import load_board
from hw_targets.cost import estimate_many, kernels_of, network_kernels
from hw_targets.cost.model import as_row, kernel_model
from hw_targets.cost.shell import shell_estimate
from hw_targets.errors import InfeasibleError, LiftFlowError
from hw_targets.families import RESOURCES
from hw_targets.lanes import Lanes, divisors, window_lanes
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.quantizers import quantizers
from hw_targets.rtl.kernel import Kernel
from passes import Context
from passes import _allocation_bits as bits
from passes import _allocation_solve as solve
from passes._allocation_branches import no_hardware
from passes._allocation_build import build_space
from passes._allocation_error import activation_errors
from passes._allocation_goal import feasible
from passes._allocation_model import governed_elements, layer_errors
from passes._sensitivity import relevance
from passes.allocate import Allocate

torch = pytest.importorskip("torch")
nn: Any = torch.nn

BOARD = "ulx3s-12f"


def scored(network: NetworkShape, seed: int = 0) -> ScoredModel:
    """A model of `network`'s shape with random weights and relevance."""
    rng = np.random.default_rng(seed)
    modules: dict[str, Any] = {}
    relevance: dict[str, LayerRelevance] = {}
    for layer in network.layers:
        if layer.kind == "conv":
            module = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel)
        else:
            module = nn.Linear(layer.in_channels, layer.out_channels)
        shape = tuple(module.weight.shape)
        values = rng.normal(size=shape).astype(np.float32)
        module.weight = nn.Parameter(torch.from_numpy(values))
        modules[layer.name] = module
        relevance[layer.name] = LayerRelevance(
            channels=rng.random(layer.out_channels).astype(np.float32),
            weights=(rng.random(shape) / np.prod(shape)).astype(np.float32),
        )
    return ScoredModel(
        name="net",
        module=nn.ModuleDict(modules),
        input_shape=network.input_shape,
        input=InputFormat(network.input_bits, network.input_signed, 1.0),
        network=network,
        accuracy=1.0,
        reference=nn.Identity(),
        relevance=Relevance(relevance, 1, "zero", "margin", 0.0),
    )


def context(folder: Path) -> Context:
    empty = np.zeros((0, 1), dtype=np.float32)
    labels = np.zeros(0, dtype=np.int64)
    return Context(folder, Dataset("none", empty, labels, empty, labels, 2))


TINY = NetworkShape(
    "tiny",
    (
        LayerShape("conv", "conv", 2, 2, (6, 6), (3, 3), padding=(1, 1, 1, 1), pool=2),
        LayerShape("dense", "dense", 18, 2, activation=False),
    ),
    (2, 6, 6),
    4,
    False,
    2,
)
DIGITS = NetworkShape(
    "digits",
    (
        LayerShape("a", "conv", 1, 16, (8, 8), (3, 3), padding=(1, 1, 1, 1)),
        LayerShape("b", "conv", 16, 16, (8, 8), (3, 3), padding=(1, 1, 1, 1), pool=2),
        LayerShape("c", "conv", 16, 32, (4, 4), (3, 3), padding=(1, 1, 1, 1), pool=2),
        LayerShape("d", "dense", 128, 10, activation=False),
    ),
    (1, 8, 8),
    4,
    False,
    10,
)
WIDTHS, ACTS = (2, 4), (2, 3)


def every_choice(task: Allocate, layer: LayerShape) -> list[LayerChoice]:
    """Bits, folding and lanes of every unit that divide a layer."""
    channels, outputs = divisors(layer.in_channels), divisors(layer.out_channels)
    conv = layer.kind == "conv"
    front = list(product(channels, window_lanes(layer))) if conv else [(0, 0)]
    ends = outputs if layer.pool > 1 or not layer.activation else (0,)
    return [
        LayerChoice(w, a, pe, simd, arithmetic, memory, 0, Lanes(pad, window, act, end), quantizer)
        for w, a, pe, simd, (pad, window), act, end in product(
            task.weight_bits,
            task.act_bits if layer.activation else (0,),
            outputs,
            divisors(layer.matrix[0]),
            front,
            outputs,
            ends,
        )
        for arithmetic, memory, quantizer in product(
            ("lut", "dsp"), ("distributed", "block"), quantizers(layer.out_channels, a or 8)
        )
    ]


def brute_force(task: Allocate, model: ScoredModel) -> float | None:
    """Least objective over every design of two layers; None when none fits."""
    board, network = load_board(task.board), model.network
    errors = layer_errors(model, task.weight_bits, task.act_bits)
    assert task.fps is not None
    limit = int(task.clock_mhz * 1e6 / task.fps)
    numbers: dict[Kernel, int] = {}
    room = np.array([board.budget(task.share)[r] for r in RESOURCES]) - as_row(
        shell_estimate(board, network)
    )
    thrift = task.thrift / room * np.array([1.0, 0.1, 0.1, 0.1])

    def rows(index: int, in_bits: int, lanes: int | None) -> tuple[Any, list[LayerChoice]]:
        """(designs, 6) resources, objective and weight bits of what keeps to the rate."""
        layer, found, kept = network.layers[index], [], []
        for choice in every_choice(task, layer):
            kernels = kernels_of(layer, choice, in_bits, False, lanes, limit)
            if max(kernel.cycles for kernel in kernels) <= limit:
                loss = errors[index].weights[choice.weight_bits]
                if layer.activation:
                    loss += errors[index].activations[choice.act_bits]
                ids = [numbers.setdefault(kernel, len(numbers)) for kernel in kernels]
                found.append((ids, loss, choice.weight_bits * layer.weights / network.weights))
                kept.append(choice)
        prices = estimate_many(list(numbers), board.family)
        table = np.array([[*prices[ids].sum(axis=0), *rest] for ids, *rest in found])
        table = table.reshape(-1, len(RESOURCES) + 2)
        table[:, 4] += table[:, :4] @ thrift
        return table, kept

    best = np.inf
    first, choices = rows(0, network.input_bits, None)
    streams = [(choice.act_bits, choice.lanes.end) for choice in choices]
    for stream in sorted(set(streams)):
        second, _ = rows(1, *stream)
        for row in first[[each == stream for each in streams]]:
            both = second + row
            fits = (both[:, :4] <= room + 1e-9).all(axis=1)
            fits &= both[:, 5] <= task.mean_weight_bits + 1e-9
            best = min(best, both[fits, 4].min(initial=np.inf))
    return float(best) if np.isfinite(best) else None


@pytest.mark.parametrize("seed", range(3))
def test_equals_brute_force(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = scored(TINY, seed)
    task = Allocate(
        BOARD,
        clock_mhz=50.0,
        fps=float(rng.choice([20_000, 60_000, 100_000])),
        share=float(rng.choice([0.2, 0.1, 0.08])),
        mean_weight_bits=float(rng.choice([3.0, 3.5])),
        weight_bits=WIDTHS,
        act_bits=ACTS,
        thrift=float(rng.choice([0.01, 0.3])),
        sensitivity="deeplift-relevance",
    )
    best = brute_force(task, model)
    if best is None:
        with pytest.raises(InfeasibleError):
            task.run(model, context(tmp_path))
        return
    found = task.run(model, context(tmp_path)).allocation
    assert found is not None
    assert found.gap <= 1e-6
    used = np.array([found.estimate[r] for r in RESOURCES], dtype=np.float64)
    shell = as_row(shell_estimate(load_board(BOARD), TINY))
    room = np.array([found.budget[r] for r in RESOURCES]) - shell
    value = found.loss + float((used - shell) @ (task.thrift / room * np.array([1, 0.1, 0.1, 0.1])))
    assert value == pytest.approx(best, rel=1e-6)


ODD = NetworkShape(
    "odd",
    (
        LayerShape("a", "conv", 3, 10, (9, 9), (3, 3), padding=(1, 1, 1, 1)),
        LayerShape("b", "conv", 10, 12, (9, 9), (3, 3), (2, 2), pool=2),
        LayerShape("c", "conv", 12, 6, (2, 2), padding=(1, 1, 1, 1)),
        LayerShape("d", "dense", 96, 10, activation=False),
    ),
    (3, 9, 9),
    8,
    True,
    10,
)


@pytest.mark.parametrize("interval", [729, 900, 1500, 5000, 20000])
def test_a_path_costs_what_the_units_do_that_are_built_of_it(interval: int) -> None:
    board = load_board(BOARD)
    space = build_space(ODD, board, (2, 3), (2, 4))
    room = np.array([1e5, 1e5, 100.0, 100.0])
    for budget in (room, room * np.array([1.0, 1.0, 1e-6, 1.0])):
        limits = solve.Limits(budget, interval, 2.5)
        for found in (
            solve.least_error(space, limits, 0.1, 5.0),
            solve.least_interval(space, limits, 5.0),
        ):
            assert found is not None
            choices = [
                LayerChoice(
                    c.weight_bits, a, c.pe, c.simd, c.arithmetic, c.memory, 0, c.lanes, c.quantizer
                )
                for c, a in zip(found.choices, found.act_bits, strict=True)
            ]
            kernels = network_kernels(ODD, choices, found.interval)
            assert max(kernel.cycles for kernel in kernels) == found.interval <= interval
            priced = estimate_many(kernels, board.family).sum(axis=0)
            np.testing.assert_allclose(priced, found.cost, rtol=1e-9)


def test_keeps_to_the_budget_and_the_bits(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    task = Allocate("ulx3s-85f", clock_mhz=50.0, fps=20_000.0, sensitivity="deeplift-relevance")
    found = task.run(scored(DIGITS), ctx).allocation
    assert found is not None
    for name, used in found.estimate.items():
        assert used is not None
        assert used <= found.budget[name]
    assert found.interval <= 50e6 / 20_000
    assert found.mean_weight_bits <= 4.0
    assert found.layers["d"].act_bits == 0
    assert all(check.passed for check in ctx.checks)
    assert len(ctx.checks) == 5


def test_most_frames_when_no_rate_is_asked_for(tmp_path: Path) -> None:
    model = scored(DIGITS)
    free = Allocate("ulx3s-25f", 50.0, act_bits=(3, 4), sensitivity="deeplift-relevance").run(
        model, context(tmp_path)
    )
    assert free.allocation is not None
    slow = Allocate("ulx3s-25f", 50.0, 1000.0, act_bits=(3, 4), sensitivity="deeplift-relevance")
    kept = slow.run(model, context(tmp_path)).allocation
    assert kept is not None
    assert free.allocation.interval < kept.interval
    assert free.allocation.loss <= 1.1 * kept.loss + 1e-6


def test_least_hardware_at_a_rate_and_an_error(tmp_path: Path) -> None:
    model = scored(DIGITS)
    options: dict[str, Any] = {"act_bits": (3, 4), "sensitivity": "deeplift-relevance"}
    best = Allocate("ulx3s-25f", 50.0, 2000.0, **options).run(model, context(tmp_path)).allocation
    task = Allocate("ulx3s-25f", 50.0, 2000.0, goal="hardware", slack=0.2, **options)
    thin = task.run(model, context(tmp_path)).allocation
    assert best is not None
    assert thin is not None
    assert thin.loss <= 1.2 * best.loss + 1e-9
    assert thin.interval <= 50e6 / 2000
    shares = [
        max(float(found.estimate[r] or 0.0) / found.budget[r] for r in RESOURCES)
        for found in (thin, best)
    ]
    assert shares[0] < shares[1]
    assert thin.gap == 0.0


@pytest.mark.parametrize(
    ("wrong", "said"), [({"goal": "area"}, "no such goal"), ({"goal": "hardware"}, "needs a rate")]
)
def test_goals_that_there_are_not(wrong: dict[str, str], said: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"board": BOARD, "clock_mhz": 50.0, **wrong}
    with pytest.raises(LiftFlowError, match=said):
        Allocate(**options).refuse(context(tmp_path))


def test_a_rate_beyond_the_board_says_by_how_much() -> None:
    with pytest.raises(InfeasibleError) as error:
        feasible(DIGITS, BOARD, 50.0, 40_000.0, 0.3)
    line = str(error.value)
    assert re.search(r"needs at least [\d,]+ (LUT|FF|DSP|BRAM) of [\d,]+ allowed", line)
    assert "the most this board reaches is" in line
    assert "30%" in line
    reach = int(line.split("reaches is ")[1].split(" frames")[0].replace(",", ""))
    feasible(DIGITS, BOARD, 50.0, reach, 0.3)


def test_a_rate_beyond_any_folding_names_the_layer() -> None:
    with pytest.raises(InfeasibleError, match="layer a needs at least"):
        feasible(DIGITS, "ulx3s-85f", 50.0, 5_000_000.0, 0.7)


def test_fewer_bits_than_there_are(tmp_path: Path) -> None:
    task = Allocate(BOARD, 50.0, 1000.0, mean_weight_bits=1.5, sensitivity="deeplift-relevance")
    with pytest.raises(InfeasibleError, match="below the least width"):
        task.run(scored(TINY), context(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"share": 0.0}, {"share": 1.5}, {"fps": -1.0}, {"clock_mhz": 0.0}]
)
def test_goals_that_make_no_sense(wrong: dict[str, float], tmp_path: Path) -> None:
    options: dict[str, Any] = {"board": BOARD, "clock_mhz": 50.0, "fps": 100.0, **wrong}
    with pytest.raises(LiftFlowError, match=next(iter(wrong))):
        Allocate(**options).refuse(context(tmp_path))


def test_uncalibrated_cost_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hw_targets.cost.model.load_coefficients", lambda *_: None)
    kernel_model.cache_clear()
    try:
        with pytest.raises(LiftFlowError, match="uncalibrated"):
            feasible(DIGITS, BOARD, 50.0, 1000.0, 0.7)
    finally:
        kernel_model.cache_clear()


@pytest.mark.parametrize("share", [1e-6, 0.001, 0.004, 0.01])
def test_a_budget_that_the_shell_alone_exceeds_says_what_is_needed(share: float) -> None:
    with pytest.raises(InfeasibleError, match=r"needs at least [\d,]+ [A-Z]+ of [\d,]+ allowed"):
        feasible(DIGITS, BOARD, 50.0, None, share)


def test_errors_shrink_with_bits() -> None:
    model = scored(TINY)
    by_weight = relevance(model, (2, 3, 4, 6, 8))["conv"]
    by_act = activation_errors(model.relevance.layers["conv"], (2, 3, 4, 6, 8))
    for table in (by_weight, by_act):
        assert list(table.values()) == sorted(table.values(), reverse=True)
    with torch.no_grad():
        model.module.get_parameter("conv.weight").zero_()
    assert relevance(model, (2,))["conv"][2] == 0.0


def cheapest(errors: list[dict[int, float]], sizes: list[int], mean: float) -> float | None:
    """Least error over every choice of widths; None when none fits."""
    found: float | None = None
    for widths in product(*errors):
        if np.dot(widths, sizes) <= mean * sum(sizes) + 1e-6:
            value = sum(table[width] for table, width in zip(errors, widths, strict=True))
            found = value if found is None else min(found, value)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_bits_alone_equal_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = (2, 3, 4, 5, 6, 8)
    errors = []
    for _ in range(int(rng.integers(1, 6))):
        values = rng.random(len(widths)) * 10.0 ** rng.integers(-6, 3)
        if rng.random() < 0.8:
            values = np.sort(values)[::-1]
        errors.append(dict(zip(widths, values.tolist(), strict=True)))
    sizes = rng.integers(1, 2000, len(errors)).tolist()
    mean = float(rng.uniform(1.9, 7.0))
    best = cheapest(errors, sizes, mean)
    if best is None:
        with pytest.raises(InfeasibleError, match="below the least widths"):
            bits.least_error(errors, sizes, mean)
        return
    found = bits.least_error(errors, sizes, mean)
    assert bits.mean(sizes, found) <= mean + 1e-6
    value = sum(table[width] for table, width in zip(errors, found, strict=True))
    assert value == pytest.approx(best, rel=1e-12)


def test_bits_of_many_layers_are_found_at_once() -> None:
    rng = np.random.default_rng(0)
    widths = (2, 3, 4, 5, 6, 8)
    errors = [
        dict(zip(widths, (rng.random() / 2.0 ** np.array(widths)).tolist(), strict=True))
        for _ in range(60)
    ]
    sizes = rng.integers(1000, 600_000, 60).tolist()
    found = bits.least_error(errors, sizes, 4.0)
    assert bits.mean(sizes, found) <= 4.0
    assert bits.mean(sizes, found) > 3.99


def test_a_network_that_hardware_cannot_compute_gets_bits_alone(tmp_path: Path) -> None:
    model = branching("mixed", data_for(), tmp_path / "prepare")
    assert "count_include_pad=True" in no_hardware(model.network)
    ctx = context(tmp_path)
    task = Allocate(BOARD, 50.0, mean_weight_bits=3.0, mean_act_bits=3.5)
    found = task.run(model, ctx).allocation
    assert found is not None
    assert found.gap == 0.0
    assert set(found.estimate.values()) == {None}
    assert found.interval == max(layer.macs for layer in model.network.layers)
    assert [check.claim for check in ctx.checks] == ["mean weight bits within the limit"]
    elements = governed_elements(model)
    assert elements == {"stem": 512, "depthwise": 512, "point": 640, "grouped": 512, "side": 128}
    assert found.layers["head"].act_bits == 0
    spent = sum(found.layers[name].act_bits * count for name, count in elements.items())
    assert spent <= 3.5 * sum(elements.values())
    names = list(found.layers)
    errors = layer_errors(model, task.weight_bits, task.act_bits)
    by_act = [errors[names.index(name)].activations for name in elements]
    best = cheapest([dict(table) for table in by_act], list(elements.values()), 3.5)
    mine = [found.layers[name].act_bits for name in elements]
    assert sum(t[b] for t, b in zip(by_act, mine, strict=True)) == pytest.approx(best)


def test_the_layer_that_no_choice_is_priced_of_is_named() -> None:
    layers = (
        LayerShape("a", "dense", 8, 8),
        LayerShape("wide", "conv", 8, 8, (1, 1), (1, 1), (1, 1), (4000, 4000, 4000, 4000)),
        LayerShape("c", "dense", 8, 4, activation=False),
    )
    network = NetworkShape("cut", layers, (8,), 4, False, 4)
    with pytest.raises(LiftFlowError, match="layer wide: cost is uncalibrated"):
        feasible(network, BOARD, 50.0, None, 0.7)
