"""Basis of the threshold activation."""

from __future__ import annotations

import numpy as np

from hw_targets.cost.basis.arithmetic import Number, clog2, flag, most, some
from hw_targets.cost.basis.terms import Basis, Fields, blocks, rom
from hw_targets.families import Family
from hw_targets.rtl.threshold import BLOCK_ROM_BITS

READ_FIRST_DEPTH = 32
"""Threshold memories deeper than this are read a clock cycle ahead (`lf_threshold`)."""


def threshold(k: Fields, family: Family) -> Basis:
    """A binary search: one comparison a result bit, its threshold from a memory a lane."""
    pe, bits, in_bits, width = k["pe"], k["out_bits"], k["in_bits"], k["in_bits"] + 1
    fold = clog2(k["folds"])
    leaves_all: Number = 0.0 * pe
    merged, muxes_all, bram, registers, folds, reads, memory = (leaves_all,) * 7
    last = int(bits.max()) if isinstance(bits, np.ndarray) else int(bits)
    for stage in range(last):
        used = flag(bits > stage)
        # The input value is dead after the last comparison.
        alive = flag(bits > stage + 1)
        depth = k["folds"] * 2.0**stage
        block = used * flag(depth * width >= BLOCK_ROM_BITS)
        read = used * most(block, flag(depth > READ_FIRST_DEPTH))
        if some(block):
            bram = bram + block * blocks(depth, width, family)
        leaves, muxes = rom(depth, family)
        # A memory that is read in the stage itself can share LUTs with the comparison.
        leaves_all = leaves_all + (read - block) * width * leaves
        merged = merged + (used - read) * width * leaves
        muxes_all = muxes_all + (used - block) * width * muxes
        # The first prefix bits are empty.
        registers = registers + alive * in_bits + used * (stage + 1) + read * (in_bits + stage)
        folds = folds + (alive + read) * fold
        reads = reads + read
        memory = memory + (read - block) * width
    fixed = flag(k["folds"] <= 1)
    lut = {
        "const": 1.0 + 0.0 * pe,
        "fold": fold,
        "stages": bits + reads,
        "compare": pe * width * (bits - fixed),
        "compare_fixed": pe * width * fixed,
        "rom": pe * leaves_all,
        "rom_merged": pe * merged,
        "rom_mux": pe * muxes_all,
    }
    ff = {
        "fold": fold,
        "folds": folds,
        "stages": bits + reads,
        "lanes": pe * registers,
        "read": pe * memory,
    }
    return Basis(lut, ff, dsp=0.0, bram=pe * bram)
