"""Integers as float32 multiples of a step."""

from __future__ import annotations

import numpy as np
import pytest

from hw_targets import grid


def test_distance() -> None:
    assert grid.distance(np.array([])) == 0.0
    assert grid.distance(np.array([3.0, -2.25, 7.9])) == 0.25


@pytest.mark.parametrize("count", [5, -(2**20) - 1, 3_000_001, 2**22 - 1])
def test_a_float32_multiple_is_on_the_grid(count: int) -> None:
    for step in np.random.default_rng(0).uniform(1e-9, 1e-3, 200):
        counts = np.array([np.float32(count * step)]).astype(np.float64) / step
        assert grid.distance(counts) <= grid.tolerance(counts)
        assert np.round(counts)[0] == count


def test_halves_are_never_on_it() -> None:
    for count in (0.5, 1e9 + 0.5):
        counts = np.array([count])
        assert grid.distance(counts) > grid.tolerance(counts)
