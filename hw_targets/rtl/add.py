"""Sum of two streams: where a network's branches meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class Add(Kernel):
    """`out = a + b` of two streams of one format, in one bit more."""

    module: ClassVar[str] = "lf_add"
    source: ClassVar[str] = "add.sv"

    lanes: int
    bits: int
    signed: bool
    beats: int

    def __post_init__(self) -> None:
        require(
            min(self.lanes, self.bits, self.beats) >= 1,
            "add: sizes must be at least 1: {kernel}",
            kernel=self,
        )

    @property
    def input(self) -> Stream:
        return Stream(self.lanes, self.bits, self.signed, self.beats)

    @property
    def inputs(self) -> tuple[Stream, ...]:
        return (self.input,) * 2

    @property
    def output(self) -> Stream:
        return Stream(self.lanes, self.bits + 1, self.signed, self.beats)

    @property
    def cycles(self) -> int:
        return self.beats

    def parameters(self) -> dict[str, int | str]:
        return {"LANES": self.lanes, "BITS": self.bits, "SIGNED": int(self.signed)}

    def compute(
        self, inputs: Sequence[IntArray], arrays: Mapping[str, IntArray]
    ) -> tuple[IntArray, ...]:
        first, second = inputs
        return (first + second,)
