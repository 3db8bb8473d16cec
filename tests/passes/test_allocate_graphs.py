"""Small random networks with a join: the solver is as good as trying everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from priced_case import prices
from quant_graph import data_for, scored
from torch import nn

from compiler.stages import LayerChoice
from hw_targets.boards import load_board
from hw_targets.cost import estimate_many
from hw_targets.cost.layer import needs_pad, needs_window, quantizer_kernel
from hw_targets.cost.planned import priced_kernels
from hw_targets.lanes import Lanes, divisors, window_lanes
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.quantizers import quantizers
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.threshold import Threshold
from passes import _allocation_solve as solve
from passes._allocation_branches import fixed_layers, follows
from passes._allocation_build import build_space
from passes._allocation_space import Errors

BOARD = "ulx3s-12f"
WEIGHTS = np.array([1.0, 0.1, 0.1, 0.1])
TOO_MUCH = 1e9
"""Error of widths that are not to be chosen."""
Arithmetic = Literal["lut", "dsp"]
Memory = Literal["distributed", "block"]


@dataclass(frozen=True)
class Form:
    """What a small network has. kernel: of the layer beside the shortcut."""

    channels: int = 2
    kernel: int = 1
    second: bool = False
    side: bool = False
    deep: bool = False
    pooled: bool = False
    bare: bool = False


FORMS = (
    Form(),
    Form(bare=True),
    Form(side=True),
    Form(second=True),
    Form(channels=3),
    Form(channels=4, bare=True),
    Form(deep=True, kernel=2),
    Form(pooled=True),
    Form(kernel=2),
)


class Small(nn.Module):
    """A stem, a layer or two beside a shortcut, their sum, and a dense layer."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        n, self.form = form.channels, form
        self.stem = nn.Identity() if form.bare else nn.Conv2d(n, n, 1)
        groups = n if form.deep else 1
        self.body = nn.Conv2d(n, n, form.kernel, groups=groups)
        self.second = nn.Conv2d(n, n, 1)
        self.side = nn.Conv2d(n, n, 1)
        self.head = nn.Linear(n, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        form = self.form
        if not form.bare:
            x = torch.relu(self.stem(x))
        if form.pooled:
            x = torch.max_pool2d(x, 2)
        y = self.body(x)
        if form.second:
            y = self.second(torch.relu(y))
        if form.kernel > 1:
            x = x[:, :, ::3, ::3]  # one pixel of a 3 x 3 image is left, of four with a kernel of 2
            y = torch.max_pool2d(y, 2)
        if form.side:
            x = self.side(x)
        logits: torch.Tensor = self.head(torch.relu(y + x).mean((2, 3)))
        return logits


def widths_of(network: NetworkShape, layer: LayerShape) -> tuple[int, ...]:
    """Bits to choose from: of the first and, if they are three, the last; else there were too many
    designs to try.
    """
    some = network.layers[:1] if len(network.layers) > 3 else network.layers[::2]
    return (2, 3) if layer in some else (3,)


def every_choice(network: NetworkShape, index: int, acts: tuple[int, ...]) -> list[LayerChoice]:
    """Bits, folding and lanes of one layer; arithmetic and memory aside."""
    layer = network.layers[index]
    mw, mh = layer.hardware_matrix
    last = index + 1 == len(network.layers)
    channels, outputs = divisors(layer.in_channels), divisors(layer.out_channels)
    return [
        LayerChoice(w, a, pe, simd, "lut", "distributed", 0, Lanes(pad, window, act, end))
        for w, a, pe, simd, pad, window, act, end in product(
            widths_of(network, layer),
            acts,
            divisors(mh),
            (1,) if layer.depthwise else divisors(mw),
            channels if needs_pad(layer) else (0,),
            window_lanes(layer) if needs_window(layer) else (0,),
            outputs if layer.activation or last else (0,),
            outputs if layer.pool > 1 or last else (0,),
        )
    ]


def ways(kernel: Mvu | Depthwise | Threshold) -> Sequence[Kernel]:
    """The same with every arithmetic and memory, or with either quantizer."""
    if isinstance(kernel, Threshold):
        k = kernel
        form = k.channels, k.pe, k.pixels, k.in_bits, k.in_signed, k.out_bits, k.out_signed
        return [quantizer_kernel(*form, way) for way in quantizers(k.channels, k.out_bits)]
    arithmetics: tuple[Arithmetic, ...] = ("lut", "dsp")
    memories: tuple[Memory, ...] = ("distributed", "block")
    words = kernel.cycles // kernel.pixels
    return [
        replace(kernel, arithmetic=arithmetic, memory=memory)
        for arithmetic, memory in product(arithmetics, memories if words > 1 else memories[:1])
    ]


@dataclass(frozen=True)
class Case:
    network: NetworkShape
    errors: tuple[Errors, ...]
    limits: solve.Limits
    thrift: float


def case(form: Form, seed: int, folder: Path) -> Case:
    side = 3 if form.kernel > 1 else 2
    shape = (form.channels, side, side)
    network = scored("small", data_for(shape=shape), folder, lambda: Small(form), shape).network
    rng = np.random.default_rng(seed)

    def table(bits: tuple[int, ...]) -> dict[int, float]:
        return dict(zip(bits, np.sort(rng.random(len(bits)))[::-1].tolist(), strict=True))

    errors = tuple(
        Errors(
            {**dict.fromkeys((2, 3), TOO_MUCH), **table(widths_of(network, layer))}, table((2, 3))
        )
        for layer in network.layers
    )
    room = np.array([rng.choice([1000.0, 1200.0, 1500.0, 1e4]), 1e5, rng.choice([8.0, 20.0]), 4.0])
    limits = solve.Limits(
        room, int(rng.choice([9, 12, 16, 24, 40, 80])), float(rng.choice([2.6, 3.0]))
    )
    return Case(network, errors, limits, float(rng.choice([0.01, 0.5])))


def brute_force(of: Case, fixed: dict[str, int]) -> float:
    """Least objective of all designs; infinite where none fits."""
    network, limits, family = of.network, of.limits, load_board(BOARD).family
    acts = [
        (2, 3) if layer.activation and follows(network, index) else (fixed.get(layer.name, 0),)
        for index, layer in enumerate(network.layers)
    ]
    known: dict[Kernel, NDArray[np.float64]] = {}

    def price(kernel: Kernel) -> NDArray[np.float64]:
        if kernel not in known:
            known[kernel] = estimate_many([kernel], family)[0]
        return known[kernel]

    best = np.inf
    each = [every_choice(network, index, acts[index]) for index in range(len(acts))]
    for choices in product(*each):
        spent = [c.weight_bits * s.weights for c, s in zip(choices, network.layers, strict=True)]
        if sum(spent) > (limits.mean_weight_bits + 1e-9) * network.weights:
            continue
        by_layer, shared, _ = priced_kernels(network, choices, limits.interval)
        owned = [kernel for kernels in by_layer for kernel in kernels]
        if max(kernel.cycles for kernel in (*owned, *shared)) > limits.interval:
            continue
        free = [k for k in owned if isinstance(k, Mvu | Depthwise | Threshold)]
        others = [k for k in owned if not isinstance(k, Mvu | Depthwise | Threshold)]
        rest = sum(price(k) for k in (*others, *shared))
        tables = [np.array([price(way) for way in ways(kernel)]) for kernel in free]
        every = reduce(lambda a, b: (a[:, None] + b[None]).reshape(-1, 4), tables) + rest
        fit = every[(every <= limits.budget + 1e-9).all(axis=1)]
        loss = sum(
            error.weights[c.weight_bits] + error.activations.get(c.act_bits, 0.0)
            for c, error in zip(choices, of.errors, strict=True)
        )
        weighed = of.thrift / limits.budget * WEIGHTS
        best = min(best, (loss + fit @ weighed).min(initial=np.inf))
    return float(best)


@pytest.fixture(autouse=True)
def priced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with prices(monkeypatch):
        yield


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_equals_brute_force(form: Form, seed: int, tmp_path: Path) -> None:
    of = case(form, seed, tmp_path)
    network, board = of.network, load_board(BOARD)
    assert not network.chain
    fixed = dict.fromkeys(fixed_layers(network), 3)
    space = build_space(network, board, (2, 3), (2, 3), of.errors, fixed)
    space = space.subset(space.loss < TOO_MUCH)
    found = solve.least_error(space, of.limits, of.thrift, 10.0)
    best = brute_force(of, fixed)
    if found is None:
        assert best == np.inf
        return
    assert found.gap == 0.0
    value = found.loss + float(found.cost @ (of.thrift / of.limits.budget * WEIGHTS))
    assert value == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("form", FORMS[:4], ids=str)
def test_none_is_faster_than_the_fastest(form: Form, tmp_path: Path) -> None:
    of = case(form, 0, tmp_path)
    space = build_space(of.network, load_board(BOARD), (2, 3), (2, 3), of.errors)
    limits = replace(of.limits, interval=10**6, mean_weight_bits=3.0)
    found = solve.least_interval(space, limits, 10.0)
    assert found is not None
    assert solve.least_error(space, replace(limits, interval=found.interval), 0.1, 5.0) is not None
    for interval in space.candidates(found.interval - 1).tolist():
        assert solve.least_error(space, replace(limits, interval=interval), 0.1, 5.0) is None
