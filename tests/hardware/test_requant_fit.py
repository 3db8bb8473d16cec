"""Constants of requantization against thresholds, for every accumulator of small ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hw_targets.rtl import requant
from hw_targets.rtl.kernel import IntArray
from hw_targets.rtl.requant import MOST_MULT_BITS, MOST_SHIFT, Fit, Requant, fit, fit_steps

Problem = tuple[np.ndarray, np.ndarray, int, int, int, int]
CHANNELS = 3


def settled(rng: np.random.Generator, acc_bits: int, acc_signed: bool, out_bits: int) -> Problem:
    """Steps and biases in units of the output, thresholds clear of integers as `settle` has them.

    The outputs cover from a part to a multiple of the accumulators.
    """
    low = -(1 << (acc_bits - 1)) if acc_signed else 0
    high = low + (1 << acc_bits) - 1
    signed = bool(rng.integers(2))
    least = -(1 << (out_bits - 1)) if signed else 0
    most = least + (1 << out_bits) - 1
    step = (most - least) / 2.0**acc_bits * 2.0 ** rng.uniform(-1.5, 4.0, CHANNELS)
    edges = (np.arange(least + 1, most + 1) - 0.5) / step[:, None]
    bias = rng.normal(0.0, 0.3 * (most - least), CHANNELS)
    for channel, row in enumerate(edges):
        clearance = 1.0 / (8 * len(row))
        while True:
            parts = np.mod(row - bias[channel] / step[channel], 1.0)
            if (np.minimum(parts, 1.0 - parts) >= clearance).all():
                break
            bias[channel] += rng.uniform(-1.0, 1.0) * step[channel]
    return step, bias, least, most, low, high


def counts(problem: Problem) -> IntArray:
    """(channels, accumulators), straight from the rule."""
    step, bias, least, most, low, high = problem
    thresholds = np.ceil(((np.arange(least + 1, most + 1) - 0.5) - bias[:, None]) / step[:, None])
    accumulators = np.arange(low, high + 1)
    reached = accumulators[None, :, None] >= thresholds[:, None, :]
    return np.asarray(least + reached.sum(axis=2), dtype=np.int64)


def fitted(problem: Problem) -> Fit | None:
    step, bias, *limits = problem
    return fit(step, bias, 1.0, *limits)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    acc_bits=st.integers(3, 11),
    acc_signed=st.booleans(),
    out_bits=st.integers(1, 8),
)
def test_every_accumulator_gives_what_thresholds_give(
    seed: int, acc_bits: int, acc_signed: bool, out_bits: int
) -> None:
    problem = settled(np.random.default_rng(seed), acc_bits, acc_signed, out_bits)
    found = fitted(problem)
    assume(found is not None)
    assert found is not None
    assert 0 <= found.shift <= MOST_SHIFT
    assert found.mult.max() < 1 << (MOST_MULT_BITS - 1)
    _, _, least, most, low, high = problem
    lines = (np.arange(low, high + 1) * found.mult[:, None] + found.add[:, None]) >> found.shift
    np.testing.assert_array_equal(np.clip(lines, least, most), counts(problem))


def test_the_kernel_computes_it() -> None:
    problem = settled(np.random.default_rng(3), 9, True, 4)
    found = fitted(problem)
    assert found is not None
    kernel = Requant(CHANNELS, 1, 512, 9, True, 4, problem[2] < 0, 18, 40, found.shift)
    accumulators = np.repeat(np.arange(-256, 256), CHANNELS)[None]
    got = kernel.reference(accumulators, {"mult": found.mult, "add": found.add})
    np.testing.assert_array_equal(got.reshape(512, CHANNELS).T, counts(problem))


def test_steps_ask_for_the_fewest_bits() -> None:
    """Thresholds of a large layer: exact, and no less wide multiplier is."""
    rng = np.random.default_rng(5)
    spans = 2.0 ** (15 - rng.uniform(2, 4, 64))
    edges = (np.arange(-127, 128) - 0.5 - rng.normal(0, 40, (64, 1))) / (255 / spans[:, None])
    steps = np.ceil(edges).astype(np.int64)
    low, high = -(1 << 15), (1 << 15) - 1
    found = fit_steps(steps, -128, 127, low, high)
    assert found is not None
    accumulators = np.arange(low, high + 1)
    for channel, row in enumerate(steps):
        lines = (accumulators * found.mult[channel] + found.add[channel]) >> found.shift
        wanted = np.searchsorted(row, accumulators, "right") - 128
        np.testing.assert_array_equal(np.clip(lines, -128, 127), wanted)
    limit = int(found.mult.max()).bit_length()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requant, "MOST_MULT_BITS", limit)
        assert fit_steps(steps, -128, 127, low, high) is None


def test_steps_beyond_the_range_ask_for_nothing() -> None:
    steps = np.array([[-900, -800, 3], [5, 7000, 8000], [-70, -60, -50], [70, 80, 90]])
    found = fit_steps(steps, 0, 3, -8, 7)
    assert found is not None
    lines = (np.arange(-8, 8) * found.mult[:, None] + found.add[:, None]) >> found.shift
    wanted = (np.arange(-8, 8)[:, None] >= steps[:, None]).sum(axis=2)
    np.testing.assert_array_equal(np.clip(lines, 0, 3), wanted)


def test_none_where_products_are_no_machine_words() -> None:
    steps = np.ceil((np.arange(1, 256) - 0.5) * 64.37).astype(np.int64)[None]
    assert fit_steps(steps, 0, 255, -(1 << 20), (1 << 20) - 1) is not None
    assert fit_steps(steps, 0, 255, -(1 << 52), (1 << 52) - 1) is None


def test_words_hold_constants_wider_than_a_machine_word() -> None:
    kernel = Requant(2, 1, 1, 20, True, 8, True, 25, 48, 40)
    mult, add = np.array([3, -(1 << 24)]), np.array([-(1 << 47), (1 << 47) - 1])
    (words,) = kernel.memories({"mult": mult, "add": add}).values()
    assert [int(word, 16) for word in words] == [
        (1 << 47 << 25) + 3,
        (((1 << 47) - 1) << 25) + (1 << 24),
    ]


def test_none_only_where_no_multiplier_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requant, "MOST_MULT_BITS", 5)
    monkeypatch.setattr(requant, "MOST_SHIFT", 9)
    found = 0
    for seed in range(60):
        problem = settled(np.random.default_rng(seed), 6, True, 3)
        fits = fitted(problem)
        assert (fits is not None) == _some_fit(problem)
        found += fits is not None
    assert 0 < found < 60


def _some_fit(problem: Problem) -> bool:
    """Whether any shift and multipliers do, by trying all of them and all that is to be added."""
    _, _, least, most, low, high = problem
    wanted = counts(problem)
    accumulators = np.arange(low, high + 1)
    for shift in range(10):
        bottom = np.where(wanted > least, wanted << shift, -(1 << 40))
        top = np.where(wanted < most, ((wanted + 1) << shift) - 1, 1 << 40)
        mults = np.arange(16)[:, None, None]
        add_low = (bottom - accumulators * mults).max(axis=2)
        add_high = (top - accumulators * mults).min(axis=2)
        if (add_low <= add_high).any(axis=0).all():
            return True
    return False
