"""Sum or maximum of a channel over the pixels of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, require


@dataclass(frozen=True)
class Reduce(Kernel):
    """Takes `taps` pixels of all channels in turn for every pixel that it gives.

    That is the order of a sliding window, for pooling with windows that overlap, and, with one
    pixel of as many taps as the image has pixels, of the image itself, for global pooling. A sum
    has the bits that its greatest magnitude needs; thresholds behind it make an average of it.
    """

    module: ClassVar[str] = "lf_reduce"
    source: ClassVar[str] = "reduce.sv"

    channels: int
    taps: int
    pixels: int
    pe: int
    bits: int
    signed: bool
    op: Literal["sum", "max"]

    def __post_init__(self) -> None:
        require(
            min(self.channels, self.taps, self.pixels, self.pe, self.bits) >= 1,
            "reduce: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.pe == 0, "reduce: pe must divide channels: {kernel}", kernel=self
        )
        require(self.op in ("sum", "max"), "reduce: op must be sum or max: {kernel}", kernel=self)

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.pe

    @property
    def out_bits(self) -> int:
        if self.op == "max":
            return self.bits
        if self.signed:
            return ((self.taps << (self.bits - 1)) - 1).bit_length() + 1
        return (self.taps * ((1 << self.bits) - 1)).bit_length()

    @property
    def input(self) -> Stream:
        return Stream(self.pe, self.bits, self.signed, self.pixels * self.taps * self.folds)

    @property
    def output(self) -> Stream:
        return Stream(self.pe, self.out_bits, self.signed, self.pixels * self.folds)

    @property
    def cycles(self) -> int:
        return self.input.beats

    def parameters(self) -> dict[str, int | str]:
        return {
            "FOLDS": self.folds,
            "TAPS": self.taps,
            "PE": self.pe,
            "BITS": self.bits,
            "SIGNED": int(self.signed),
            "MAXIMUM": int(self.op == "max"),
            "OUT_BITS": self.out_bits,
        }

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        windows = np.asarray(frames, dtype=np.int64).reshape(
            len(frames), self.pixels, self.taps, self.channels
        )
        found = windows.sum(axis=2) if self.op == "sum" else windows.max(axis=2)
        return np.asarray(found.reshape(len(frames), -1), dtype=np.int64)
