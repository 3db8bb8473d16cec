"""Matrix-vector unit: one weight matrix times the vector of every pixel, folded by PE and SIMD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hw_targets.rtl.kernel import IntArray, Kernel, Stream, pack, require

WEIGHT_BITS = range(2, 9)
BLOCK_ROM_BITS = 8192
"""`memory="auto"`: weight memories of at least this many bits go to block RAM when deep enough."""
BLOCK_ROM_DEPTH = 64

FLOAT32_BITS = 25
"""Integers of so many bits in two's complement are exact in float32."""

RomStyle = Literal["block", "distributed"]


def sum_bits(terms: int, weight_bits: int, act_bits: int, act_signed: bool) -> int:
    """Bits (two's complement) of every sum of `terms` products of a signed weight and a value."""
    weight_low, weight_high = -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
    if act_signed:
        act_low, act_high = -(1 << (act_bits - 1)), (1 << (act_bits - 1)) - 1
    else:
        act_low, act_high = 0, (1 << act_bits) - 1
    products = [w * a for w in (weight_low, weight_high) for a in (act_low, act_high)]
    low, high = terms * min(products), terms * max(products)
    return max((-low - 1).bit_length(), high.bit_length()) + 1


def rom_style(memory: Literal["auto"] | RomStyle, depth: int, width: int) -> RomStyle:
    """Where a memory of constants goes, `auto` decided from its size."""
    if memory != "auto":
        return memory
    large = depth * width >= BLOCK_ROM_BITS and depth >= BLOCK_ROM_DEPTH
    return "block" if large else "distributed"


@dataclass(frozen=True)
class Mvu(Kernel):
    """`mh x mw` signed weights, `pe` rows and `simd` columns a clock cycle.

    The input vector is kept in a small replay buffer for the `mh / pe` passes over the rows.
    Folding as in FINN (Umuroglu et al., FPGA 2017): cycles = pixels * (mw / simd) * (mh / pe).
    """

    module: ClassVar[str] = "lf_mvu"
    source: ClassVar[str] = "mvu.sv"

    mw: int
    mh: int
    simd: int
    pe: int
    pixels: int
    weight_bits: int
    act_bits: int
    act_signed: bool
    arithmetic: Literal["lut", "dsp"] = "lut"
    memory: Literal["auto", "block", "distributed"] = "auto"

    def __post_init__(self) -> None:
        require(
            min(self.mw, self.mh, self.simd, self.pe, self.pixels, self.act_bits) >= 1,
            "mvu: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(self.mw % self.simd == 0, "mvu: simd must divide mw: {kernel}", kernel=self)
        require(self.mh % self.pe == 0, "mvu: pe must divide mh: {kernel}", kernel=self)
        require(
            self.weight_bits in WEIGHT_BITS, "mvu: weight_bits must be 2..8: {kernel}", kernel=self
        )

    @property
    def column_folds(self) -> int:
        """SF: beats of one input vector."""
        return self.mw // self.simd

    @property
    def row_folds(self) -> int:
        """NF: passes over the input vector."""
        return self.mh // self.pe

    @property
    def acc_bits(self) -> int:
        """Bits that hold every sum the weight and activation formats allow (two's complement)."""
        return sum_bits(self.mw, self.weight_bits, self.act_bits, self.act_signed)

    @property
    def rom_style(self) -> RomStyle:
        """Where the weights go, with `auto` decided from the size of the memory."""
        depth = self.column_folds * self.row_folds
        return rom_style(self.memory, depth, self.pe * self.simd * self.weight_bits)

    @property
    def input(self) -> Stream:
        return Stream(self.simd, self.act_bits, self.act_signed, self.pixels * self.column_folds)

    @property
    def output(self) -> Stream:
        return Stream(self.pe, self.acc_bits, True, self.pixels * self.row_folds)

    @property
    def cycles(self) -> int:
        return self.pixels * self.column_folds * self.row_folds

    def parameters(self) -> dict[str, int | str]:
        return {
            "MW": self.mw,
            "MH": self.mh,
            "SIMD": self.simd,
            "PE": self.pe,
            "WEIGHT_BITS": self.weight_bits,
            "ACT_BITS": self.act_bits,
            "ACT_SIGNED": int(self.act_signed),
            "ACC_BITS": self.acc_bits,
            "USE_DSP": int(self.arithmetic == "dsp"),
            "ROM_STYLE": self.rom_style,
        }

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Word `nf * SF + sf` holds `weights[nf*PE + p, sf*SIMD + s]` as element `p*SIMD + s`."""
        folded = self._weights(arrays).reshape(
            self.row_folds, self.pe, self.column_folds, self.simd
        )
        words = folded.transpose(0, 2, 1, 3).reshape(-1, self.pe * self.simd)
        return {"WEIGHTS": [pack(word, self.weight_bits) for word in words]}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        vectors = np.asarray(frames).reshape(len(frames), self.pixels, self.mw)
        # Floats multiply many times faster than integers, and these sums are exact in them.
        exact = np.float32 if self.acc_bits <= FLOAT32_BITS else np.float64
        sums = vectors.astype(exact) @ self._weights(arrays).T.astype(exact)
        return np.asarray(sums.reshape(len(frames), -1), dtype=np.int64)

    def _weights(self, arrays: Mapping[str, IntArray]) -> IntArray:
        weights = np.asarray(arrays["weights"], dtype=np.int64)
        require(
            weights.shape == (self.mh, self.mw),
            "mvu: weights have shape {shape}, not (mh, mw) = {expected}",
            shape=weights.shape,
            expected=(self.mh, self.mw),
        )
        limit = 1 << (self.weight_bits - 1)
        require(
            bool(weights.min() >= -limit and weights.max() < limit),
            "mvu: weights outside {bits} bits (two's complement)",
            bits=self.weight_bits,
        )
        return weights
