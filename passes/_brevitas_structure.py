"""The operations of a quantized network as plain data, for chains and for networks that branch.

Every layer takes integers times one scale. Quantizers stand after each ReLU, on every arm of a
join (one scale for all arms, so that their integers can be added), after average pooling, and
between two layers with no activation between them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from torch import nn

from hw_targets.network import INPUT, NetworkShape, Unit, UnitKind
from passes._graph import Step, activation_sources, output_shapes, pair, wired_steps
from passes._modules import Add, Clip, ClippedReLU, Concat, Pad, Shortcut, Unsqueeze, Upsample

MOVES = ("max", "flatten", "shortcut", "pad", "unsqueeze", "upsample")
"""Kinds that choose and move values, and put zeros beside them, but compute no new ones."""

Structure = tuple[Unit, ...]
"""Units in the order of execution; the last one gives the logits."""


def structure_of(network: NetworkShape) -> Structure:
    """The units of a prepared network."""
    return chain_structure(network) if network.chain else network.units


def chain_structure(network: NetworkShape) -> Structure:
    """The units of a chain: layer, ReLU, max pooling, again and again."""
    units: list[Unit] = []
    before, flat = INPUT, len(network.input_shape) == 1

    def add(unit: Unit) -> None:
        nonlocal before
        units.append(unit)
        before = unit.name

    for index, shape in enumerate(network.layers):
        if shape.kind == "dense" and not flat:
            add(Unit(f"flatten/{index}", "flatten", (before,)))
            flat = True
        add(Unit(shape.name, "layer", (before,)))
        if shape.activation:
            quantizer = f"act{index}"
            add(Unit(f"act/{index}", "relu", (before,), quantizer, shape.name, limit=shape.limit))
        if shape.pool > 1:
            add(Unit(f"pool/{index}", "max", (before,), numbers=(*(shape.pool,) * 4, 0, 0, 0, 0)))
    return tuple(units)


def graph_structure(module: nn.Module, input_shape: tuple[int, ...]) -> Structure:
    """The units of a graph made by `build_graph`; input_shape is without the batch."""
    shapes = output_shapes(module, input_shape)
    return _Builder(activation_sources(module), shapes).build(wired_steps(module))


def max_pool(numbers: tuple[int, ...]) -> nn.MaxPool2d:
    """The module of a max unit."""
    kernel, stride, before, after = (numbers[at : at + 2] for at in range(0, 8, 2))
    return nn.MaxPool2d(kernel, stride, before, ceil_mode=after != before)


def grid_of(structure: Structure, name: str) -> str | None:
    """The quantizer, or `INPUT`, whose scale the output of unit `name` is a multiple of.

    None where it is a multiple of no one scale: what layers and averages give.
    """
    units = {unit.name: unit for unit in structure}
    while name != INPUT:
        unit = units[name]
        if unit.quantizer:
            return unit.quantizer
        if unit.kind in ("layer", "average"):
            return None
        name = unit.inputs[0]
    return INPUT


def deciders(structure: Structure, layer: str) -> list[Unit]:
    """The units that quantize what `layer` gives: none for the logits."""
    reached, found = {layer}, []
    for unit in structure:
        if reached & set(unit.inputs):
            if unit.quantizer:
                found.append(unit)
            elif unit.kind in MOVES:
                reached.add(unit.name)
    return found


def greatest(
    structure: Structure, widths: Mapping[str, tuple[int, int]], input_greatest: int
) -> dict[str, int]:
    """Unit on a grid -> bound of its integers' magnitude."""
    found = {INPUT: input_greatest}
    for unit in structure:
        inputs = [found[name] for name in unit.inputs if name in found]
        if unit.quantizer:
            found[unit.name] = max(map(abs, unit.limits(widths)))
        elif inputs and unit.kind not in ("layer", "average"):
            found[unit.name] = sum(inputs) if unit.kind == "add" else max(inputs)
    return found


