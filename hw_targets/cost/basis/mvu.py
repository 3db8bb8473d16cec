"""Basis of the matrix-vector unit."""

from __future__ import annotations

from functools import cache
from math import erf, exp, nan, sqrt

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
    some,
    where,
)
from hw_targets.cost.basis.products import MOST_BITS, product_list, product_table
from hw_targets.cost.basis.terms import (
    FEW_WORDS,
    Basis,
    Fields,
    Terms,
    block_ram,
    blocks,
    carry,
    distinct,
    further_luts,
    groups_of_banks,
    lut_ram,
)
from hw_targets.cost.basis.trees import shared, tree
from hw_targets.families import Family

MANY_WORDS = 32
"""Words from which on every weight bit is taken to vary, and all rows to differ."""
MANY_ROWS = 64
"""Rows for which it is tabulated how many agree; in units of more a greater share does."""
WEIGHT_SPREAD = 2.2
"""Standard deviations between weight 0 and the largest one: trained weights are bell-shaped."""


def mvu(k: Fields, family: Family) -> Basis:
    """Products, an adder tree and an accumulator a row; weights from a memory; a vector kept."""
    simd, pe, weight_bits, act_bits = k["simd"], k["pe"], k["weight_bits"], k["act_bits"]
    lanes = pe * simd
    sf, nf = k["column_folds"], k["row_folds"]
    # Weights of 1 bit are signs in any arithmetic, those of 2 bits in LUTs.
    dsp = k["dsp"] * flag(weight_bits > 1) if some(k["dsp"]) else 0.0
    signs = flag(weight_bits <= 2) * (1 - dsp)
    words = sf * nf
    signed = k["act_signed"]
    large = flag(weight_bits + act_bits >= family.multiplier.least_product)
    # Times 0 or -1: no multiplication to the tool.
    flat = signed * flag(act_bits <= 1)
    hard: Number = 0.0
    soft, refused, lacking, single, word_bits, tree_first, tree_hard, tree_hard_registers = (
        lanes, *[hard] * 7
    )  # fmt: skip
    lacking = signs * pe
    if some(dsp):
        rows = shared(pe, simd, weight_bits, act_bits, flat, family)
        asked = dsp * (1 - flat * large)
        soft = lanes * (1 - asked)
        refused = asked * (1 - large) * rows.single
        hard = asked * rows.multipliers - refused
        single = (asked * rows.single - refused) / simd
        lacking = lacking + asked * rows.lacking
        word_bits = asked * (rows.word_bits - refused * (weight_bits + act_bits))
        tree_first, tree_hard = rows.first, rows.rest
        tree_hard_registers = rows.registers
    fixed = flag(words <= 1)
    block = k["block"] * (1 - fixed) if some(k["block"]) else 0.0
    vector, rom_bits = simd * act_bits, lanes * weight_bits

    replay = flag(nf > 1)
    buffer = where(sf <= 2, 2 * sf, where(sf <= 16, 16.0, pow2(clog2(sf))))
    block_buffer = replay * flag(buffer >= 128) * flag(buffer * vector >= 4096)
    extra = most(block_buffer, block)

    product = weight_bits + act_bits
    if some(signs):
        # An activation or its inverse, and the bit that the inverse lacks, which the tree adds.
        product = where(signs > 0, act_bits + 2, product)
    in_luts: Number = 0.0
    in_registers: Number = 0.0
    if some(soft):
        cells = product_cells(family, weight_bits, act_bits, signed, 0.0)
        made = where(signs > 0, act_bits, cells[0]), where(signs > 0, act_bits + 1, cells[1])
        in_luts = where(soft > 0, soft * made[0], 0.0)
        in_registers = where(soft > 0, soft * made[1], 0.0)
    refused_luts: Number = 0.0
    refused_registers: Number = 0.0
    if some(refused):
        cells = product_cells(family, weight_bits, act_bits, signed, 1.0)
        refused_luts = where(refused > 0, refused * cells[0], 0.0)
        refused_registers = where(refused > 0, refused * cells[1], 0.0)
    varying, constant, active, kept = _content(weight_bits, words, pe)
    # Digits of two bits: W/2 + A/2 - 1 diagonals.
    diagonals = _half(weight_bits) + _half(act_bits) - 1
    multiply = where(dsp + signs > 0, 1.0, most(1.0, clog2(diagonals)))
    levels = clog2(simd)
    # Products that are always 0 are not added; hard multipliers are kept even of those.
    terms = where(dsp > 0, simd, simd * active)
    added, added_up, registered, registered_up = tree(terms, family)
    tree_luts = pe * (added * product + added_up)
    tree_registers = pe * (registered * product + registered_up)
    # What multipliers with adders and registers of their own can take in: the first sum behind
    # them (of a single lane the accumulator), and the registers of the weights.
    inside = least(hard, 1.0)
    outside = 1 - inside
    # Counters of folds and words, and the three positions in a vector that is kept.
    control = clog2(sf) + clog2(nf) + clog2(words) + replay * 3 * (clog2(buffer) + 1)
    several = flag(sf > 1)
    accumulators_inside = single * flag(simd <= 1) * several
    accumulators = pe * several - accumulators_inside
    sum_luts, with_carry = carry(k["acc_bits"], family), carry(k["acc_bits"] + 1, family)
    # Rows that lack a carry: a bit more to accumulate, and an addition where nothing accumulates.
    lacking_luts = lacking * (with_carry - several * sum_luts)
    stored = (1 - block) * distinct(rom_bits, words)
    further = further_luts(words, family)
    blocks_of_weights, between = block, block
    grouped, groups = 0.0 * block, 0.0 * block
    if some(block):
        # Columns that are constant are no part of a memory.
        changing = ceil(rom_bits * kept)
        blocks_of_weights, between = block_ram(words, changing, family, constant=True)
        grouped, groups = groups_of_banks(between, changing)
    # Of several banks all are registered, and what is chosen once more, a cycle later.
    chosen = block * flag(between > 0)
    in_banks = chosen * (between + rom_bits)
    grouped, groups = block * grouped, block * groups
    # Multipliers, far from block RAM, have a register before them.
    again = k["dsp"] * extra * (1 - chosen)
    third = most(chosen, again) + grouped
    # Activations wait, in three registers or more: a shift register where a LUT can be one.
    shifted = float(family.shift_registers) * chosen * (1 - dsp) * (1 - block_buffer) * vector
    lut = {
        "control": control,
        "products": varying * in_luts,
        "constant": constant * in_luts,
        "tree": outside * tree_luts,
        "tree_first": inside * tree_first,
        "tree_hard": inside * tree_hard,
        # Too small for the multiplier the tool would take: its own multiplier in LUTs.
        "refused": refused_luts,
        "accumulate": accumulators * sum_luts + lacking_luts,
        "accumulate_hard": accumulators_inside * sum_luts,
        "rom": flag(words > FEW_WORDS) * stored,
        "rom_mux": (1 - block) * rom_bits * further,
        "block_mux": block * between,
        "shifted": shifted,
        "replay": (replay - block_buffer) * lut_ram(buffer, vector, family),
    }
    weights_ahead = extra * (1 - fixed) * rom_bits
    operands = (extra + third) * vector + (1 + again) * weights_ahead
    ff = {
        "control": control,
        "latency": 2 * (1 + extra + third + multiply + levels),
        "products": varying * in_registers + refused_registers,
        "constant": constant * in_registers,
        "products_hard": word_bits,
        "tree": outside * tree_registers,
        "tree_hard": inside * tree_hard_registers,
        "accumulate": (accumulators + pe) * k["acc_bits"],
        "accumulate_hard": accumulators_inside * k["acc_bits"],
        "rom": (1 - fixed) * stored,
        "vector": (1 - block_buffer) * vector - shifted,
        "extra": outside * operands - (2 + grouped) * shifted + in_banks + groups * rom_bits,
        "extra_hard": inside * operands,
    }
    bram = block * blocks_of_weights
    if some(block_buffer):
        bram = bram + block_buffer * blocks(buffer, vector, family)
    taken: Terms | None = None
    if family.output_registers:
        # What comes from one block goes straight to the register behind it.
        straight = block * flag(between <= 0) * weights_ahead + block_buffer * vector
        # More than two are chosen among by several LUTs: too far from a multiplier.
        last = where(grouped > 0, (groups - 1) * rom_bits, between)
        ahead = (1 - flag(last > rom_bits)) * (extra * vector + weights_ahead)
        near = inside * (1 - extra)
        taken = {
            "products_hard": word_bits,
            "vector": near * vector,
            "rom": near * (1 - fixed) * stored,
            "extra": outside * straight + in_banks,
            "extra_hard": inside * (straight + ahead),
        }
    return Basis(lut, ff, dsp=hard, bram=bram, inside=taken)


