"""Basis of the threshold activation."""

from __future__ import annotations

import numpy as np

from hw_targets.cost.basis.arithmetic import Number, clog2, flag, least, most, pow2, some
from hw_targets.cost.basis.terms import (
    Basis,
    Fields,
    block_ram,
    comparison,
    distinct,
    muxes,
    of_few,
)
from hw_targets.families import Family
from hw_targets.rtl.rom import BLOCK_ROM_BITS

READ_FIRST_BITS = 5
"""Threshold memories of longer addresses are read a clock cycle ahead (`lf_threshold`)."""
SMALL_BITS = 4
"""Longest address of a memory that takes one LUT a bit, or a part of the comparison's LUT."""
SPARE_BITS = 7.0
"""Bits of the input, less what the thresholds of one channel span: half the range is 2**-6 of it.

The middle of what layers have, and of what is calibrated with (`benchmarks.calibration.contents`).
"""
LEAST_SPAN = 3.5
"""Bits that the thresholds of a channel span at least, however few they are."""
SHARED_BITS = 3.0
"""Columns above a channel's span: channels differ, and the sign and its inverse are one each."""
SHIFTED = 3
"""Registers that a LUT as a shift register stands for."""


def columns(bits: Number, stages: Number) -> Number:
    """Different columns of a memory of thresholds.

    An accumulator holds every sum that could occur, thresholds lie where sums do occur: round the
    middle, so that all leading bits of an offset are the inverse of its sign.
    """
    span = most(most(stages, LEAST_SPAN), bits - SPARE_BITS)
    return least(span + SHARED_BITS, bits)


def threshold(k: Fields, family: Family) -> Basis:
    """A binary search: one comparison a result bit, its threshold from a memory a lane.

    Stage s has a memory of folds * 2**s words. How large those of all stages are together is in
    closed form: stages whose addresses have at most so many bits are a number, deeper ones a
    geometric series. The thresholds of one channel are evenly spaced: the more of them a memory
    has, the closer they are, and the fewer of its columns look random.
    """
    pe, stages, bits, folds = k["pe"], k["out_bits"], k["in_bits"], k["folds"]
    fold, one = clog2(folds), flag(folds <= 1)
    words = 2.0**family.lut_inputs
    reads = stages - most(least(READ_FIRST_BITS + 1 - fold, stages), 0.0)
    differing = columns(bits, stages)

    in_block, block_words, block_same, between, bram = _in_block(pe, stages, bits, folds, family)
    # Block RAM takes two cycles.
    waits = reads + in_block

    def upto(address: float) -> Number:
        """Stages behind the first one whose memories have addresses of at most so many bits."""
        return most(least(address - fold, stages - 1), 0.0)

    small, shallow = upto(SMALL_BITS), upto(family.lut_inputs)
    # The address of the first stage counts by itself, so that Yosys reads a small memory a clock
    # cycle ahead: equal bits of all lanes share a register. Of one fold it does so in every stage.
    counted = flag(fold <= SMALL_BITS)
    first = counted * distinct(pe * differing, folds)
    few, more = of_few(folds)
    shallow_first = flag(fold <= family.lut_inputs) - counted
    # Words of memories of more than a LUT holds, together.
    ends, begins = pow2(stages), pow2(shallow + 1)
    deep = folds * (ends - begins + 1 - counted - shallow_first) - block_words
    # Leading columns that are constant over a whole LUT, all whose words are of one channel.
    later = most(stages - 1 - family.lut_inputs, 0.0)
    constant = folds * words * ((later - 1) * pow2(later + 1) + 2) - block_same
    # Three registers from one comparison to the next, without reset, before memories in block RAM:
    # values (but those of the first stage), bits found, and folds (but behind the last stage).
    shifted = float(family.shift_registers) * (
        pe * (bits * (in_block - flag(in_block >= stages)) + _last(in_block, stages))
    )
    shifted_folds = float(family.shift_registers) * fold * most(in_block - 1, 0.0)
    ahead = one * pe * differing * most(least(stages - reads, SMALL_BITS + 1.0) - 2, 0.0)
    lut = {
        "fold": fold,
        "stages": stages + waits,
        "lanes": pe * stages,
        "compare": pe * (stages * comparison(bits, family) + between / muxes(family)),
        "first_few": few * first,
        "first": more * first,
        "small": pe * differing * small,
        "shallow": pe * differing * (shallow - small + shallow_first),
        "ahead": ahead,
        "rom": pe / words * (differing * deep - constant),
        "shifted": shifted + shifted_folds,
    }
    values = bits * (stages - 1 + waits)
    # The first prefix bits are empty; the last stages are those that wait.
    prefixes = stages * (stages + 1) / 2 + _last(reads, stages) + _last(in_block, stages)
    ff = {
        "const": 1.0,
        "fold": fold,
        "folds": fold * (stages - 1 + most(waits - 1, 0.0)) - SHIFTED * shifted_folds,
        "stages": stages + waits,
        "lanes": pe * (values + prefixes) - SHIFTED * shifted,
        # All banks are read, and registered.
        "read": pe * (differing * reads + between),
        "first": flag(folds > 2) * first,
        "ahead": ahead,
        "inverse": one * pe * flag(stages > 1),
    }
    inside = {"read": pe * (differing * in_block + between)}
    return Basis(lut, ff, dsp=0.0, bram=pe * bram, inside=inside)


def _last(count: Number, stages: Number) -> Number:
    """Bits found so far, before each of the last `count` stages, together."""
    return count * (2 * stages - count - 1) / 2


def _in_block(
    pe: Number, stages: Number, bits: Number, folds: Number, family: Family
) -> tuple[Number, Number, Number, Number, Number]:
    """Stages with memories in block RAM: count, words, constants, bits between banks, blocks.

    Constants: words times leading columns that would be constant over a whole LUT.

    The memory has one bit more than the input, for thresholds that nothing reaches: no layer that
    was trained has any, and a column that is constant is dropped.
    """
    count: Number = 0.0 * pe
    held, constant, between, bram = count, count, count, count
    if some(flag(folds * pow2(stages - 1) * (bits + 1) >= BLOCK_ROM_BITS)):
        last = int(stages.max()) if isinstance(stages, np.ndarray) else int(stages)
        for stage in range(last):
            depth = folds * 2.0**stage
            block = flag(stages > stage) * flag(depth * (bits + 1) >= BLOCK_ROM_BITS)
            if some(block):
                needed, muxed = block_ram(depth, bits, family, constant=True)
                count, held = count + block, held + block * depth
                constant = constant + block * depth * max(stage - family.lut_inputs, 0)
                between, bram = between + block * muxed, bram + block * needed
    return count, held, constant, between, bram
