"""Change of the number of lanes a beat carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, lcm
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class WidthConverter(Kernel):
    """`in_lanes` to `out_lanes` elements a beat; one of the two divides the other."""

    module: ClassVar[str] = "lf_width_converter"
    source: ClassVar[str] = "width_converter.sv"

    in_lanes: int
    out_lanes: int
    bits: int
    elements: int
    signed: bool = False

    def __post_init__(self) -> None:
        low, high = sorted((self.in_lanes, self.out_lanes))
        require(
            low >= 1 and self.bits >= 1 and self.elements >= 1,
            "width_converter: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            high % low == 0,
            "width_converter: one lane count must divide the other: {kernel}",
            kernel=self,
        )
        require(
            self.elements % high == 0,
            "width_converter: a frame must be whole beats on both sides: {kernel}",
            kernel=self,
        )

    @property
    def input(self) -> Stream:
        return Stream(self.in_lanes, self.bits, self.signed, self.elements // self.in_lanes)

    @property
    def output(self) -> Stream:
        return Stream(self.out_lanes, self.bits, self.signed, self.elements // self.out_lanes)

    @property
    def cycles(self) -> int:
        return max(self.input.beats, self.output.beats)

    def parameters(self) -> dict[str, int | str]:
        return {"IN_LANES": self.in_lanes, "OUT_LANES": self.out_lanes, "BITS": self.bits}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        return np.asarray(frames, dtype=np.int64)


def converters(
    in_lanes: int,
    out_lanes: int,
    bits: int,
    elements: int,
    signed: bool,
    pace: int | None = None,
) -> tuple[WidthConverter, ...]:
    """The fewest converters from `in_lanes` to `out_lanes`: none, one, or two.

    Lane counts that do not divide each other meet at their greatest common divisor: few registers,
    but `elements / gcd` cycles a frame. Where that is more than `pace`, they meet at their least
    common multiple, which is as fast as the slower side.

    Args:
        pace: cycles a frame that converters may take; None for any number.
    """
    if in_lanes == out_lanes:
        return ()
    low, high = sorted((in_lanes, out_lanes))
    meeting = gcd(in_lanes, out_lanes)
    if pace is not None and elements // meeting > pace:
        meeting = lcm(in_lanes, out_lanes)
    middle = (out_lanes,) if high % low == 0 else (meeting, out_lanes)
    lanes = (in_lanes, *middle)
    return tuple(
        WidthConverter(source, sink, bits, elements, signed) for source, sink in pairwise(lanes)
    )
