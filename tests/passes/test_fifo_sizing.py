"""FIFO sizing against made-up designs whose least depths are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes._fifo_sizing import Measure, Measured, Sizing, least_depths


def design(needs: list[int], calls: list[int]) -> Measure:
    """Interval 100 when every FIFO is deep enough, longer by 10 for each that is not."""

    def measure(depths: tuple[int, ...], paced: bool) -> Measured | None:
        calls.append(1)
        late = sum(d < need for d, need in zip(depths, needs, strict=True))
        # Wide open they hold more than they need.
        return Measured(100 + 10 * late, tuple(2 * need for need in needs))

    return measure


@given(st.lists(st.integers(1, 512), min_size=1, max_size=12))
def test_least_power_of_two_for_each(needs: list[int]) -> None:
    calls: list[int] = []
    depths = least_depths(design(needs, calls), [8] * len(needs), [512] * len(needs)).depths
    assert depths == tuple(max(2, 1 << (need - 1).bit_length()) for need in needs)
    assert len(calls) <= 10 + 6 * len(needs)


@given(st.lists(st.tuples(st.integers(1, 512), st.integers(1, 512)), min_size=1, max_size=12))
def test_whatever_is_expected_and_grouped_the_least_is_found(both: list[tuple[int, int]]) -> None:
    needs, expected = [need for need, _ in both], [guess for _, guess in both]
    every = range(len(needs))
    groups = [every[::2], every[1::2]]
    depths = least_depths(
        design(needs, []),
        [8] * len(needs),
        [512] * len(needs),
        expected=expected,
        groups=groups,
    ).depths
    assert depths == tuple(max(2, 1 << (need - 1).bit_length()) for need in needs)


def test_what_is_expected_spares_simulations() -> None:
    needs = ([2] * 6 + [100]) * 6

    def simulated(expected: list[int] | None) -> int:
        calls: list[int] = []
        inner = design(needs, calls)

        def measure(depths: tuple[int, ...], paced: bool) -> Measured | None:
            found = inner(depths, paced)
            return Measured(found.interval, (200,) * len(needs)) if found else None

        least_depths(measure, [8] * len(needs), [4096] * len(needs), expected=expected)
        return len(calls)

    assert 3 * simulated(needs) < simulated(None)


def test_nothing_to_shrink_takes_few_measurements() -> None:
    calls: list[int] = []
    assert least_depths(design([2] * 30, calls), [1] * 30, [1024] * 30).depths == (2,) * 30
    assert len(calls) <= 5


def test_the_most_bits_are_saved_with_few_simulations() -> None:
    needs, calls = [2, *[64] * 20], [0]
    depths = least_depths(
        design(needs, calls), [500, *[8] * 20], [4096, *[128] * 20], simulations=8
    ).depths
    assert depths[0] == 2
    assert len(calls) <= 11


def test_deadlock_is_no_fit() -> None:
    def measure(depths: tuple[int, ...], paced: bool) -> Measured | None:
        return Measured(50, (60, 60)) if depths[0] >= 16 else None

    found = least_depths(measure, [4, 4], [64, 64])
    assert found == Sizing((16, 2), (60, 60))


def test_frames_that_come_faster_may_need_more_than_paced_ones() -> None:
    def measure(depths: tuple[int, ...], paced: bool) -> Measured | None:
        return Measured(100 if paced or depths[0] >= 32 else 200, (3,))

    assert least_depths(measure, [4], [64]).depths == (32,)


def test_deadlock_with_any_depth() -> None:
    with pytest.raises(RuntimeError, match="deadlock with FIFOs of 64 words"):
        least_depths(lambda *_: None, [4], [64])
