"""Threshold activation: how many of a channel's ascending thresholds a value reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, pack, require
from hw_targets.rtl.rom import BLOCK_ROM_BITS, ROM, banks, side_by_side


@dataclass(frozen=True)
class Threshold(Kernel):
    """`out = out_bias + #{i: x >= T[channel, i]}`, by a binary search of `out_bits` stages."""

    module: ClassVar[str] = "lf_threshold"
    source: ClassVar[str] = "threshold.sv"
    uses: ClassVar[tuple[str, ...]] = (ROM,)

    channels: int
    pe: int
    pixels: int
    in_bits: int
    in_signed: bool
    out_bits: int
    out_signed: bool
    out_bias: int = 0

    def __post_init__(self) -> None:
        require(
            min(self.channels, self.pe, self.pixels, self.in_bits, self.out_bits) >= 1,
            "threshold: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.pe == 0,
            "threshold: pe must divide channels: {kernel}",
            kernel=self,
        )
        low = -(1 << (self.out_bits - 1)) if self.out_signed else 0
        require(
            self.out_bias == low,
            "threshold: all 2**out_bits results fit only with out_bias {low}: {kernel}",
            low=low,
            kernel=self,
        )

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.pe

    @property
    def input(self) -> Stream:
        return Stream(self.pe, self.in_bits, self.in_signed, self.pixels * self.folds)

    @property
    def output(self) -> Stream:
        return Stream(self.pe, self.out_bits, self.out_signed, self.pixels * self.folds)

    @property
    def cycles(self) -> int:
        return self.pixels * self.folds

    def parameters(self) -> dict[str, int | str]:
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "IN_BITS": self.in_bits,
            "IN_SIGNED": int(self.in_signed),
            "OUT_BITS": self.out_bits,
            "OUT_BIAS": self.out_bias,
            "BLOCK_BANKS": sum(self._banks(stage) << 8 * stage for stage in range(self.out_bits)),
        }

    def _banks(self, stage: int) -> int:
        """Banks of a stage's memory in block RAM; 0 if it is in logic."""
        depth = self.folds << stage
        if depth * (self.in_bits + 1) < BLOCK_ROM_BITS:
            return 0
        # No threshold of a trained layer has the extra bit: its column is constant, and dropped.
        return banks(depth, self.in_bits)

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """One memory a lane and search stage, keys `THRESHOLDS.<lane>_<stage>`.

        The word at `{fold, prefix}` is the threshold that decides the next bit of the result.
        Stored as offset from the lowest input value in `in_bits + 1` bits: the extra bit means
        "never reached". Banks lie side by side in wider words.
        """
        low = -(1 << (self.in_bits - 1)) if self.in_signed else 0
        offsets = np.clip(self._thresholds(arrays) - low, 0, 1 << self.in_bits)
        memories: dict[str, list[str]] = {}
        for lane in range(self.pe):
            for stage in range(self.out_bits):
                step = 1 << (self.out_bits - stage)
                words = offsets[lane :: self.pe, step // 2 - 1 :: step]
                key = f"THRESHOLDS.{lane}_{stage}"
                rows = side_by_side(words.reshape(-1, 1), self._banks(stage))
                memories[key] = [pack(row, self.in_bits + 1) for row in rows]
        return memories

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        values = np.asarray(frames, dtype=np.int64).reshape(-1, self.channels)
        thresholds = self._thresholds(arrays)
        counts = np.empty_like(values)
        for channel in range(self.channels):
            counts[:, channel] = np.searchsorted(thresholds[channel], values[:, channel], "right")
        return (self.out_bias + counts).reshape(len(frames), -1)

    def _thresholds(self, arrays: Mapping[str, IntArray]) -> IntArray:
        thresholds = np.asarray(arrays["thresholds"], dtype=np.int64)
        expected = (self.channels, 2**self.out_bits - 1)
        require(
            thresholds.shape == expected,
            "threshold: thresholds have shape {shape}, not (channels, steps) = {expected}",
            shape=thresholds.shape,
            expected=expected,
        )
        require(bool((np.diff(thresholds, axis=1) >= 0).all()), "threshold: thresholds must ascend")
        return thresholds
