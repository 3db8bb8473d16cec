"""Basis of the matrix-vector unit."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.basis.arithmetic import (
    Number,
    clog2,
    exp,
    flag,
    least,
    most,
    pow2,
    some,
    where,
)
from hw_targets.cost.basis.products import product_list, product_table
from hw_targets.cost.basis.terms import Basis, Fields, blocks, lut_ram, rom
from hw_targets.families import Family

FEW_WORDS = 8
MANY_WORDS = 20.0
"""Words from which on no two bits of a memory are equal by chance."""
LONGEST_TREE = 8192
"""Lanes for which an adder tree is tabulated; a unit has fewer."""


def mvu(k: Fields, family: Family) -> Basis:
    """Products, an adder tree and an accumulator a row; weights from a memory; a vector kept."""
    simd, pe, weight_bits, act_bits = k["simd"], k["pe"], k["weight_bits"], k["act_bits"]
    lanes = pe * simd
    sf, nf, dsp = k["column_folds"], k["row_folds"], k["dsp"]
    words = sf * nf
    asked = lanes * dsp
    hard = asked * flag(weight_bits + act_bits >= family.multiplier.least_product)
    soft = lanes - asked
    # Among few words many weight bits are constant or equal, and what they feed gets simpler.
    fixed, many = flag(words <= 1), flag(words > FEW_WORDS)
    few = 1 - fixed - many
    block = k["block"] * (1 - fixed)
    vector, rom_bits = simd * act_bits, lanes * weight_bits

    rom_leaves, rom_muxes = rom(words, family)
    replay = flag(nf > 1)
    buffer = where(sf <= 2, 2.0, where(sf <= 16, 16.0, pow2(clog2(sf))))
    block_buffer = replay * flag(buffer >= 128) * flag(buffer * vector >= 4096)
    extra = most(block_buffer, block)

    signed = k["act_signed"]
    product_luts, product_registers, _ = _product(family, weight_bits, act_bits, signed, 0.0)
    refused = asked - hard
    refused_luts: Number = 0.0
    if some(refused):
        refused_luts = refused * where(
            refused > 0, _product(family, weight_bits, act_bits, signed, 1.0)[0], 0.0
        )
    product = weight_bits + act_bits
    # Digits of two bits: W/2 + A/2 - 1 diagonals.
    diagonals = _half(weight_bits) + _half(act_bits) - 1
    multiply = where(dsp > 0, 1.0, most(1.0, clog2(diagonals)))
    levels = clog2(simd)
    added, added_up, registered, registered_up = _tree(simd)
    tree = pe * (added * product + added_up)
    tree_registers = pe * (registered * product + registered_up)
    control = clog2(sf) + clog2(nf) + clog2(words)
    positions = replay * 3 * (clog2(buffer) + 1)
    sums = pe * k["acc_bits"] * flag(sf > 1)
    products = soft * where(soft > 0, product_luts, 0.0)
    soft_work = products + (1 - dsp) * tree
    # Of a few words only so many functions of the address exist: bits that are equal share.
    kinds = pow2(least(words, MANY_WORDS)) - 2
    distinct = most(kinds, 1.0) * (1 - exp(-rom_bits / most(kinds, 1.0)))
    stored = least(distinct, rom_bits)
    lut = {
        "const": 1.0 + 0.0 * lanes,
        "control": control,
        "positions": positions,
        "products": many * products,
        "tree": (1 - dsp) * many * tree,
        "few": few * soft_work,
        "fixed": fixed * soft_work,
        "tree_hard": tree * dsp,
        # Too small for the multiplier the tool would take: its own multiplier in LUTs.
        "refused": refused_luts,
        "accumulate": sums,
        "rom": (1 - block) * stored * rom_leaves,
        "rom_mux": (1 - block) * rom_bits * rom_muxes,
        "replay": (replay - block_buffer) * lut_ram(buffer, vector, family),
        "vector": replay * vector,
    }
    soft_registers = soft * where(soft > 0, product_registers, 0.0)
    ff = {
        "const": lut["const"],
        "control": control,
        "positions": positions,
        "latency": 2 * (1 + extra + multiply + levels),
        "products": many * soft_registers,
        "products_hard": asked * product,
        "tree": many * tree_registers * (1 - dsp),
        "few": few * (soft_registers + tree_registers * (1 - dsp)),
        "fixed": fixed * (soft_registers + tree_registers * (1 - dsp)),
        "tree_hard": tree_registers * dsp,
        "accumulate": sums + pe * k["acc_bits"],
        "rom": (1 - fixed) * (1 - block) * stored,
        "vector": (1 - block_buffer) * vector,
        "extra": extra * (vector + rom_bits * (1 - fixed)),
    }
    bram = block * blocks(words, rom_bits, family) if some(block) else block
    if some(block_buffer):
        bram = bram + block_buffer * blocks(buffer, vector, family)
    return Basis(lut, ff, dsp=hard, bram=bram)


def _half(bits: Number) -> Number:
    """Digits of two bits in a word: half of its bits, rounded up."""
    return (bits + 1) // 2


def _product(
    family: Family, weight_bits: Number, act_bits: Number, signed: Number, hard: Number
) -> tuple[Number, ...]:
    """LUTs, registers and multipliers of one product, as measured (`products`)."""
    if isinstance(weight_bits, np.ndarray) or isinstance(act_bits, np.ndarray):
        table = product_table(family.name)
        index = ((np.asarray(weight_bits) * 9 + act_bits) * 2 + signed) * 2 + hard
        return tuple(column.take(index.astype(np.intp)) for column in table.reshape(-1, 3).T)
    rows = product_list(family.name)
    return rows[int(weight_bits)][int(act_bits)][int(signed)][int(hard)]


def _tree(simd: Number) -> tuple[Number, ...]:
    """An adder tree of `simd` terms of b bits, a register after every level.

    (n, u, r, v): n * b + u bits are added, r * b + v bits are registered.
    """
    if isinstance(simd, np.ndarray):
        return tuple(column.take(simd.astype(np.intp)) for column in _trees())
    return _listed_trees()[int(simd)]


@cache
def _listed_trees() -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in _trees()), strict=True))


@cache
def _trees() -> tuple[NDArray[np.float64], ...]:
    """Columns n, u, r, v of `_tree` by the number of terms, from none on."""
    left = np.arange(LONGEST_TREE + 1, dtype=np.float64)
    sums = [np.zeros_like(left) for _ in range(4)]
    level = 0
    while left.max() > 1:
        level += 1
        busy = left > 1
        pairs, rest = np.floor(left / 2) * busy, np.ceil(left / 2) * busy
        for total, part in zip(sums, (pairs, pairs * level, rest, rest * level), strict=True):
            total += part
        left = np.ceil(left / 2)
    return tuple(sums)
