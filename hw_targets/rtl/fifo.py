"""First-in first-out queue; registers the ready signal, so it cuts the chain between kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require

FAR_DEPTH = 64
"""From here on there are two registers behind the memory (`FAR` in fifo.sv)."""


@dataclass(frozen=True)
class Fifo(Kernel):
    """`depth` words of `width` bits: two registers at depth 2, LUT or block RAM when deeper."""

    module: ClassVar[str] = "lf_fifo"
    source: ClassVar[str] = "fifo.sv"

    width: int
    depth: int
    beats: int

    def __post_init__(self) -> None:
        require(
            self.width >= 1 and self.depth >= 2 and self.beats >= 1,
            "fifo: width and beats must be at least 1, depth at least 2: {kernel}",
            kernel=self,
        )

    @property
    def input(self) -> Stream:
        return Stream(1, self.width, False, self.beats)

    @property
    def output(self) -> Stream:
        return Stream(1, self.width, False, self.beats)

    @property
    def cycles(self) -> int:
        return self.beats

    def parameters(self) -> dict[str, int | str]:
        return {"WIDTH": self.width, "DEPTH": self.depth}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        return np.asarray(frames, dtype=np.int64)
