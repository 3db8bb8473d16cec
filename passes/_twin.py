"""The float twin of a quantized network: its integer weights times their scales, plain ReLUs."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from hw_targets.network import INPUT, Unit
from passes import _brevitas_exact as exact
from passes._brevitas_structure import max_pool
from passes._graph import Step, build_graph
from passes._modules import Add, Clip, ClippedReLU, Concat, Pad, Shortcut, Unsqueeze, Upsample

if TYPE_CHECKING:
    from compiler.stages import FloatArray
    from hw_targets.network import LayerShape
    from passes._brevitas_network import QuantNetwork


@dataclass(frozen=True)
class Twin:
    """module: prepared graph. layers: layer of the quantized network -> step of the graph."""

    module: fx.GraphModule
    layers: Mapping[str, str]


def float_twin(network: QuantNetwork) -> Twin:
    """The network with neither its input nor its activations rounded or clipped.

    Raises:
        ValueError: a unit has no float form.
    """
    shapes = {shape.name: shape for shape in network.network.layers}
    stands_for = {INPUT: INPUT}
    layers: dict[str, str] = {}
    steps: list[Step] = []
    for unit in network.structure:
        inputs = tuple(stands_for[source] for source in unit.inputs)
        if unit.kind == "quant" and not unit.limit:
            stands_for[unit.name] = inputs[0]
            continue
        name = _identifier(unit.name, set(stands_for.values()))
        if unit.kind == "layer":
            module: nn.Module = _layer(network, shapes[unit.name])
            layers[unit.name] = name
        else:
            module = _plain(unit)
        stands_for[unit.name] = name
        steps.append(Step(name, module, inputs))
    return Twin(build_graph(steps), layers)


def deviation(network: QuantNetwork, twin: Twin, samples: FloatArray) -> float:
    """Greatest difference of the twin's logits from the quantized network's own units.

    Those are run in float64 without their quantizers of activations. Relative to the greatest
    logit.
    """
    units = copy.deepcopy(network).cpu().double().eval()
    x = torch.from_numpy(samples).double()
    with torch.no_grad():
        own = _unrounded(units, x)
        theirs = copy.deepcopy(twin.module).cpu().double()(x)
    span = float(own.abs().max())
    return float((own - theirs).abs().max()) / span if span else 0.0


def _unrounded(network: QuantNetwork, x: Tensor) -> Tensor:
    values = {INPUT: x}
    for unit in network.structure:
        inputs = [values[source] for source in unit.inputs]
        if unit.quantizer:
            x = inputs[0].relu() if unit.kind == "relu" else inputs[0]
            values[unit.name] = x.clamp(-unit.limit, unit.limit) if unit.limit else x
        else:
            values[unit.name] = network.compute(unit, inputs)
    return values[network.structure[-1].name]


def _identifier(name: str, taken: set[str]) -> str:
    wish = re.sub(r"\W", "_", name)
    found, count = wish, 1
    while found in taken:
        count += 1
        found = f"{wish}_{count}"
    return found


def _layer(network: QuantNetwork, shape: LayerShape) -> nn.Conv2d | nn.Linear:
    if shape.kind == "dense":
        layer: nn.Conv2d | nn.Linear = nn.Linear(shape.in_channels, shape.out_channels)
    else:
        layer = nn.Conv2d(
            shape.in_channels,
            shape.out_channels,
            shape.kernel,
            shape.stride,
            shape.even_padding,
            shape.dilation,
            groups=shape.groups,
        )
    scale = exact.weight_scale(network, shape.name).detach().cpu()
    integers = torch.from_numpy(exact.integer_weights(network, shape.name)).to(scale)
    with torch.no_grad():
        layer.weight.copy_(integers * scale)
        assert layer.bias is not None
        layer.bias.copy_(network.layer(shape.name).bias)
    return layer


def _plain(unit: Unit) -> nn.Module:
    """The module of a unit without weights."""
    numbers = unit.numbers
    if unit.kind == "relu":
        return ClippedReLU(unit.limit) if unit.limit else nn.ReLU()
    if unit.kind == "quant":
        return Clip(unit.limit)
    if unit.kind == "max":
        return max_pool(numbers)
    if unit.kind == "flatten":
        return nn.Flatten()
    if unit.kind == "add":
        return Add()
    if unit.kind == "concat":
        return Concat()
    if unit.kind == "shortcut":
        return Shortcut(*numbers)
    if unit.kind == "pad":
        return Pad(*numbers)
    if unit.kind == "unsqueeze":
        return Unsqueeze()
    if unit.kind == "upsample":
        return Upsample(*numbers)
    if unit.kind == "average":
        return _average(numbers)
    raise ValueError(f"no float form of {unit.kind}")


def _average(numbers: tuple[int, ...]) -> nn.Module:
    if len(numbers) == 2:
        return nn.AdaptiveAvgPool2d(1)
    height, width, down, right, top, left, ceil, padding_counts = numbers
    return nn.AvgPool2d(
        (height, width), (down, right), (top, left), bool(ceil), bool(padding_counts)
    )
