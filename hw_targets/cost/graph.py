"""The units that a network that branches is built of, before bits, foldings and lanes are known.

The same ones, under the same names, that lowering makes of the exported network
(`finn_adapter.lower`), forks included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import gcd, prod
from typing import Literal

from hw_targets.cost.layer import (
    Choice,
    bias_kernel,
    chosen_lanes,
    matrix_kernel,
    needs_pad,
    needs_window,
    pad_kernel,
    quantizer_kernel,
    window_kernel,
)
from hw_targets.errors import UnsupportedError
from hw_targets.lanes import fewest
from hw_targets.network import INPUT as ENTRY
from hw_targets.network import JOIN_BITS, LayerShape, NetworkShape, Unit, identifier, owners
from hw_targets.rtl.add import Add
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.kernel import Kernel, Source, Stream
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import MOST_IN_BITS, Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample
from hw_targets.rtl.wiring import INPUT

Choices = Mapping[str, Choice]
"""Layer -> its bits and folding."""
Make = Callable[[Stream, int, Choices], Kernel]
"""From what comes and a number of lanes to the kernel."""


@dataclass(frozen=True)
class Node:
    """A unit. sources: of its streams. channels, elements: what bounds its lanes, if no layer's.

    layer: whose own unit it is, which then says its lanes. raw: the layer whose accumulators it
    takes, unless they have been quantized before, "" for none.
    """

    name: str
    sources: tuple[Source, ...]
    make: Make
    channels: int
    elements: int
    layer: LayerShape | None = None
    part: str = ""
    raw: str = ""

    def lanes(self, choices: Choices, interval: int) -> int:
        """Those of the layer's choice, or the fewest that keep `interval` cycles a frame."""
        if self.layer is None:
            return fewest(self.channels, self.elements, interval)
        choice = choices[self.layer.name]
        lanes = chosen_lanes(self.layer, choice)
        of_part = {"pad": lanes.pad, "window": lanes.window, "matrix": choice.pe, "act": lanes.act}
        return of_part.get(self.part, lanes.end)