def _half(bits: Number) -> Number:
    """Digits of two bits in a word: half of its bits, rounded up."""
    return ceil(bits / 2)


def product_cells(
    family: Family, weight_bits: Number, act_bits: Number, signed: Number, hard: Number
) -> tuple[Number, ...]:
    """LUTs and registers of one product, as measured (`products`); NaN of activations too wide."""
    if any(isinstance(each, np.ndarray) for each in (weight_bits, act_bits, signed, hard)):
        index = ((np.asarray(weight_bits) * 9 + act_bits) * 2 + signed) * 2 + hard
        cells = index.astype(np.intp)
        if some(act_bits > MOST_BITS):
            cells = np.where(act_bits > MOST_BITS, 0, cells)  # of no width: unknown
        return tuple(column.take(cells) for column in _products(family.name))
    if act_bits > MOST_BITS:
        return nan, nan
    rows = product_list(family.name)
    return rows[int(weight_bits)][int(act_bits)][int(signed)][int(hard)][:2]


@cache
def _products(family: str) -> tuple[NDArray[np.float64], ...]:
    luts, registers, _ = product_table(family).reshape(-1, 3).T.copy()
    return luts, registers


def _content(weight_bits: Number, words: Number, pe: Number) -> tuple[Number, ...]:
    """What a unit of few words leaves of its products, as shares (see `_contents`)."""
    words, pe = least(words, MANY_WORDS), least(pe, MANY_ROWS)
    index = (weight_bits * (MANY_WORDS + 1) + words) * (MANY_ROWS + 1) + pe
    if isinstance(index, np.ndarray):
        cells = index.astype(np.intp)
        return tuple(column.take(cells) for column in _contents())
    return tuple(float(column[int(index)]) for column in _contents())


