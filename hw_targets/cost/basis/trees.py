"""Adder trees, and products whose rows share multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis.arithmetic import (
    Number,
    ceil,
    clog2,
    flag,
    least,
    most,
    pow2,
    quotient,
    where,
)
from hw_targets.cost.basis.terms import carry_pairs
from hw_targets.families import Family, load_family

LONGEST_TREE = 8192
"""Lanes for which an adder tree is tabulated; a unit has fewer."""
TABLED = (16, 129, 9, 17)
"""Rows over a multiplier, lanes, weight bits and bits of a product up to which groups of rows are
tabulated: more than layers have."""
LEAST_PRODUCT = 9
"""Bits that `mvu_packed.sv` gives a product of several rows at least."""


def tree(simd: Number, family: Family) -> tuple[Number, ...]:
    """An adder tree of `simd` terms, a register after every level.

    (n, u, r, v): of terms of b bits n * b + u LUTs add, r * b + v bits are registered. A number of
    terms that is not whole is rounded.
    """
    if isinstance(simd, np.ndarray):
        index = np.rint(simd).astype(np.intp)
        return tuple(column.take(index) for column in _trees(carry_pairs(family)))
    return _listed_trees(carry_pairs(family))[round(simd)]


@dataclass(frozen=True)
class Shared:
    """Rows of a unit over multipliers: counts of the whole unit.

    multipliers: asked for. single: of them those with a product of one row. word_bits: bits of all
    products. first, rest: LUTs of the first level of adders where words are added whole, and of all
    others. registers: bits registered by the trees. lacking: rows whose sum lacks a carry.
    """

    multipliers: Number
    single: Number
    word_bits: Number
    first: Number
    rest: Number
    registers: Number
    lacking: Number


def shared(
    pe: Number, simd: Number, weight_bits: Number, act_bits: Number, apart: Number, family: Family
) -> Shared:
    """What `lf_mvu_packed` makes of rows of the family's multipliers.

    apart: 1 where no rows share a multiplier whatever their bits.
    """
    product = weight_bits + act_bits
    room = quotient(most(family.multiplier.a_bits - weight_bits, 0.0), product)
    groups = ceil(pe / where(apart > 0, 1.0, 1 + room))
    rows = ceil(pe / groups)
    full = _found_group(rows, simd, weight_bits, product, family)
    last_rows = pe - (groups - 1) * rows
    last = _found_group(last_rows, simd, weight_bits, product, family)
    word, first, rest, registers = (
        (groups - 1) * one + another for one, another in zip(full, last, strict=True)
    )
    single = simd * ((groups - 1) * flag(rows <= 1) + flag(last_rows <= 1))
    return Shared(groups * simd, single, word, first, rest, registers, pe - groups)


def _found_group(
    rows: Number, simd: Number, weight_bits: Number, product: Number, family: Family
) -> tuple[Number, ...]:
    """`_group`, of columns from a table where that reaches, of numbers that recur from memory."""
    values = rows, simd, weight_bits, product
    if not any(isinstance(value, np.ndarray) for value in values):
        return _kept_group(*map(float, values), family.name)
    if all(isinstance(v, np.ndarray) and v.max() < n for v, n in zip(values, TABLED, strict=True)):
        index = rows
        for value, size in zip(values[1:], TABLED[1:], strict=True):
            index = index * size + value
        cells = np.asarray(index, dtype=np.intp)
        return tuple(column.take(cells) for column in _groups(family.name))
    return _group(rows, simd, weight_bits, product, family)


@lru_cache(maxsize=1 << 14)
def _kept_group(
    rows: float, simd: float, weight_bits: float, product: float, family: str
) -> tuple[Number, ...]:
    return _group(rows, simd, weight_bits, product, load_family(family))


@cache
def _groups(family: str) -> tuple[NDArray[np.float64], ...]:
    """`_group` for all rows, terms, weight bits and bits of a product in `TABLED`."""
    grid = np.indices(TABLED, dtype=np.float64).reshape(len(TABLED), -1)
    rows, simd, weight_bits, product = np.maximum(grid, 1.0)
    described = load_family(family)
    # More rows than a multiplier has room for are not asked for.
    fitting = (rows - 1) * product <= described.multiplier.a_bits - weight_bits
    found = _group(np.where(fitting, rows, 1.0), simd, weight_bits, product, described)
    return tuple(np.asarray(column) for column in found)


def _group(
    rows: Number, simd: Number, weight_bits: Number, product: Number, family: Family
) -> tuple[Number, ...]:
    """Of rows that share multipliers: bits of products; LUTs of the first level and of the rest of
    the adders; registered bits. A single row is an adder tree like any other."""
    gaps, levels = most(rows - 1, 1.0), clog2(simd)
    room = where(rows > 1, quotient(family.multiplier.a_bits - weight_bits, gaps) - product, levels)
    whole = least(room, levels)
    spacing = most(product + whole, ceil((LEAST_PRODUCT - product) / gaps))
    word = (rows - 1) * spacing + product
    # The tree of whole words ends where the trees of the rows begin.
    split = ceil(simd / pow2(whole))
    luts, registers = _whole_tree(simd, word, family)
    ended_luts, ended_registers = _whole_tree(split, word + whole, family)
    row_luts, row_registers = _whole_tree(split, product + whole, family)
    after_one, _ = _whole_tree(ceil(simd / 2), word + 1, family)
    first = where(whole > 0, luts - after_one, 0.0)
    carries = (rows - 1) * most(split - 1, 0.0)
    return (
        simd * word,
        first,
        luts - ended_luts - first + rows * row_luts + carries,
        registers - ended_registers + rows * row_registers + carries,
    )


def _whole_tree(terms: Number, bits: Number, family: Family) -> tuple[Number, Number]:
    """LUTs and registered bits of a tree."""
    added, added_up, registered, registered_up = tree(terms, family)
    return added * bits + added_up, registered * bits + registered_up


@cache
def _listed_trees(pairs: bool) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in _trees(pairs)), strict=True))


@cache
def _trees(pairs: bool) -> tuple[NDArray[np.float64], ...]:
    """Columns n, u, r, v of `tree` by the number of terms.

    pairs: every sum takes a LUT more (`terms.carry`).
    """
    left = np.arange(LONGEST_TREE + 1, dtype=np.float64)
    sums = [np.zeros_like(left) for _ in range(4)]
    level = 0
    while left.max() > 1:
        level += 1
        busy = left > 1
        several, rest = np.floor(left / 2) * busy, np.ceil(left / 2) * busy
        parts = (several, several * (level + pairs), rest, rest * level)
        for total, part in zip(sums, parts, strict=True):
            total += part
        left = np.ceil(left / 2)
    return tuple(sums)