class _Builder:
    """raw: units that give what a layer gives, not yet on a grid. negative: may be below 0."""

    def __init__(self, governors: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.governors, self.shapes = governors, dict(shapes)
        self.units: list[Unit] = []
        self.of: dict[str, str] = {INPUT: INPUT}
        self.raw: set[str] = set()
        self.negative: set[str] = {INPUT}

    def build(self, steps: Sequence[Step]) -> Structure:
        for step in steps:
            self.of[step.name] = self.step(step, tuple(self.of[name] for name in step.inputs))
        return tuple(self.units)

    def step(self, step: Step, inputs: tuple[str, ...]) -> str:
        """Adds the units of a step; the name of the one that gives its value."""
        module, name = step.module, step.name
        if isinstance(module, nn.Conv2d | nn.Linear):
            if self.raw & set(inputs):  # as of a linear bottleneck
                signed = bool(self.negative & set(inputs))
                inputs = (self.quantize(f"{name}/in", inputs[0], f"in_{name}", signed),)
            self.raw.add(name)
            return self.add(Unit(name, "layer", inputs), negative=True)
        if isinstance(module, nn.ReLU):
            governor = self.governors.get(name, "")
            limit = module.limit if isinstance(module, ClippedReLU) else 0.0
            relu = Unit(name, "relu", inputs, f"act_{name}", governor, limit=limit)
            return self.add(relu, negative=False)
        if isinstance(module, Clip):
            governor, signed = self.governors.get(name, ""), bool(self.negative & set(inputs))
            quant = Unit(name, "quant", inputs, f"act_{name}", governor, signed, limit=module.limit)
            return self.add(quant, negative=signed)
        if isinstance(module, Add | Concat):
            kind: UnitKind = "add" if isinstance(module, Add) else "concat"
            return self.add(Unit(name, kind, self.arms(name, inputs)))
        if isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            if self.raw & set(inputs):
                inputs = self.arms(name, inputs)
            self.add(Unit(name, "average", inputs, numbers=self.window(step)))
            return self.quantize(f"{name}/out", name, f"pool_{name}", name in self.negative)
        if self.raw & set(inputs):
            self.raw.add(name)
        if isinstance(module, nn.MaxPool2d):
            return self.add(Unit(name, "max", inputs, numbers=self.maximum(step, module)))
        if isinstance(module, Shortcut):
            numbers = (module.stride, module.before, module.after)
            return self.add(Unit(name, "shortcut", inputs, numbers=numbers))
        if isinstance(module, Unsqueeze):
            return self.add(Unit(name, "unsqueeze", inputs))
        if isinstance(module, Upsample):
            factors = (module.height, module.width)
            return self.add(Unit(name, "upsample", inputs, numbers=factors))
        if isinstance(module, Pad):
            return self.add(Unit(name, "pad", inputs, numbers=module.sides))
        if isinstance(module, nn.Flatten):
            return self.add(Unit(name, "flatten", inputs))
        raise TypeError(f"{name}: no quantized form of {type(module).__name__}")

    def arms(self, name: str, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """Quantizers of one scale on all inputs of a join."""
        signed = bool(self.negative & set(inputs))
        return tuple(
            self.quantize(f"{name}/{at}", source, f"join_{name}", signed)
            for at, source in enumerate(inputs)
        )

    def quantize(self, name: str, source: str, quantizer: str, signed: bool) -> str:
        return self.add(Unit(name, "quant", (source,), quantizer, signed=signed), negative=signed)

    def add(self, unit: Unit, negative: bool | None = None) -> str:
        """negative: None where the output may be if an input may."""
        name = unit.name
        if name not in self.shapes:  # a quantizer that no step is
            self.shapes[name] = self.shapes[unit.inputs[0]]
        self.units.append(dataclasses.replace(unit, shape=self.shapes[name]))
        if negative or (negative is None and self.negative & set(unit.inputs)):
            self.negative.add(unit.name)
        return unit.name

    def maximum(self, step: Step, pool: nn.MaxPool2d) -> tuple[int, ...]:
        kernel, stride, before = map(pair, (pool.kernel_size, pool.stride, pool.padding))
        # What lies below and to the right follows from the output: ceil_mode asks for more.
        sizes = zip(
            self.shapes[step.inputs[0]][1:],
            self.shapes[step.name][1:],
            kernel,
            stride,
            before,
            strict=True,
        )
        after = (max(p, (out - 1) * s + k - p - size) for size, out, k, s, p in sizes)
        return (*kernel, *stride, *before, *after)

    def window(self, step: Step) -> tuple[int, ...]:
        module = step.module
        if not isinstance(module, nn.AvgPool2d):
            height, width = self.shapes[step.inputs[0]][1:]
            return (height, width)
        sizes = (*pair(module.kernel_size), *pair(module.stride), *pair(module.padding))
        return (*sizes, int(module.ceil_mode), int(module.count_include_pad))
