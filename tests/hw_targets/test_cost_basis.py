"""Terms of the basis: closed forms against the structures that they count."""

from __future__ import annotations

import itertools
from dataclasses import asdict

import numpy as np
import pytest

from hw_targets.cost.basis import BASES
from hw_targets.cost.basis.logits import _maxima
from hw_targets.cost.basis.mvu import MANY_WORDS, _content
from hw_targets.cost.basis.terms import block_ram, comparison, distinct
from hw_targets.cost.basis.threshold import columns
from hw_targets.cost.basis.trees import shared, tree
from hw_targets.families import load_family
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.rom import BLOCK_ROM_BITS, banks
from hw_targets.rtl.table_logic import usual_table_logic

FAMILIES = ("ecp5", "xc7")


@pytest.mark.parametrize(("folds", "stages"), itertools.product((1, 2, 3, 8, 24, 64), (1, 2, 4, 8)))
def test_stages_of_a_search_are_counted_together(folds: int, stages: int) -> None:
    bits, pe = 11, 2
    fields = {"pe": pe, "folds": folds, "in_bits": bits, "out_bits": stages}
    family = load_family("ecp5")
    basis = BASES["Threshold"]({name: float(v) for name, v in fields.items()}, family)
    depths = [folds << stage for stage in range(stages)]
    block = [depth * (bits + 1) >= BLOCK_ROM_BITS for depth in depths]
    read = [int(depth > 32) for depth in depths]
    waits = [one + kept for one, kept in zip(read, block, strict=True)]
    assert basis.ff["stages"] == stages + sum(waits)
    differing = columns(bits, stages)
    in_block = [depth for depth, kept in zip(depths, block, strict=True) if kept]
    rams = [block_ram(float(depth), float(bits), family, constant=True) for depth in in_block]
    assert basis.ff["read"] == pe * (differing * sum(read) + sum(muxed for _, muxed in rams))
    assert [muxed / bits + 1 for _, muxed in rams] == [banks(depth, bits) for depth in in_block]
    values = bits * (stages - 1 + sum(waits))
    prefixes = sum(stage + 1 + stage * waits[stage] for stage in range(stages))
    assert basis.ff["lanes"] == pe * (values + prefixes)
    # AMD's LUTs take what waits three registers from one comparison to the next.
    amd = BASES["Threshold"]({name: float(v) for name, v in fields.items()}, load_family("xc7"))
    late = [stage for stage in range(stages) if block[stage]]
    fold = (folds - 1).bit_length()
    bound = sum(pe * (stage + bits * (stage > 0)) + fold * (stage < stages - 1) for stage in late)
    assert basis.lut["shifted"] == 0
    assert amd.lut["shifted"] == bound
    assert sum(basis.ff.values()) - sum(amd.ff.values()) == pytest.approx(3 * bound)
    # Memories behind the first stage that fit a LUT a bit, and the words of the others.
    later = [(depth, kept) for depth, kept in zip(depths, block, strict=True)][1:]
    narrow = basis.lut["small"] + basis.lut["shallow"]
    assert narrow == pe * differing * sum(depth <= 16 for depth, _ in later)
    stored = [(stage, depth) for stage, depth in enumerate(depths) if not block[stage]]
    rom = sum(depth * (differing - max(stage - 4, 0)) for stage, depth in stored if depth > 16)
    assert basis.lut["rom"] == pe / 16 * rom
    wide = sum(depth * (differing - max(stage - 6, 0)) for stage, depth in stored if depth > 64)
    assert amd.lut["rom"] == pe / 64 * wide
    # The first stage's, where its address no longer comes a clock cycle ahead.
    tables = sum(depth <= 64 for _, depth in stored[1:]) + (16 < folds <= 64)
    assert amd.lut["small"] + amd.lut["shallow"] == pe * differing * tables
    compared = stages * comparison(bits, family) + sum(between for _, between in rams)
    assert basis.lut["compare"] == pe * compared
    assert basis.bram == pe * sum(count for count, _ in rams)


def test_thresholds_need_fewer_columns_than_sums_have_bits() -> None:
    for stages in range(1, 9):
        found = [columns(float(bits), float(stages)) for bits in range(1, 33)]
        assert (np.diff(found) >= 0).all()
        assert all(stages < many <= bits for bits, many in enumerate(found, 1) if bits > stages)
        assert found[-1] == 28
    # Nor does a stage more, a lane or a bit make the memories any smaller.
    fields = {"pe": 2.0, "folds": 3.0, "in_bits": 12.0, "out_bits": 4.0}
    for name, family in itertools.product(("pe", "in_bits", "out_bits"), FAMILIES):
        swept = np.arange(1.0, 9.0)
        constant = {key: np.full(swept.shape, value) for key, value in fields.items()}
        lut = BASES["Threshold"]({**constant, name: swept}, load_family(family)).lut
        narrow = lut["small"] + lut["shallow"]
        for memory in (narrow, lut["rom"]):
            assert (np.diff(memory) >= 0).all(), name


def test_lanes_are_compared_in_atree() -> None:
    for levels in range(1, 8):
        lanes = 2.0**levels
        compared, registered, _ = _maxima(lanes)
        assert compared == registered == lanes - 1
    # The last of three lanes waits for the others.
    assert _maxima(3.0)[:2] == (2.0, 3.0)
    columns = np.stack(_maxima(np.arange(1.0, 40.0)))
    assert columns.T.tolist() == [list(_maxima(float(lanes))) for lanes in range(1, 40)]