@cache
def _contents() -> tuple[NDArray[np.float64], ...]:
    """Shares by [weight bits, words, rows]: products that vary, are constant, are active; bits.

    A product whose weight is 0 in every word is not there, and of rows whose weights agree in every
    word only one is: what is left is the sum of the first two shares, split by how many of the
    weight's bits change from word to word. Active is the share of lanes with a weight other than 0,
    the last the share of a weight's bits that are not the same in all words.
    """
    shape = (MOST_BITS + 1, MANY_WORDS + 1, MANY_ROWS + 1)
    varying, constant, active = np.ones(shape), np.zeros(shape), np.ones(shape)
    kept = np.ones(shape)
    words, rows = np.arange(MANY_WORDS)[:, None], np.arange(1.0, MANY_ROWS + 1)
    for bits in range(1, MOST_BITS + 1):
        values, chances = _weights(bits)
        chances_of_bits = [chances[(values >> bit) & 1 == 1].sum() for bit in range(bits)]
        changing = np.mean([1 - one**words - (1 - one) ** words for one in chances_of_bits], axis=0)
        there = 1 - chances[values == 0].sum() ** words
        # Rows draw from as many columns of weights as their entropy tells.
        kinds = np.minimum(exp(-(chances * np.log(chances)).sum()) ** np.maximum(words, 1), 1e9)
        apart = -kinds * np.expm1(rows * np.log1p(-1 / kinds)) / rows
        kept[bits, :-1, :] = changing
        changing = np.clip(changing, 0.0, there)
        varying[bits, :-1, 1:] = changing * apart
        constant[bits, :-1, 1:] = (there - changing) * apart
        active[bits, :-1, 1:] = there
    return varying.ravel(), constant.ravel(), active.ravel(), kept.ravel()


def _weights(bits: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Weights of a width as they are stored, and how likely each is; of 1 bit, their signs."""
    if bits == 1:
        return np.array([-1, -2]), np.array([0.5, 0.5])
    limit = 2 ** (bits - 1) - 1
    values = np.arange(-limit, limit + 1)
    ends = np.array([-np.inf, *(values[:-1] + 0.5), np.inf]) * WEIGHT_SPREAD / limit
    below = np.array([0.5 * (1 + erf(end / sqrt(2))) for end in ends])
    return values, np.diff(below)
