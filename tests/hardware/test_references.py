"""The integer models against torch, which knows nothing of folding and beats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hw_targets.rtl.kernel import IntArray
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold


def channels_last(images: torch.Tensor) -> IntArray:
    """(n, c, h, w) to (n, h * w * c)."""
    return images.permute(0, 2, 3, 1).reshape(len(images), -1).to(torch.int64).numpy()


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
def test_pad_swu_and_mvu_are_a_convolution(
    stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    images = torch.randint(-8, 8, (2, 4, 7, 8)).double()
    weights = torch.randint(-4, 4, (6, 4, 3, 2)).double()
    expected = F.conv2d(images, weights, stride=stride, padding=padding)

    (top, left), (height, width) = padding, (7 + 2 * padding[0], 8 + 2 * padding[1])
    pad = Pad(7, 8, 4, top, left, top, left, 2, 4, True)
    swu = Swu(height, width, 4, 3, 2, *stride, 2, 4, True)
    mvu = Mvu(24, 6, 4, 3, swu.out_h * swu.out_w, 3, 4, True)
    matrix = weights.permute(0, 2, 3, 1).reshape(6, -1).to(torch.int64).numpy()
    windows = swu.reference(pad.reference(channels_last(images), {}), {})
    outputs = mvu.reference(windows, {"weights": matrix})

    assert (swu.out_h, swu.out_w) == expected.shape[2:]
    np.testing.assert_array_equal(outputs, channels_last(expected))


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (2, 3)])
def test_windows_and_mvu_are_a_dilated_convolution(dilation: tuple[int, int]) -> None:
    torch.manual_seed(0)
    images = torch.randint(-8, 8, (2, 4, 7, 8)).double()
    weights = torch.randint(-4, 4, (6, 4, 3, 2)).double()
    expected = F.conv2d(images, weights, stride=(2, 1), dilation=dilation)

    swu = Swu(7, 8, 4, 3, 2, 2, 1, 2, 4, True, *dilation)
    parallel = ParallelWindow(7, 8, 4, 3, 2, 2, 1, *dilation, 3, 4, True)
    mvu = Mvu(24, 6, 4, 3, swu.out_h * swu.out_w, 3, 4, True)
    matrix = weights.permute(0, 2, 3, 1).reshape(6, -1).to(torch.int64).numpy()
    for window in (swu, parallel):
        assert (window.out_h, window.out_w) == expected.shape[2:]
        windows = window.reference(channels_last(images), {})
        outputs = mvu.reference(windows, {"weights": matrix})
        np.testing.assert_array_equal(outputs, channels_last(expected))


@pytest.mark.parametrize("side", [1, 2, 3])
def test_maxpool_is_torchs(side: int) -> None:
    images = torch.randint(-8, 8, (2, 5, 7, 8), generator=torch.Generator().manual_seed(1)).double()
    pool = MaxPool(7, 8, 5, side, 1, 4, True)
    np.testing.assert_array_equal(
        pool.reference(channels_last(images), {}), channels_last(F.max_pool2d(images, side))
    )


def test_threshold_counts_thresholds_reached() -> None:
    rng = np.random.default_rng(2)
    steps = np.sort(rng.integers(-40, 40, (3, 7)), axis=1)
    values = rng.integers(-32, 32, (4, 15))
    unit = Threshold(3, 1, 5, 6, True, 3, True, -4)
    counts = (values.reshape(4, 5, 3)[..., np.newaxis] >= steps).sum(axis=-1).reshape(4, 15)
    np.testing.assert_array_equal(unit.reference(values, {"thresholds": steps}), counts - 4)


@pytest.mark.parametrize("signed", [False, True])
def test_accumulator_holds_the_extremes_and_not_a_bit_more(signed: bool) -> None:
    for mw in (1, 3, 9, 128):
        for weight_bits in (2, 4, 8):
            unit = Mvu(mw, 1, 1, 1, 1, weight_bits, 4, signed)
            low, high = -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
            acts = (-8, 7) if signed else (0, 15)
            sums = [mw * w * a for w in (low, high) for a in acts]
            limit = 1 << (unit.acc_bits - 1)
            assert -limit <= min(sums)
            assert max(sums) < limit
            assert min(sums) < -limit // 2 or max(sums) >= limit // 2
