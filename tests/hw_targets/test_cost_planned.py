"""Kernels planned for networks that branch are those that are built of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from frontend_nets import Signal
from quant_graph import SHAPE, Graph, Mixed, Residual, passed_on
from random_networks import compiled
from torch import nn

from compiler.stages import LayerChoice
from hw_targets import finn_adapter
from hw_targets.cost.instances import planned_instances
from hw_targets.cost.layer import quantizer_kernel
from hw_targets.cost.planned import network_kernels, planned_units
from hw_targets.lanes import Lanes, divisors, window_lanes
from hw_targets.network import LayerShape
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.design import Design
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Instance, Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.requant import Requant
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.top import Link


class Counting(Mixed):
    """Its average pooling counts what is padded, as hardware does."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 2, padding=1, count_include_pad=True)


class Beyond(nn.Module):
    """Pooling that reaches beyond the border by the last windows alone, along one side by none."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 1), nn.Linear(6, 4)
        self.pool = nn.MaxPool2d(3, 3, padding=1, ceil_mode=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.stem(x[:, :, ::2, ::2])))
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": Residual,
    "counting": Counting,
    "beyond": Beyond,
    "signal": Signal,
}
SHAPES = {"beyond": (3, 9, 11), "signal": (2, 24)}


@cache
def lowered(name: str) -> tuple[Graph, Path]:
    found = passed_on(name, NETWORKS[name], SHAPES.get(name, SHAPE))
    path = Path(mkdtemp(prefix="liftflow-planned-")) / "lowered.onnx"
    finn_adapter.lower(found.exported.path, path, found.exported.network)
    return found, path


def random_choice(rng: np.random.Generator, layer: LayerShape, given: LayerChoice) -> LayerChoice:
    """A folding of a layer, with lanes of its own half of the time."""
    mw, mh = layer.hardware_matrix

    def one(value: int) -> int:
        return int(rng.choice(divisors(value)))

    inputs, outputs = layer.in_channels, layer.out_channels
    window = int(rng.choice(window_lanes(layer)))
    own = Lanes(one(inputs), window, one(outputs), one(outputs))
    return dataclasses.replace(
        given,
        pe=one(mh),
        simd=1 if layer.depthwise else one(mw),
        arithmetic=str(rng.choice(["lut", "dsp"])),
        memory=str(rng.choice(["block", "distributed"])),
        lanes=own if rng.random() < 0.5 else Lanes(),
        quantizer=str(rng.choice(["threshold", "multiplier"])),
    )


def valueless(kernel: Kernel) -> Kernel:
    """The kernel, but for what values decide: biases of the logits, and constants of
    requantization, for which thresholds stand where no constants give the same."""
    if isinstance(kernel, ChannelAdd):
        return dataclasses.replace(kernel, bias_bits=1, out_bits=kernel.in_bits + 1)
    if isinstance(kernel, Requant):
        least = -(1 << (kernel.out_bits - 1)) if kernel.out_signed else 0
        shape = kernel.channels, kernel.pe, kernel.pixels
        form = kernel.in_bits, kernel.in_signed, kernel.out_bits, kernel.out_signed
        return Threshold(*shape, *form, least)
    return dataclasses.replace(kernel, in_bits=1) if isinstance(kernel, LabelSelect) else kernel


def constants(units: tuple[Instance, ...]) -> dict[str, tuple[int, int, int]]:
    """Requantization -> widths of its constants."""
    return {
        unit.name: (unit.kernel.mult_bits, unit.kernel.add_bits, unit.kernel.shift)
        for unit in units
        if isinstance(unit.kernel, Requant)
    }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", NETWORKS)
def test_planned_kernels_are_built(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, path = lowered(name)
    network, allocation = found.exported.network, found.exported.allocation
    choices = {
        layer.name: random_choice(rng, layer, allocation.layers[layer.name])
        for layer in network.layers
    }
    interval = int(2 ** rng.uniform(4, 14))
    folded = path.with_name("folded.onnx")
    finn_adapter.fold(path, folded, network, choices, interval)
    built = finn_adapter.instances(folded, network, choices, interval)
    plan = planned_instances(network, choices, interval)
    assert named(plan) == named(built)
    planned = constants(plan)
    assert planned or name != "residual"
    assert planned.keys() == constants(built).keys()
    design = Design(name, built, pace=interval)
    units, links = planned_units(network, list(choices.values()), interval)
    assert named(units) == named(design.units)
    assert taken(links) == taken(design.links)
    kernels = network_kernels(network, list(choices.values()), interval)
    depths = Counter(k.depth for k in kernels if isinstance(k, Fifo))
    assert depths == Counter(link.depth for link in links)
    assert all(link.depth >= 2 for link in links)
    rest = Counter(k for k in kernels if not isinstance(k, Fifo))
    assert rest == Counter(unit.kernel for unit in units)


@pytest.mark.parametrize("seed", range(100, 112))
def test_planned_kernels_of_random_networks_are_built(seed: int) -> None:
    found = compiled(seed)
    network, interval = found.network, found.allocation.interval
    choices = [found.allocation.layers[layer.name] for layer in network.layers]
    kernels = network_kernels(network, choices, interval)
    rest = Counter(valueless(k) for k in kernels if not isinstance(k, Fifo))
    built = Counter(valueless(unit.kernel) for unit in found.design.units)
    # Quantizers whose scale turns out to be that of what they take are left out.
    idle = rest - built
    assert not built - rest
    assert all(changes_nothing(kernel) for kernel in idle)
    fifos = sum(isinstance(kernel, Fifo) for kernel in kernels)
    assert fifos == len(found.design.links) + idle.total()
    if not network.chain and not idle:
        units, links = planned_units(network, choices, interval)
        assert named(units) == named(found.design.units)
        assert taken(links) == taken(found.design.links)


def test_constants_are_planned_as_wide_as_most_are() -> None:
    wider = []
    for seed in range(100, 112):
        for unit in compiled(seed).design.units:
            if isinstance(unit.kernel, Requant):
                (found,) = constants((unit,)).values()
                wider.append(np.subtract(found, planned_constants(unit.kernel)))
    assert len(wider) > 30
    assert (np.abs(np.median(wider, axis=0)) <= 2).all()


def planned_constants(k: Requant) -> tuple[int, int, int]:
    form = k.channels, k.pe, k.pixels, k.in_bits, k.in_signed, k.out_bits, k.out_signed
    plan = quantizer_kernel(*form, "multiplier")
    assert isinstance(plan, Requant)
    return plan.mult_bits, plan.add_bits, plan.shift


def changes_nothing(kernel: Kernel | None) -> bool:
    return isinstance(kernel, Table) and kernel.input == kernel.output


def taken(links: tuple[Link, ...]) -> dict[str, tuple[int, int]]:
    return {link.name: (link.stream.lanes, link.stream.beats) for link in links}


def named(units: tuple[Instance, ...]) -> dict[str, object]:
    """Unit -> kernel and what it takes, whichever of a fork's copies."""
    return {
        unit.name: (valueless(unit.kernel), [source.instance for source in unit.sources or ()])
        for unit in units
    }
