"""Basis of the threshold activation."""

from __future__ import annotations

import numpy as np

from hw_targets.cost.basis.arithmetic import Number, ceil, clog2, flag, least, most, pow2, some
from hw_targets.cost.basis.terms import (
    Basis,
    Fields,
    block_ram,
    carry,
    distinct,
    of_few,
)
from hw_targets.families import Family
from hw_targets.rtl.threshold import BLOCK_ROM_BITS

READ_FIRST_BITS = 5
"""Threshold memories of longer addresses are read a clock cycle ahead (`lf_threshold`)."""
SAME_BITS = 2.0
"""Leading bits in which the thresholds of all channels agree, of a search of few stages."""


def threshold(k: Fields, family: Family) -> Basis:
    """A binary search: one comparison a result bit, its threshold from a memory a lane.

    Stage s has a memory of folds * 2**s words. How large those of all stages are together is in
    closed form: stages whose addresses have at most so many bits are a number, deeper ones a
    geometric series.
    """
    pe, stages, bits, folds = k["pe"], k["out_bits"], k["in_bits"], k["folds"]
    fold, one = clog2(folds), flag(folds <= 1)
    words = 2.0**family.lut_inputs
    reads = stages - most(least(READ_FIRST_BITS + 1 - fold, stages), 0.0)

    in_block, block_words, between, bram = _in_block(pe, stages, bits, folds, family)

    def upto(address: float) -> Number:
        """Stages behind the first one whose memories have addresses of at most so many bits."""
        return most(least(address - fold, stages - 1), 0.0)

    small, near, shallow = upto(2), upto(3), upto(family.lut_inputs)
    # The address of the first stage counts by itself, so that Yosys reads its memory a clock cycle
    # ahead: equal bits of all lanes share a register. Of one fold it does so in every stage.
    counted = flag(fold <= READ_FIRST_BITS)
    first = counted * distinct(pe * bits, folds)
    few, more = of_few(folds)
    # More words than a LUT holds, together.
    deep = folds * (pow2(stages) - pow2(shallow + 1) + 1 - counted) - block_words
    # The more thresholds a channel has, the more of their leading bits only tell their order.
    differing = most(bits - stages / 2 - SAME_BITS, 0.0)
    leaves, banks = pe * deep / words, ceil(folds / words) - 1
    ahead = one * pe * bits * most(stages - reads - 2, 0.0)
    lut = {
        "fold": fold,
        "stages": stages + reads,
        "lanes": pe * stages,
        "compare": pe * stages * carry(bits, family),
        "first_few": few * first,
        "first": more * first * (1 + 2 * banks),
        "small": pe * bits * small,
        "near": pe * bits * (near - small),
        "shallow": pe * bits * (shallow - near),
        "ahead": ahead,
        "rom": leaves * bits + pe * between,
        "differing": leaves * differing,
    }
    values = bits * (stages - 1 + reads)
    # The first prefix bits are empty.
    prefixes = stages * (stages + 1) / 2 + reads * (2 * stages - reads - 1) / 2
    ff = {
        "const": 1.0 + 0.0 * pe,
        "fold": fold,
        "folds": fold * (stages - 1 + most(reads - 1, 0.0)),
        "stages": stages + reads,
        "lanes": pe * (values + prefixes),
        "read": pe * bits * (reads - in_block),
        "first": flag(folds > 2) * first,
        "ahead": ahead,
        "inverse": one * pe * flag(stages > 1),
    }
    return Basis(lut, ff, dsp=0.0, bram=pe * bram)


def _in_block(
    pe: Number, stages: Number, bits: Number, folds: Number, family: Family
) -> tuple[Number, Number, Number, Number]:
    """Stages with memories in block RAM: how many, words, bits between banks, blocks of a lane."""
    width = bits + 1
    count: Number = 0.0 * pe
    held, between, bram = count, count, count
    if some(flag(folds * pow2(stages - 1) * width >= BLOCK_ROM_BITS)):
        last = int(stages.max()) if isinstance(stages, np.ndarray) else int(stages)
        for stage in range(last):
            depth = folds * 2.0**stage
            block = flag(stages > stage) * flag(depth * width >= BLOCK_ROM_BITS)
            if some(block):
                needed, muxed = block_ram(depth, width, family, constant=True)
                count, held = count + block, held + block * depth
                between, bram = between + block * muxed, bram + block * needed
    return count, held, between, bram
