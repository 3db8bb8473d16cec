"""FIFO sizing against made-up designs whose least depths are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes._fifo_sizing import least_depths


def design(needs: list[int], calls: list[int]) -> Callable[[tuple[int, ...]], int | None]:
    """Interval 100 when every FIFO is deep enough, longer by 10 for each that is not."""

    def measure(depths: tuple[int, ...]) -> int | None:
        calls.append(1)
        return 100 + 10 * sum(d < need for d, need in zip(depths, needs, strict=True))

    return measure


@given(st.lists(st.integers(1, 512), min_size=1, max_size=12))
def test_least_power_of_two_for_each(needs: list[int]) -> None:
    calls: list[int] = []
    depths = least_depths(design(needs, calls), [8] * len(needs), 512)
    assert depths == tuple(max(2, 1 << (need - 1).bit_length()) for need in needs)
    assert len(calls) <= 6 + 4 * len(needs)


def test_nothing_to_shrink_takes_few_measurements() -> None:
    calls: list[int] = []
    assert least_depths(design([2] * 30, calls), [1] * 30, 1024) == (2,) * 30
    assert len(calls) <= 5


def test_deadlock_is_no_fit() -> None:
    def measure(depths: tuple[int, ...]) -> int | None:
        return 50 if depths[0] >= 16 else None

    assert least_depths(measure, [4, 4], 64) == (16, 2)


def test_deadlock_with_any_depth() -> None:
    with pytest.raises(RuntimeError, match="deadlock with FIFOs of 64 words"):
        least_depths(lambda _: None, [4], 64)
