"""Max pooling with stride equal to the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class MaxPool(Kernel):
    """Maximum over `kernel x kernel` pixels; rows and columns left over are dropped."""

    module: ClassVar[str] = "lf_maxpool"
    source: ClassVar[str] = "maxpool.sv"

    in_h: int
    in_w: int
    channels: int
    kernel: int
    pe: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        require(
            min(self.channels, self.pe, self.bits) >= 1
            and 1 <= self.kernel <= min(self.in_h, self.in_w),
            "maxpool: sizes must be at least 1 and the kernel fit into the image: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.pe == 0, "maxpool: pe must divide channels: {kernel}", kernel=self
        )

    @property
    def out_h(self) -> int:
        return self.in_h // self.kernel

    @property
    def out_w(self) -> int:
        return self.in_w // self.kernel

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.pe

    @property
    def input(self) -> Stream:
        return Stream(self.pe, self.bits, self.signed, self.in_h * self.in_w * self.folds)

    @property
    def output(self) -> Stream:
        return Stream(self.pe, self.bits, self.signed, self.out_h * self.out_w * self.folds)

    @property
    def cycles(self) -> int:
        return self.input.beats

    def parameters(self) -> dict[str, int | str]:
        return {
            "IN_H": self.in_h,
            "IN_W": self.in_w,
            "FOLDS": self.folds,
            "KERNEL": self.kernel,
            "PE": self.pe,
            "BITS": self.bits,
            "SIGNED": int(self.signed),
        }

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        images = np.asarray(frames, dtype=np.int64).reshape(
            len(frames), self.in_h, self.in_w, self.channels
        )
        cut = images[:, : self.out_h * self.kernel, : self.out_w * self.kernel]
        blocks = cut.reshape(
            len(frames), self.out_h, self.kernel, self.out_w, self.kernel, self.channels
        )
        return np.asarray(blocks.max(axis=(2, 4)).reshape(len(frames), -1), dtype=np.int64)
