"""What contents of tables cost, counted again by hand and by recursion."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from hw_targets.cost import estimate
from hw_targets.rtl.table import Table
from hw_targets.rtl.table_logic import TableLogic, rescaled, table_logic, usual_table_logic


def test_what_passes_through_costs_nothing() -> None:
    assert astuple(table_logic(np.arange(256), 8)) == (0, 0, 0, 0, 0, 0)
    assert astuple(table_logic(np.full(64, 5), 3)) == (0, 0, 0, 0, 0, 0)
    assert astuple(table_logic(255 - np.arange(256), 8)) == (0, 0, 0, 0, 0, 0)


def test_a_parity_is_one_leaf_and_a_multiplexer_a_level_and_sign() -> None:
    parity = np.array([bin(x).count("1") & 1 for x in range(64)])
    assert table_logic(parity, 1) == TableLogic(1, 2, 1, 1, 0, 0)
    # Another bit of the same function is the same logic.
    assert table_logic(3 * parity, 2) == TableLogic(1, 2, 1, 1, 0, 0)


def test_constant_halves_become_resets() -> None:
    # Above 15 the result is 0: of 32 words those are a half, and what is left is a leaf.
    parity = np.array([0, 1, 1, 0, 1, 0, 0, 1] * 2) ^ np.repeat([0, 1], 8)
    found = table_logic(np.append(parity, np.zeros(16, np.int64)), 1)
    assert (found.leaves_6, found.resets_6) == (1, 1)
    few = table_logic(np.array([0, 1, 1, 0, 0, 0, 0, 0]), 1)
    assert (few.leaves_6, few.resets_6) == (1, 0)


@pytest.mark.parametrize("seed", range(8))
def test_leaves_and_multiplexers_are_those_of_a_tree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    in_bits, out_bits = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    words = np.sort(rng.integers(0, 1 << out_bits, 1 << in_bits))
    leaves: set[tuple[int, ...]] = set()
    muxes: list[set[tuple[int, ...]]] = [set() for _ in range(9)]

    def walk(part: tuple[int, ...]) -> None:
        if len(set(part)) == 1:
            return
        half = len(part) // 2
        if len(part) > 16:
            if part[:half] != part[half:] and len(set(part[:half])) + len(set(part[half:])) > 2:
                muxes[len(part).bit_length() - 6].add(part)
            walk(part[:half])
            walk(part[half:])
            return
        inverse = tuple(1 - bit for bit in part)
        inputs = [tuple(at >> bit & 1 for at in range(len(part))) for bit in range(4)]
        if part not in inputs and inverse not in inputs:
            leaves.add(min(part, inverse))

    for bit in range(out_bits):
        walk(tuple(int(word) >> bit & 1 for word in words))
    found = table_logic(words, out_bits)
    counts = len(leaves), len(muxes[0]), sum(map(len, muxes[1:]))
    assert (found.leaves_4, found.near_4, found.far_4) == counts


def test_contents_that_are_known_are_priced_as_they_are() -> None:
    form = 8, False, 8, False
    kernel = Table(*form, 16, 64)
    assert kernel.content == usual_table_logic(*form)
    plain = Table(*form, 16, 64, table_logic(np.arange(256), 8))
    steep = Table(*form, 16, 64, table_logic(rescaled(*form, 0.8), 8))
    costs = [estimate(one, "ecp5").lut for one in (plain, kernel, steep)]
    assert costs[0] < 10 < costs[1]
    assert costs[0] < costs[2] != costs[1]
    # Hardware is the same: what is built goes by name and sizes alone.
    assert repr(plain) == repr(kernel)
