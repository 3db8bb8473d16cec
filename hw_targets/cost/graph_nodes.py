"""Units of a network that branches as plans have them, and how their kernels are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from hw_targets.cost.layer import Choice, chosen_lanes, quantizer_kernel
from hw_targets.errors import UnsupportedError
from hw_targets.lanes import fewest
from hw_targets.network import JOIN_BITS, LayerShape, Unit
from hw_targets.quantizers import chosen_quantizer
from hw_targets.rtl.add import Add
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.duplicate import Duplicate
from hw_targets.rtl.kernel import Kernel, Source, Stream
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.reduce import Reduce
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import MOST_IN_BITS, Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.upsample import Upsample

Choices = Mapping[str, Choice]
"""Layer -> its bits and folding."""
Make = Callable[[Stream, int, Choices], Kernel]
"""From what comes and a number of lanes to the kernel."""
Pair = tuple[int, int]


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
    size: Pair
    raw: str = ""

    @property
    def pixels(self) -> int:
        return prod(self.size)

    @property
    def elements(self) -> int:
        return self.channels * self.pixels


def refused(unit: Unit, what: str, mend: str) -> UnsupportedError:
    return UnsupportedError(f"no hardware: {what}", where=f"unit {unit.name}", mend=mend)


def quantizer(unit: Unit, value: Value, owner: str = "") -> Make:
    """A table of narrow values, else thresholds; of accumulators what has constants a channel.

    owner: the layer whose choice tells how accumulators are quantized.
    """

    def make(into: Stream, lanes: int, choices: Choices) -> Kernel:
        bits = unit.width or JOIN_BITS
        if unit.governor and not unit.width:
            bits = choices[unit.governor].act_bits
        least = -(1 << (bits - 1)) if unit.signed else 0
        beats = value.elements // lanes
        if not value.raw and into.bits <= MOST_IN_BITS:
            return Table(into.bits, into.signed, bits, unit.signed, lanes, beats)
        form = (into.bits, into.signed, bits, unit.signed)
        if value.raw:
            how = chosen_quantizer(choices[owner]) if owner else "threshold"
            return quantizer_kernel(value.channels, lanes, value.pixels, *form, how)
        # All else than accumulators has one scale for all channels.
        return Threshold(lanes, lanes, beats, *form, least)

    return make


def max_pool(value: Value, side: int) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        return MaxPool(*value.size, value.channels, side, lanes, into.bits, into.signed)

    return make


def reduction(channels: int, taps: int, pixels: int, op: Literal["sum", "max"]) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        return Reduce(channels, taps, pixels, lanes, into.bits, into.signed, op)

    return make


def sliding(value: Value, kernel: Pair, stride: Pair) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        shape = (*value.size, value.channels, *kernel, *stride)
        return Swu(*shape, lanes, into.bits, into.signed)

    return make


def padding(value: Value, sides: tuple[int, ...], unsigned: Unit | None) -> Make:
    """unsigned: what must not take negative values."""
    top, left, bottom, right = sides

    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        if unsigned and into.signed:
            what = "it pads values that may be negative"
            raise refused(unsigned, what, "put a ReLU before it")
        shape = (*value.size, value.channels, top, left, bottom, right)
        return Pad(*shape, lanes, into.bits, into.signed)

    return make


def widening(value: Value, before: int, after: int) -> Make:
    """Channels of zeros: an image whose rows are the pixels."""

    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        sides = (0, before // lanes, 0, after // lanes)
        folds = value.channels // lanes
        return Pad(value.pixels, folds, lanes, *sides, lanes, into.bits, into.signed)

    return make


def adding(into: Stream, lanes: int, _: Choices) -> Kernel:
    return Add(lanes, into.bits, into.signed, into.elements // lanes)


def joining(pixels: int, channels: tuple[int, ...]) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        return Concat(pixels, channels, lanes, into.bits, into.signed)

    return make


def repeating(value: Value, down: int, right: int) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        shape = (*value.size, value.channels, down, right)
        return Upsample(*shape, lanes, into.bits, into.signed)

    return make


def forking(copies: int) -> Make:
    def make(into: Stream, lanes: int, _: Choices) -> Kernel:
        return Duplicate(lanes, into.bits, into.signed, into.elements // lanes, copies)

    return make
