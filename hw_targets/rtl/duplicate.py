"""One stream given to several takers: where a network branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class Duplicate(Kernel):
    """`copies` streams out, each all of the stream in; the slowest taker sets the pace."""

    module: ClassVar[str] = "lf_duplicate"
    source: ClassVar[str] = "duplicate.sv"

    lanes: int
    bits: int
    signed: bool
    beats: int
    copies: int

    def __post_init__(self) -> None:
        require(
            min(self.lanes, self.bits, self.beats) >= 1 and self.copies >= 2,
            "duplicate: sizes must be at least 1, copies at least 2: {kernel}",
            kernel=self,
        )

    @property
    def input(self) -> Stream:
        return Stream(self.lanes, self.bits, self.signed, self.beats)

    @property
    def output(self) -> Stream:
        return self.input

    @property
    def outputs(self) -> tuple[Stream, ...]:
        return (self.input,) * self.copies

    @property
    def cycles(self) -> int:
        return self.beats

    def parameters(self) -> dict[str, int | str]:
        return {"WIDTH": self.input.width, "COPIES": self.copies}

    def compute(
        self, inputs: Sequence[IntArray], arrays: Mapping[str, IntArray]
    ) -> tuple[IntArray, ...]:
        (frames,) = inputs
        return (frames,) * self.copies
