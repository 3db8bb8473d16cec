"""Bases of what stands behind the last layer: the bias, and the class of the largest sum."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis.arithmetic import Number, ceil, clog2, flag, least, pow2
from hw_targets.cost.basis.terms import (
    MANY_WORDS,
    Basis,
    Fields,
    carry,
    constant_in_block_ram,
    distinct,
    of_few,
)
from hw_targets.families import Family

MOST_LANES = 2048
"""Lanes for which a tree of maxima is tabulated; a unit has fewer."""


def channel_add(k: Fields, family: Family) -> Basis:
    """An adder a lane, its constant from a memory whose equal bits share a register."""
    pe, words, bits = k["pe"], k["folds"], k["pe"] * k["bias_bits"]
    fold = clog2(words)
    const = 1.0
    block, bram, between = constant_in_block_ram(words, bits, family)
    stored = (1 - block) * distinct(bits, words)
    few, more = of_few(words)
    leaves = ceil(words / 2**family.lut_inputs)
    lut = {
        "const": const,
        "fold": fold,
        "sums": pe * carry(k["out_bits"], family),
        # Where an adder's LUTs hold only what they add, a bit that is always 0 takes none.
        "busy": bits * (1 - pow2(-least(words, MANY_WORDS))),
        "few": few * stored,
        "rom": more * stored * leaves,
        "rom_mux": (1 - block) * bits * (leaves - 1) + between,
    }
    ff = {
        "const": const,
        "fold": fold,
        "value": pe * k["in_bits"],
        "bias": flag(words > 1) * stored,
        "sums": pe * k["out_bits"],
    }
    return Basis(lut, ff, dsp=0.0, bram=bram)


def label_select(k: Fields, _: Family) -> Basis:
    """A tree of comparators over the lanes, then the best so far."""
    pe, bits, index = k["pe"], k["in_bits"], k["index_bits"]
    folds, levels = k["classes"] / pe, clog2(pe)
    several = flag(folds > 1)
    compared, registered, lanes = _maxima(pe)
    # The last level of a single beat selects no value, for nothing comes after it.
    unused = (1 - several) * flag(pe > 1)
    # What fills the lanes up to a power of two: the last lane again, beside a single beat's tree.
    fill = (1 - several) * flag(pow2(levels) > pe)
    const = 1.0
    lut = {
        "const": const,
        "fold": clog2(folds),
        "index": index,
        "compare": (compared + several) * bits,
        "select": (compared - unused) * bits,
        "lanes": lanes,
        "fill": fill * bits,
    }
    ff = {
        "const": const,
        "fold": clog2(folds),
        "index": index,
        "best": several * bits,
        "tree": (registered - unused) * bits,
        "lanes": lanes,
        "fill": fill * levels * bits,
    }
    return Basis(lut, ff, dsp=0.0, bram=0.0)


def _maxima(pe: Number) -> tuple[Number, ...]:
    """A tree of maxima over `pe` lanes: comparators, values registered, bits of lane numbers."""
    if isinstance(pe, np.ndarray):
        return tuple(column.take(pe.astype(np.intp), mode="clip") for column in _trees())
    return tuple(float(column[min(int(pe), MOST_LANES)]) for column in _trees())


@cache
def _trees() -> tuple[NDArray[np.float64], ...]:
    """Columns of `_maxima` by the number of lanes, from none on.

    Lanes are filled up to a power of two with the last one. On every level a node that stands for
    nothing but the last lane is the same as the filling, which is a node of its own otherwise.
    """
    pe = np.arange(MOST_LANES + 1, dtype=np.float64)
    depth = np.ceil(np.log2(np.maximum(pe, 1)))
    compared, registered, lanes = (np.zeros_like(pe) for _ in range(3))

    def nodes(level: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Nodes that stand for lanes, and whether the filling is one more."""
        real = np.ceil(pe / 2**level)
        return real, (real < 2 ** (depth - level)) & ((real - 1) * 2**level < pe - 1)

    for level in range(int(depth.max())):
        there = depth > level
        (below, filled), (above, filled_above) = nodes(level), nodes(level + 1)
        compared += there * ((below // 2) + (below % 2) * filled)
        registered += there * (above + filled_above)
        lanes += there * above * (level + 1)
    return compared, registered, lanes
