"""Zero padding of an image stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class Pad(Kernel):
    """Frames an image with `top`, `left`, `bottom` and `right` pixels of zero."""

    module: ClassVar[str] = "lf_pad"
    source: ClassVar[str] = "pad.sv"

    in_h: int
    in_w: int
    channels: int
    top: int
    left: int
    bottom: int
    right: int
    simd: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        require(
            min(self.in_h, self.in_w, self.channels, self.simd, self.bits) >= 1
            and min(self.top, self.left, self.bottom, self.right) >= 0,
            "pad: sizes must be at least 1, margins at least 0: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.simd == 0, "pad: simd must divide channels: {kernel}", kernel=self
        )

    @property
    def out_h(self) -> int:
        return self.in_h + self.top + self.bottom

    @property
    def out_w(self) -> int:
        return self.in_w + self.left + self.right

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.simd

    @property
    def input(self) -> Stream:
        return Stream(self.simd, self.bits, self.signed, self.in_h * self.in_w * self.folds)

    @property
    def output(self) -> Stream:
        return Stream(self.simd, self.bits, self.signed, self.out_h * self.out_w * self.folds)

    @property
    def cycles(self) -> int:
        return self.output.beats

    def parameters(self) -> dict[str, int | str]:
        return {
            "IN_H": self.in_h,
            "IN_W": self.in_w,
            "FOLDS": self.folds,
            "TOP": self.top,
            "LEFT": self.left,
            "BOTTOM": self.bottom,
            "RIGHT": self.right,
            "WIDTH": self.simd * self.bits,
        }

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        images = np.asarray(frames, dtype=np.int64).reshape(
            len(frames), self.in_h, self.in_w, self.channels
        )
        margins = ((0, 0), (self.top, self.bottom), (self.left, self.right), (0, 0))
        return np.pad(images, margins).reshape(len(frames), -1)