def test_sums_of_a_tree_take_a_lut_more_in_carry_pairs() -> None:
    xc7, ecp5 = load_family("xc7"), load_family("ecp5")
    # Four terms of 8 bits: two sums of 9 bits, one of 10.
    added, more, registered, grown = tree(4.0, xc7)
    assert added * 8 + more == registered * 8 + grown == 28
    added, more, *_ = tree(4.0, ecp5)
    assert added * 8 + more == 31


def _adders(terms: int, bits: int, levels: int) -> tuple[list[int], int]:
    """Bits added at each of so many levels of a tree, and its nodes after them."""
    added = []
    for level in range(1, levels + 1):
        added.append(terms // 2 * (bits + level))
        terms = -(-terms // 2)
    return added, terms


@pytest.mark.parametrize(
    ("pe", "simd", "weight_bits", "act_bits"),
    [(2, 8, 4, 4), (5, 4, 2, 2), (5, 3, 3, 3), (4, 6, 6, 6), (3, 5, 8, 8), (1, 4, 4, 4)],
)
def test_rows_that_share_multipliers_are_counted_as_they_are_built(
    pe: int, simd: int, weight_bits: int, act_bits: int
) -> None:
    family = load_family("xc7")
    kernel = Mvu(simd, pe, simd, pe, 1, weight_bits, act_bits, False, "dsp", multiplier_bits=25)
    found = shared(float(pe), float(simd), float(weight_bits), float(act_bits), 0.0, family)
    product, levels, rows = weight_bits + act_bits, (simd - 1).bit_length(), kernel.packed_rows
    groups = [min(rows, pe - first) for first in range(0, pe, rows)]
    assert found.multipliers == simd * len(groups)
    assert found.single == simd * groups.count(1)
    assert found.lacking == pe - len(groups)
    luts = first_level = words = 0
    for n in groups:
        # Fields as far apart as the operand has room for, but no further than sums need.
        whole = levels
        while n > 1 and (n - 1) * (product + whole) + weight_bits > 25:
            whole -= 1
        word = (n - 1) * max(product + whole, -(-(9 - product) // max(n - 1, 1))) + product
        together, left = _adders(simd, word, whole)
        apart, _ = _adders(left, product + whole, levels - whole)
        first_level += together[0] if together else 0
        luts += sum(together) + n * sum(apart) + (n - 1) * (left - 1)
        words += simd * word
    assert found.first == first_level
    assert found.first + found.rest == luts
    assert found.word_bits == words


def test_equal_columns_of_a_memory_are_one() -> None:
    family = load_family("ecp5")
    assert distinct(100.0, 2.0) == pytest.approx(2.0)
    assert distinct(100.0, 64.0) == pytest.approx(100.0, rel=1e-3)
    bits = np.arange(1.0, 200.0)
    for words in (3.0, 4.0, 8.0, 16.0):
        found = distinct(bits, words)
        assert isinstance(found, np.ndarray)
        assert (np.diff(found) >= 0).all()
        assert (found <= np.minimum(bits, 2**words - 2)).all()
    # Three banks of 512 x 36 side by side, where a memory that is written has four columns of them.
    assert block_ram(1152.0, 128.0, family) == (12, 256)
    assert block_ram(1152.0, 128.0, family, constant=True) == (11, 256)


def test_contents_of_many_words_leave_everything() -> None:
    assert _content(4.0, MANY_WORDS, 8.0) == (1.0, 0.0, 1.0, 1.0)
    for bits, pe in itertools.product((2.0, 3.0, 8.0), (1.0, 4.0, 32.0)):
        shares = [_content(bits, float(words), pe) for words in range(1, MANY_WORDS + 1)]
        varying, constant, active, kept = np.array(shares).T
        assert (np.diff(kept) >= 0).all()
        assert (np.diff(varying) >= 0).all()
        assert (np.diff(active) >= 0).all()
        assert ((varying + constant) <= active + 1e-12).all()
        if pe == 1:
            assert varying + constant == pytest.approx(active)
        # A single word never changes.
        assert varying[0] == 0
        assert constant[0] > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("in_signed", "out_signed"), [(0, 0), (1, 0), (1, 1)])
def test_tables_are_priced_by_what_differs_in_them(
    family: str, in_signed: int, out_signed: int
) -> None:
    described = load_family(family)
    signs = {"in_signed": float(in_signed), "out_signed": float(out_signed)}
    for in_bits, out_bits in itertools.product(range(2, 9), range(2, 9)):
        logic = usual_table_logic(in_bits, bool(in_signed), out_bits, bool(out_signed))
        sizes = {"lanes": 3.0, "in_bits": float(in_bits), "out_bits": float(out_bits)}
        basis = BASES["Table"]({**sizes, **signs, **asdict(logic)}, described)
        if described.lut_inputs == 4:
            terms = {"leaves": logic.leaves_4, "near": logic.near_4, "far": logic.far_4}
        else:
            terms = {"leaves": logic.leaves_6, "muxes": logic.muxes_6, "resets": logic.resets_6}
        assert basis.lut == {"const": 1.0, **{name: 3 * count for name, count in terms.items()}}
        address = in_bits - (in_signed and not out_signed)
        assert basis.ff["columns"] == 3 * min(out_bits, 2**address - 1)


def test_streams_side_by_side_are_selected_in_chained_luts() -> None:
    fields = {"most_folds": 4.0, "lanes": 2.0, "bits": 4.0}
    for family, expected in (("ecp5", (1, 2, 3, 4)), ("xc7", (1, 1, 2, 2))):
        luts = [
            BASES["Concat"]({**fields, "streams": float(streams)}, load_family(family)).lut
            for streams in (2, 3, 4, 5)
        ]
        assert tuple(terms["select"] / 8 for terms in luts) == expected