@dataclass(frozen=True)
class Value:
    """What a unit of the network gives, as a stream: an image, or a vector of one pixel."""

    source: Source
    channels: int
    size: tuple[int, int]
    raw: str = ""

    @property
    def pixels(self) -> int:
        return prod(self.size)

    @property
    def elements(self) -> int:
        return self.channels * self.pixels


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
        if len(size) == 1:
            raise UnsupportedError(
                "no hardware: its input is a signal of one dimension",
                where=network.name,
                mend="give it images one pixel high",
            )
        height, width = size or (1, 1)
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
        if value.raw:
            raise _refused(unit, "no quantizer is before it", "put a ReLU in front")
        if needs_pad(layer):
            out = replace(value, size=layer.padded_size)

            def pad(into: Stream, lanes: int, _: Choices) -> Kernel:
                return pad_kernel(layer, lanes, into.bits, into.signed)

            value = self._add(f"{name}_pad", [value], out, pad, layer, "pad")
        if needs_window(layer):
            window_kernel(layer, 1, 1, False)  # refuses what has no hardware
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
        (value,), owner = x, self._owned.get(unit.name, "")
        raw, channels, pixels = value.raw, value.channels, value.pixels

        def make(into: Stream, lanes: int, choices: Choices) -> Kernel:
            bits = choices[unit.governor].act_bits if unit.governor else JOIN_BITS
            least = -(1 << (bits - 1)) if unit.signed else 0
            beats = channels * pixels // lanes
            if not raw and into.bits <= MOST_IN_BITS:
                return Table(into.bits, into.signed, bits, unit.signed, lanes, beats)
            if raw:
                form = (into.bits, into.signed, bits, unit.signed)
                return quantizer_kernel(channels, lanes, pixels, *form)
            # All else than accumulators has one scale for all channels.
            return Threshold(lanes, lanes, beats, into.bits, into.signed, bits, unit.signed, least)

        name = f"{identifier(owner or unit.name)}_threshold"
        out = replace(value, raw="")
        return self._add(name, x, out, make, self._layers.get(owner), "act")

    def _max(self, unit: Unit, x: list[Value]) -> Value:
        (value,) = x
        kernel, stride, before, after = (unit.numbers[at : at + 2] for at in range(0, 8, 2))
        owner = self._owned.get(unit.name, "")
        name = identifier(owner or unit.name)
        if any((*before, *after)):
            if value.raw:
                raise _refused(unit, "it pads values that may be negative", "put a ReLU before it")
            value = self._pad(f"{name}_pool_pad", value, (*before, *after), unsigned=unit)
        layer = self._layers.get(owner)
        return self._pool(f"{name}_pool", value, kernel, stride, "max", layer)

    def _average(self, unit: Unit, x: list[Value]) -> Value:
        (value,), name = x, identifier(unit.name)
        if len(unit.numbers) == 2:
            channels, taps = value.channels, value.pixels

            def make(into: Stream, lanes: int, _: Choices) -> Kernel:
                return Reduce(channels, taps, 1, lanes, into.bits, into.signed, "sum")

            return self._add(f"{name}_sum", x, replace(value, size=(1, 1)), make)
        kernel, stride, padding = (unit.numbers[at : at + 2] for at in range(0, 6, 2))
        ceil_mode, counted = unit.numbers[6:]
        if ceil_mode:
            raise _refused(unit, "it has ceil_mode", "leave it out")
        if any(padding):
            if not counted:
                what = "its windows at the border hold fewer pixels"
                raise _refused(unit, what, "use count_include_pad=True")
            value = self._pad(f"{name}_pad", value, (*padding, *padding))
        return self._pool(f"{name}_sum", value, kernel, stride, "sum")

    def _pool(
        self,
        name: str,
        value: Value,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        op: Literal["sum", "max"],
        layer: LayerShape | None = None,
    ) -> Value:
        """A sum or maximum of windows; the latter without a window where they lie side by side."""
        height, width = (
            (side - k) // s + 1 for side, k, s in zip(value.size, kernel, stride, strict=True)
        )
        taps, channels, pixels = prod(kernel), value.channels, height * width
        out = replace(value, size=(height, width))
        if op == "max" and len({*kernel, *stride}) == 1:
            image = value.size

            def beside(into: Stream, lanes: int, _: Choices) -> Kernel:
                return MaxPool(*image, channels, kernel[0], lanes, into.bits, into.signed)

            return self._add(name, [value], out, beside, layer, "pool")
        windows = replace(out, channels=taps * channels)
        moved = self._window(f"{name}_window", value, kernel, stride, windows)

        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            return Reduce(channels, taps, pixels, lanes, into.bits, into.signed, op)

        found = self._add(name, [moved], out, make)
        # As many lanes as the window has: those for the image, if that is larger.
        last = self._nodes[-1]
        self._nodes[-1] = replace(last, elements=max(last.elements, value.elements))
        return found

    def _window(
        self,
        name: str,
        value: Value,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        out: Value,
    ) -> Value:
        (height, width), channels = value.size, value.channels

        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            form = (lanes, into.bits, into.signed)
            return Swu(height, width, channels, kernel[0], kernel[1], stride[0], stride[1], *form)

        return self._add(name, [value], out, make)

    def _pad(
        self, name: str, value: Value, sides: tuple[int, ...], unsigned: Unit | None = None
    ) -> Value:
        """Zeros around an image. unsigned: what must not take negative values."""
        (height, width), (top, left, bottom, right) = value.size, sides
        channels = value.channels

        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            if unsigned and into.signed:
                what = "it pads values that may be negative"
                raise _refused(unsigned, what, "put a ReLU before it")
            sizes = (height, width, channels, top, left, bottom, right)
            return Pad(*sizes, lanes, into.bits, into.signed)

        out = replace(value, size=(height + top + bottom, width + left + right))
        return self._add(name, [value], out, make)

    def _sides(self, unit: Unit, x: list[Value]) -> Value:
        if x[0].raw:
            raise _refused(unit, "no quantizer is before it", "put a ReLU in front")
        return self._pad(f"{identifier(unit.name)}_pad", x[0], unit.numbers)

    def _shortcut(self, unit: Unit, x: list[Value]) -> Value:
        (value,), name = x, identifier(unit.name)
        step, before, after = unit.numbers
        if step > 1:
            size = (-(-value.size[0] // step), -(-value.size[1] // step))
            out, stride = replace(value, size=size), (step, step)
            value = self._window(f"{name}_window", value, (1, 1), stride, out)
        if not before and not after:
            return value
        if value.raw:
            raise _refused(unit, "no quantizer is before it", "put a ReLU in front")
        pixels, channels = value.pixels, value.channels

        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            sides = (0, before // lanes, 0, after // lanes)
            return Pad(pixels, channels // lanes, lanes, *sides, lanes, into.bits, into.signed)

        out = replace(value, channels=before + channels + after)
        found = self._add(f"{name}_zeros", [value], out, make)
        self._nodes[-1] = replace(self._nodes[-1], channels=gcd(before, channels, after))
        return found

    def _sum(self, unit: Unit, x: list[Value]) -> Value:
        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            return Add(lanes, into.bits, into.signed, into.elements // lanes)

        return self._add(f"{identifier(unit.name)}_add", x, x[0], make)

    def _concat(self, unit: Unit, x: list[Value]) -> Value:
        channels, pixels = tuple(value.channels for value in x), x[0].pixels
        if len(unit.shape) == 1 and any(value.pixels > 1 for value in x):
            raise _refused(unit, "it joins flattened images", "concatenate before the flatten")

        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            return Concat(pixels, channels, lanes, into.bits, into.signed)

        out = replace(x[0], channels=sum(channels))
        return self._add(f"{identifier(unit.name)}_concat", x, out, make)

    def _upsample(self, unit: Unit, x: list[Value]) -> Value:
        (value,), (down, right) = x, unit.numbers
        (height, width), channels = value.size, value.channels

        def make(into: Stream, lanes: int, _: Choices) -> Kernel:
            sizes = (height, width, channels, down, right)
            return Upsample(*sizes, lanes, into.bits, into.signed)

        out = replace(value, size=(height * down, width * right))
        return self._add(f"{identifier(unit.name)}_upsample", x, out, make)

    def _same(self, unit: Unit, x: list[Value]) -> Value:
        return x[0]

    def _logits(self, value: Value) -> None:
        layer = self._network.layers[-1]
        if value.raw != layer.name or value.pixels > 1:
            raise UnsupportedError(
                "its logits do not come from its last layer alone",
                where=self._network.name,
                mend="end with a linear layer",
            )

        def bias(into: Stream, lanes: int, _: Choices) -> Kernel:
            return bias_kernel(layer, lanes, into.bits)

        def label(into: Stream, lanes: int, _: Choices) -> Kernel:
            return LabelSelect(layer.out_channels, lanes, into.bits, True)

        name = f"{identifier(layer.name)}_bias"
        value = self._add(name, [value], replace(value, raw=""), bias, layer, "act")
        self._add("label", [value], value, label, layer, "label")

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
                name, (source,), _duplicate(copies), value.channels, value.elements, raw=value.raw
            )
            self._nodes.insert(place, fork)


def _duplicate(copies: int) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        return Duplicate(lanes, into.bits, into.signed, into.elements // lanes, copies)

    return make


def _refused(unit: Unit, what: str, mend: str) -> UnsupportedError:
    return UnsupportedError(f"no hardware: {what}", where=f"unit {unit.name}", mend=mend)


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
