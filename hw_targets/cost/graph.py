"""The units that a network that branches is built of, before bits, foldings and lanes are known.

The same ones, under the same names, that lowering makes of the exported network
(`finn_adapter.lower`), forks included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import gcd, prod
from typing import Literal

from hw_targets.cost import graph_nodes as kernels
from hw_targets.cost.graph_nodes import Choices, Make, Node, Pair, Value, refused
from hw_targets.cost.layer import (
    bias_kernel,
    matrix_kernel,
    needs_pad,
    needs_window,
    pad_kernel,
    window_kernel,
)
from hw_targets.errors import UnsupportedError
from hw_targets.network import INPUT as ENTRY
from hw_targets.network import LayerShape, NetworkShape, Unit, identifier, owners
from hw_targets.rtl.kernel import Kernel, Source, Stream
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.wiring import INPUT


@cache
def nodes_of(network: NetworkShape) -> tuple[Node, ...]:
    """All units of a network that branches, each behind those it takes from.

    Raises:
        UnsupportedError: one has no hardware.
    """
    return _Walk(network).nodes()


class _Walk:
    def __init__(self, network: NetworkShape) -> None:
        self._network = network
        self._layers = {layer.name: layer for layer in network.layers}
        self._owned = owners(network)
        channels, *size = network.input_shape
        # One-dimensional signals are images of one row.
        height, width = (1, *size) if len(size) == 1 else size or (1, 1)
        self._values = {ENTRY: Value(INPUT, channels, (height, width))}
        self._streams = {INPUT: self._values[ENTRY]}
        self._nodes: list[Node] = []

    def nodes(self) -> tuple[Node, ...]:
        for unit in self._network.units:
            x = [self._values[name] for name in unit.inputs]
            self._values[unit.name] = _KINDS[unit.kind](self, unit, x)
        self._logits(self._values[self._network.units[-1].name])
        self._fork()
        return tuple(self._nodes)

    def _add(
        self,
        name: str,
        x: list[Value],
        out: Value,
        make: Make,
        layer: LayerShape | None = None,
        part: str = "",
    ) -> Value:
        """A node called `name`, and what it gives: `out` from it."""
        every = [*x, out]
        node = Node(
            name=name,
            sources=tuple(value.source for value in x),
            make=make,
            channels=gcd(*(value.channels for value in every)),
            elements=max(value.elements for value in every),
            layer=layer,
            part=part,
            raw=x[0].raw,
        )
        self._nodes.append(node)
        out = replace(out, source=Source(name))
        self._streams[out.source] = out
        return out

    def _layer(self, unit: Unit, x: list[Value]) -> Value:
        (value,), layer, name = x, self._layers[unit.name], identifier(unit.name)
        _require_grid(unit, value)
        if needs_pad(layer):
            out = replace(value, size=layer.padded_size)

            def pad(into: Stream, lanes: int, _: Choices) -> Kernel:
                return pad_kernel(layer, lanes, into.bits, into.signed)

            value = self._add(f"{name}_pad", [value], out, pad, layer, "pad")
        if needs_window(layer):
            out = Value(value.source, prod(layer.kernel) * layer.in_channels, layer.out_size)

            def window(into: Stream, lanes: int, _: Choices) -> Kernel:
                return window_kernel(layer, lanes, into.bits, into.signed)

            value = self._add(f"{name}_window", [value], out, window, layer, "window")

        def matrix(into: Stream, pe: int, choices: Choices) -> Kernel:
            own = choices[layer.name]
            form = (into.bits, into.signed, own.arithmetic, own.memory)
            return matrix_kernel(layer, own.weight_bits, pe, own.simd, *form)

        out = Value(value.source, layer.out_channels, layer.out_size, layer.name)
        return self._add(f"{name}_mvu", [value], out, matrix, layer, "matrix")

    def _quantizer(self, unit: Unit, x: list[Value]) -> Value:
        owner = self._owned.get(unit.name, "")
        name = f"{identifier(owner or unit.name)}_threshold"
        make, layer = kernels.quantizer(unit, x[0], owner), self._layers.get(owner)
        return self._add(name, x, replace(x[0], raw=""), make, layer, "act")

    def _max(self, unit: Unit, x: list[Value]) -> Value:
        (value,) = x
        down, right, down_step, right_step, *borders = unit.numbers
        kernel, stride = (down, right), (down_step, right_step)
        before, after = borders[:2], borders[2:]
        owner = self._owned.get(unit.name, "")
        name = identifier(owner or unit.name)
        if any((*before, *after)):
            if value.raw:
                raise refused(unit, "it pads values that may be negative", "put a ReLU before it")
            value = self._pad(f"{name}_pool_pad", value, (*before, *after), unsigned=unit)
        layer = self._layers.get(owner)
        return self._pool(f"{name}_pool", value, kernel, stride, "max", layer)

    def _average(self, unit: Unit, x: list[Value]) -> Value:
        (value,), name = x, identifier(unit.name)
        if len(unit.numbers) == 2:
            make = kernels.reduction(value.channels, value.pixels, 1, "sum")
            return self._add(f"{name}_sum", x, replace(value, size=(1, 1)), make)
        down, right, down_step, right_step, top, left, ceil_mode, counted = unit.numbers
        if ceil_mode:
            raise refused(unit, "it has ceil_mode", "leave it out")
        if top or left:
            if not counted:
                what = "its windows at the border hold fewer pixels"
                raise refused(unit, what, "use count_include_pad=True")
            value = self._pad(f"{name}_pad", value, (top, left, top, left))
        return self._pool(f"{name}_sum", value, (down, right), (down_step, right_step), "sum")

    def _pool(
        self,
        name: str,
        value: Value,
        kernel: Pair,
        stride: Pair,
        op: Literal["sum", "max"],
        layer: LayerShape | None = None,
    ) -> Value:
        """A sum or maximum of windows; the latter without a window where they lie side by side."""
        height, width = (
            (side - k) // s + 1 for side, k, s in zip(value.size, kernel, stride, strict=True)
        )
        taps, channels = prod(kernel), value.channels
        out = replace(value, size=(height, width))
        if op == "max" and len({*kernel, *stride}) == 1:
            return self._add(name, [value], out, kernels.max_pool(value, kernel[0]), layer, "pool")
        windows = replace(out, channels=taps * channels)
        moved = self._window(f"{name}_window", value, kernel, stride, windows)
        make = kernels.reduction(channels, taps, height * width, op)
        found = self._add(name, [moved], out, make)
        # As many lanes as the window has: those for the image, if that is larger.
        last = self._nodes[-1]
        self._nodes[-1] = replace(last, elements=max(last.elements, value.elements))
        return found

    def _window(self, name: str, value: Value, kernel: Pair, stride: Pair, out: Value) -> Value:
        return self._add(name, [value], out, kernels.sliding(value, kernel, stride))

    def _pad(
        self, name: str, value: Value, sides: tuple[int, ...], unsigned: Unit | None = None
    ) -> Value:
        """Zeros around an image. unsigned: what must not take negative values."""
        (height, width), (top, left, bottom, right) = value.size, sides
        out = replace(value, size=(height + top + bottom, width + left + right))
        return self._add(name, [value], out, kernels.padding(value, sides, unsigned))

    def _sides(self, unit: Unit, x: list[Value]) -> Value:
        _require_grid(unit, x[0])
        return self._pad(f"{identifier(unit.name)}_pad", x[0], unit.numbers)

    def _shortcut(self, unit: Unit, x: list[Value]) -> Value:
        (value,), name = x, identifier(unit.name)
        step, before, after = unit.numbers
        if step > 1:
            size = (-(-value.size[0] // step), -(-value.size[1] // step))
            out = replace(value, size=size)
            value = self._window(f"{name}_window", value, (1, 1), (step, step), out)
        if not before and not after:
            return value
        _require_grid(unit, value)
        out = replace(value, channels=before + value.channels + after)
        make = kernels.widening(value, before, after)
        found = self._add(f"{name}_zeros", [value], out, make)
        channels = gcd(before, value.channels, after)
        self._nodes[-1] = replace(self._nodes[-1], channels=channels)
        return found

    def _sum(self, unit: Unit, x: list[Value]) -> Value:
        return self._add(f"{identifier(unit.name)}_add", x, x[0], kernels.adding)

    def _concat(self, unit: Unit, x: list[Value]) -> Value:
        channels = tuple(value.channels for value in x)
        if len(unit.shape) == 1 and any(value.pixels > 1 for value in x):
            what = "it joins flattened images"
            raise refused(unit, what, "concatenate before the flatten")
        make, out = kernels.joining(x[0].pixels, channels), replace(x[0], channels=sum(channels))
        return self._add(f"{identifier(unit.name)}_concat", x, out, make)

    def _upsample(self, unit: Unit, x: list[Value]) -> Value:
        (value,), (down, right) = x, unit.numbers
        out = replace(value, size=(value.size[0] * down, value.size[1] * right))
        make = kernels.repeating(value, down, right)
        return self._add(f"{identifier(unit.name)}_upsample", x, out, make)

    def _same(self, unit: Unit, x: list[Value]) -> Value:
        return x[0]

    def _logits(self, value: Value) -> None:
        layer = self._network.layers[-1]
        if self._network.quantized_end:
            self._quantized(value)
            return
        alone = value.raw == layer.name and (self._network.regression or value.pixels == 1)
        if not alone:
            raise UnsupportedError(
                "no hardware: its outputs do not come from its last layer alone",
                where=self._network.name,
                mend="end with a linear layer",
            )

        def bias(into: Stream, lanes: int, _: Choices) -> Kernel:
            return bias_kernel(layer, lanes, into.bits)

        def label(into: Stream, lanes: int, _: Choices) -> Kernel:
            return LabelSelect(layer.out_channels, lanes, into.bits, True)

        name = f"{identifier(layer.name)}_bias"
        value = self._add(name, [value], replace(value, raw=""), bias, layer, "act")
        if not self._network.regression:
            self._add("label", [value], value, label, layer, "label")

    def _quantized(self, value: Value) -> None:
        """The choice of a class among integers that a quantizer gives; nothing for outputs."""
        if self._network.regression:
            return

        def label(into: Stream, lanes: int, _: Choices) -> Kernel:
            return LabelSelect(value.channels, lanes, into.bits, into.signed)

        self._add("label", [value], replace(value, channels=1, size=(1, 1)), label)

    def _fork(self) -> None:
        """Duplicates every stream that several inputs take."""
        for source, value in self._streams.items():
            takers = [
                (at, number)
                for at, node in enumerate(self._nodes)
                for number, taken in enumerate(node.sources)
                if taken == source
            ]
            if len(takers) < 2:
                continue
            name, copies = f"{source.instance or 'global_in'}_fork", len(takers)
            for copy, (at, number) in enumerate(takers):
                sources = list(self._nodes[at].sources)
                sources[number] = Source(name, copy)
                self._nodes[at] = replace(self._nodes[at], sources=tuple(sources))
            names = [node.name for node in self._nodes]
            place = names.index(source.instance) + 1 if source != INPUT else 0
            fork = Node(
                name,
                (source,),
                kernels.forking(copies),
                value.channels,
                value.elements,
                raw=value.raw,
            )
            self._nodes.insert(place, fork)


def _require_grid(unit: Unit, value: Value) -> None:
    if value.raw:
        raise refused(unit, "no quantizer is before it", "put a ReLU in front")


_KINDS: dict[str, Callable[[_Walk, Unit, list[Value]], Value]] = {
    "layer": _Walk._layer,
    "relu": _Walk._quantizer,
    "quant": _Walk._quantizer,
    "max": _Walk._max,
    "average": _Walk._average,
    "flatten": _Walk._same,
    "add": _Walk._sum,
    "concat": _Walk._concat,
    "shortcut": _Walk._shortcut,
    "pad": _Walk._sides,
    "unsqueeze": _Walk._same,
    "upsample": _Walk._upsample,
}
