"""Depthwise convolution behind a sliding window: every channel has weights of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hw_targets.rtl.kernel import IntArray, Stream, pack, require
from hw_targets.rtl.mvu import PRODUCT, WEIGHT_BITS, sum_bits
from hw_targets.rtl.rom import ROM, Constants, RomKernel, side_by_side


@dataclass(frozen=True)
class Depthwise(RomKernel):
    """`out[c] = sum over taps of weights[c, tap] * x[tap, c]`, `pe` channels a clock cycle.

    Windows come as `Swu` gives them, tap by tap with all channels of each.
    """

    module: ClassVar[str] = "lf_depthwise"
    source: ClassVar[str] = "depthwise.sv"
    uses: ClassVar[tuple[str, ...]] = (PRODUCT, ROM, "reduce.sv")

    channels: int
    taps: int
    pixels: int
    pe: int
    weight_bits: int
    act_bits: int
    act_signed: bool
    arithmetic: Literal["lut", "dsp"] = "lut"
    memory: Literal["auto", "block", "distributed"] = "auto"

    def __post_init__(self) -> None:
        require(
            min(self.channels, self.taps, self.pixels, self.pe, self.act_bits) >= 1,
            "depthwise: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.pe == 0,
            "depthwise: pe must divide channels: {kernel}",
            kernel=self,
        )
        require(
            self.weight_bits in WEIGHT_BITS,
            "depthwise: weight_bits must be 1..8: {kernel}",
            kernel=self,
        )

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.pe

    @property
    def acc_bits(self) -> int:
        """Bits that hold every sum the weight and activation formats allow (two's complement)."""
        return sum_bits(self.taps, self.weight_bits, self.act_bits, self.act_signed)

    @property
    def constants(self) -> Constants:
        return Constants(self.memory, self.taps * self.folds, self.pe * self.held_bits)

    @property
    def held_bits(self) -> int:
        """Bits of a weight in memory, in two's complement: -1 and 1 take two."""
        return max(self.weight_bits, 2)

    @property
    def input(self) -> Stream:
        beats = self.pixels * self.taps * self.folds
        return Stream(self.pe, self.act_bits, self.act_signed, beats)

    @property
    def output(self) -> Stream:
        return Stream(self.pe, self.acc_bits, True, self.pixels * self.folds)

    @property
    def cycles(self) -> int:
        return self.input.beats

    def parameters(self) -> dict[str, int | str]:
        return {
            "FOLDS": self.folds,
            "TAPS": self.taps,
            "PE": self.pe,
            "WEIGHT_BITS": self.held_bits,
            "ACT_BITS": self.act_bits,
            "ACT_SIGNED": int(self.act_signed),
            "ACC_BITS": self.acc_bits,
            "USE_DSP": int(self.arithmetic == "dsp"),
            "ROM_BANKS": self.rom_banks,
        }

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Word `tap * folds + fold` holds the weights of the fold's channels."""
        words = self._weights(arrays).T.reshape(-1, self.pe)
        rows = side_by_side(words, self.rom_banks)
        return {"WEIGHTS": [pack(row, self.held_bits) for row in rows]}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        windows = np.asarray(frames, dtype=np.int64).reshape(
            len(frames), self.pixels, self.taps, self.channels
        )
        sums = (windows * self._weights(arrays).T).sum(axis=2)
        return np.asarray(sums.reshape(len(frames), -1), dtype=np.int64)

    def _weights(self, arrays: Mapping[str, IntArray]) -> IntArray:
        weights = np.asarray(arrays["weights"], dtype=np.int64)
        require(
            weights.shape == (self.channels, self.taps),
            "depthwise: weights have shape {shape}, not (channels, taps) = {expected}",
            shape=weights.shape,
            expected=(self.channels, self.taps),
        )
        limit = 1 << (self.weight_bits - 1)
        require(
            bool(weights.min() >= -limit and weights.max() < max(limit, 2)),
            "depthwise: weights outside {bits} bits (two's complement)",
            bits=self.weight_bits,
        )
        require(
            self.weight_bits > 1 or bool(weights.all()),
            "depthwise: weights of 1 bit are -1 and 1, not 0",
        )
        return weights
