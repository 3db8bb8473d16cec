"""Nearest-neighbour upsampling by whole factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require

LEAST_DEPTH = 4
"""Words that cover the registers between the last reading of a word and its replacement."""


@dataclass(frozen=True)
class Upsample(Kernel):
    """Every pixel `scale_w` times in a row, every row `scale_h` times.

    What is repeated is kept in a ring buffer. Its words are freed one by one in their last
    repetition, so that the next row moves in while this one drains.
    """

    module: ClassVar[str] = "lf_upsample"
    source: ClassVar[str] = "upsample.sv"

    in_h: int
    in_w: int
    channels: int
    scale_h: int
    scale_w: int
    simd: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        sizes = self.in_h, self.in_w, self.channels, self.scale_h, self.scale_w, self.simd
        require(
            min(*sizes, self.bits) >= 1,
            "upsample: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.simd == 0,
            "upsample: simd must divide channels: {kernel}",
            kernel=self,
        )

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.simd

    @property
    def buffer_depth(self) -> int:
        """Words (of `simd * bits`) in the buffer, a power of two: a row, or a pixel if rows are
        not repeated.
        """
        kept = self.folds * (self.in_w if self.scale_h > 1 else 1)
        return 1 << (max(LEAST_DEPTH, kept) - 1).bit_length()

    @property
    def input(self) -> Stream:
        return Stream(self.simd, self.bits, self.signed, self.in_h * self.in_w * self.folds)

    @property
    def output(self) -> Stream:
        beats = self.input.beats * self.scale_h * self.scale_w
        return Stream(self.simd, self.bits, self.signed, beats)

    @property
    def cycles(self) -> int:
        return self.output.beats

    def parameters(self) -> dict[str, int | str]:
        return {
            "IN_W": self.in_w,
            "FOLDS": self.folds,
            "SCALE_H": self.scale_h,
            "SCALE_W": self.scale_w,
            "WIDTH": self.simd * self.bits,
            "DEPTH": self.buffer_depth,
        }

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        images = np.asarray(frames, dtype=np.int64).reshape(
            len(frames), self.in_h, self.in_w, self.channels
        )
        wide = images.repeat(self.scale_h, axis=1).repeat(self.scale_w, axis=2)
        return wide.reshape(len(frames), -1)
