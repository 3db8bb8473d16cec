"""Matrix-vector unit: one weight matrix times the vector of every pixel, folded by PE and SIMD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hw_targets.rtl.kernel import IntArray, Stream, pack, require
from hw_targets.rtl.rom import ROM, Constants, RomKernel, side_by_side

WEIGHT_BITS = range(1, 9)
PRODUCT = "product.sv"
"""Source of a product in LUTs."""
FLOAT32_BITS = 25
"""Integers of so many bits in two's complement are exact in float32."""


def shared_rows(weight_bits: int, act_bits: int, pe: int, multiplier_bits: int) -> int:
    """Rows whose products with one activation come out of one multiplier, 1 for none.

    The weights of `n` rows stand in one signed operand, a product's width apart
    (`mvu_packed.sv`). Rows are spread evenly over as few multipliers as there have to be.
    """
    most = 1 + max(0, multiplier_bits - weight_bits) // (weight_bits + act_bits)
    return -(-pe // -(-pe // most))


def sum_bits(terms: int, weight_bits: int, act_bits: int, act_signed: bool) -> int:
    """Bits (two's complement) of every sum of `terms` products of a signed weight and a value.

    Weights of 1 bit are -1 and 1.
    """
    weight_low, weight_high = -(1 << (weight_bits - 1)), max((1 << (weight_bits - 1)) - 1, 1)
    if act_signed:
        act_low, act_high = -(1 << (act_bits - 1)), (1 << (act_bits - 1)) - 1
    else:
        act_low, act_high = 0, (1 << act_bits) - 1
    products = [w * a for w in (weight_low, weight_high) for a in (act_low, act_high)]
    low, high = terms * min(products), terms * max(products)
    return max((-low - 1).bit_length(), high.bit_length()) + 1


@dataclass(frozen=True)
class Mvu(RomKernel):
    """`mh x mw` signed weights, `pe` rows and `simd` columns a clock cycle.

    The input vector is kept in a small replay buffer for the `mh / pe` passes over the rows.
    Folding as in FINN (Umuroglu et al., FPGA 2017): cycles = pixels * (mw / simd) * (mh / pe).
    weight_bits: 1 for weights of -1 and 1, without 0; 2 for -1, 0 and 1. Both are signs, and
        multiply nothing (but in the multipliers that 2 bits may have).
    multiplier_bits: width of a multiplier's wider operand, signed, which several rows share where
        they fit (`shared_rows`).
    """

    module: ClassVar[str] = "lf_mvu"
    source: ClassVar[str] = "mvu.sv"
    uses: ClassVar[tuple[str, ...]] = (
        PRODUCT,
        ROM,
        "mvu_carry.sv",
        "mvu_packed.sv",
    )

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
    multiplier_bits: int = 18

    def __post_init__(self) -> None:
        require(
            min(self.mw, self.mh, self.simd, self.pe, self.pixels, self.act_bits) >= 1,
            "mvu: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(self.mw % self.simd == 0, "mvu: simd must divide mw: {kernel}", kernel=self)
        require(self.mh % self.pe == 0, "mvu: pe must divide mh: {kernel}", kernel=self)
        require(
            self.weight_bits in WEIGHT_BITS, "mvu: weight_bits must be 1..8: {kernel}", kernel=self
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
    def packed_rows(self) -> int:
        """Rows that share multipliers, 1 for none."""
        # Times 0 or -1 synthesis multiplies nothing.
        flat = self.weight_bits == 1 or (self.act_signed and self.act_bits == 1)
        if self.arithmetic != "dsp" or flat:
            return 1
        return shared_rows(self.weight_bits, self.act_bits, self.pe, self.multiplier_bits)

    @property
    def acc_bits(self) -> int:
        """Bits that hold every sum the weight and activation formats allow (two's complement)."""
        return sum_bits(self.mw, self.weight_bits, self.act_bits, self.act_signed)

    @property
    def constants(self) -> Constants:
        depth = self.column_folds * self.row_folds
        return Constants(self.memory, depth, self.pe * self.simd * self.weight_bits)

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
            "PACKED_ROWS": self.packed_rows,
            "MULTIPLIER_BITS": self.multiplier_bits,
            "ROM_BANKS": self.rom_banks,
        }

    def memories(self, arrays: Mapping[str, IntArray]) -> dict[str, list[str]]:
        """Word `nf * SF + sf` holds `weights[nf*PE + p, sf*SIMD + s]` as element `p*SIMD + s`.

        Of rows that share a multiplier each is one less where the one below it is negative: the
        lower row's sign, extended, is what borrows from it. A weight of 1 bit is its sign. Banks
        lie side by side in wider words.
        """
        folded = self._weights(arrays).reshape(
            self.row_folds, self.pe, self.column_folds, self.simd
        )
        if self.weight_bits == 1:
            folded = np.asarray(folded < 0, dtype=np.int64)
        if self.packed_rows > 1:
            folded = folded.copy()
            for row in range(self.pe):
                if row % self.packed_rows:
                    folded[:, row] -= folded[:, row - 1] < 0
        words = folded.transpose(0, 2, 1, 3).reshape(-1, self.pe * self.simd)
        rows = side_by_side(words, self.rom_banks)
        return {"WEIGHTS": [pack(row, self.weight_bits) for row in rows]}

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        vectors = np.asarray(frames).reshape(len(frames), self.pixels, self.mw)
        # Floats multiply many times faster than integers, and these sums are exact in them.
        exact = np.float32 if self.acc_bits <= FLOAT32_BITS else np.float64
        sums = vectors.astype(exact) @ self._weights(arrays).T.astype(exact)
        return np.asarray(sums.reshape(len(frames), -1), dtype=np.int64)

    @property
    def _without_least(self) -> bool:
        """The least value would not go into signs, nor next to another row's in one operand."""
        return self.weight_bits == 2 or self.packed_rows > 1

    def _weights(self, arrays: Mapping[str, IntArray]) -> IntArray:
        weights = np.asarray(arrays["weights"], dtype=np.int64)
        require(
            weights.shape == (self.mh, self.mw),
            "mvu: weights have shape {shape}, not (mh, mw) = {expected}",
            shape=weights.shape,
            expected=(self.mh, self.mw),
        )
        limit = 1 << (self.weight_bits - 1)
        low = self._without_least - limit
        require(
            bool(weights.min() >= low and weights.max() < max(limit, 2)),
            "mvu: weights outside {low}..{high}, what {bits} bits hold here",
            bits=self.weight_bits,
            low=low,
            high=max(limit - 1, 1),
        )
        require(
            self.weight_bits > 1 or bool(weights.all()),
            "mvu: weights of 1 bit are -1 and 1, not 0",
        )
        return weights
