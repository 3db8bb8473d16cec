"""Edges of quantizers against qonnx's own rounding, and biases whose fractions are ranked."""

from __future__ import annotations

import numpy as np
import pytest
from qonnx.custom_op.general.quant import quant

from hw_targets.finn_adapter.edges import ROUNDINGS, bounded, least_counts, sign_counts
from hw_targets.finn_adapter.logits import ranked

COUNTS = np.arange(-40, 41)


def rounded(values: np.ndarray, mode: str, scale: float) -> np.ndarray:
    found = quant(values, np.array(scale), np.array(0.0), np.array(3.0), True, False, mode)
    return np.rint(found / scale).astype(int)


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("step", [0.25, 0.125])
def test_every_rounding_of_qonnx(mode: str, step: float) -> None:
    """Steps that divide the scale: edges lie on integers."""
    results = np.arange(-3, 4)
    steps = least_counts(results, 0.5, np.array([step]), np.array([step]), mode)
    found = -4 + (COUNTS[:, None] >= steps[0]).sum(axis=1)
    np.testing.assert_array_equal(found, rounded(COUNTS * step + step, mode, 0.5))


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize(("floor", "ceiling"), [(0.0, None), (-0.75, 0.75), (None, 0.5)])
def test_values_held_before_they_are_rounded(
    mode: str, floor: float | None, ceiling: float | None
) -> None:
    results = np.arange(-3, 4)
    steps = least_counts(results, 0.5, np.array([0.25]), np.zeros(1), mode)
    low, high = (None if each is None else np.array([each]) for each in (floor, ceiling))
    steps = bounded(steps, results, 0.5, mode, low, high, (-40, 40))
    found = -4 + (COUNTS[:, None] >= steps[0]).sum(axis=1)
    held = np.clip(COUNTS * 0.25, floor, ceiling)
    np.testing.assert_array_equal(found, rounded(held, mode, 0.5))


def test_the_sign_of_sums_that_only_rounding_keeps_from_zero() -> None:
    step = np.array([0.1 * 0.3])
    reached, passed = sign_counts(step, -7 * step)
    assert (reached[0, 0], passed[0, 0]) == (7, 8)
    reached, passed = sign_counts(step, -7.5 * step)
    assert reached[0, 0] == passed[0, 0] == 8


def test_fractions_of_a_bias_decide_between_equal_sums() -> None:
    rng = np.random.default_rng(0)
    for counts in (rng.normal(size=5) * 3, np.array([0.5, -0.5, 2.0, 0.25]), np.array([1.0, 2.0])):
        bias, shift = ranked(counts)
        sums = rng.integers(-4, 5, (4000, len(counts)))
        np.testing.assert_array_equal(
            ((sums << shift) + bias).argmax(axis=1), (sums + counts).argmax(axis=1)
        )
    assert ranked(np.array([3.0, -2.0]))[1] == 0
