"""Addition of one constant a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, pack, require


@dataclass(frozen=True)
class ChannelAdd(Kernel):
    """`out = (x << shift) + bias[channel]`, signed; `out_bits` must hold every sum that occurs."""

    module: ClassVar[str] = "lf_channel_add"
    source: ClassVar[str] = "channel_add.sv"

    channels: int
    pe: int
    pixels: int
    in_bits: int
    in_signed: bool
    bias_bits: int
    out_bits: int
    shift: int = 0

    def __post_init__(self) -> None:
        require(
            min(self.channels, self.pe, self.pixels, self.in_bits, self.bias_bits, self.out_bits)
            >= 1,
            "channel_add: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            0 <= self.shift < self.out_bits,
            "channel_add: shift must be below out_bits: {kernel}",
            kernel=self,
        )
        require(
            self.channels % self.pe == 0,
            "channel_add: pe must divide channels: {kernel}",
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
        return Stream(self.pe, self.out_bits, True, self.pixels * self.folds)

    @property
    def cycles(self) -> int:
        return self.pixels * self.folds

    def parameters(self) -> dict[str, int | str]:
        return {
            "PE": self.pe,
            "FOLDS": self.folds,
            "IN_BITS": self.in_bits,
            "IN_SIGNED": int(self.in_signed),
            "BIAS_BITS": self.bias_bits,
            "OUT_BITS": self.out_bits,
            "SHIFT": self.shift,
        }

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Word `fold` holds the biases of its `pe` channels."""
        words = self._bias(arrays).reshape(self.folds, self.pe)
        return {"BIAS": [pack(word, self.bias_bits) for word in words]}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        values = np.asarray(frames, dtype=np.int64).reshape(len(frames), -1, self.channels)
        sums = ((values << self.shift) + self._bias(arrays)).reshape(len(frames), -1)
        limit = 1 << (self.out_bits - 1)
        require(
            bool((sums >= -limit).all() and (sums < limit).all()),
            "channel_add: a sum does not fit into out_bits = {bits}",
            bits=self.out_bits,
        )
        return sums

    def _bias(self, arrays: Mapping[str, IntArray]) -> IntArray:
        bias = np.asarray(arrays["bias"], dtype=np.int64)
        require(
            bias.shape == (self.channels,),
            "channel_add: bias has shape {shape}, not (channels,) = {expected}",
            shape=bias.shape,
            expected=(self.channels,),
        )
        limit = 1 << (self.bias_bits - 1)
        require(
            bool(bias.min() >= -limit and bias.max() < limit),
            "channel_add: a bias does not fit into bias_bits = {bits}",
            bits=self.bias_bits,
        )
        return bias
