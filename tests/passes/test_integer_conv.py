"""Convolutions that sum integers compute what PyTorch's in float64 do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from passes._integer_conv import MOST, IntegerConv, fits


def on_a_grid(
    layer: nn.Conv2d, seed: int
) -> tuple[IntegerConv, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The convolution, an input on its grid, and weight and bias as floats, all float64."""
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(-127, 128, layer.weight.shape, generator=generator)
    scales = torch.rand(len(integers), 1, 1, 1, generator=generator).double() + 0.01
    x = torch.randint(0, 256, (2, layer.in_channels, 9, 7), generator=generator).double() * 0.03
    bias = torch.randn(len(integers), generator=generator).double()
    return IntegerConv(layer, integers, 0.03, 0.03 * scales), x, integers * scales, bias


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 6, 3, padding=1),
        nn.Conv2d(6, 4, (3, 1), stride=2, padding=(1, 0), groups=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
    ],
)
def test_sums_are_those_of_float64(layer: nn.Conv2d) -> None:
    convolve, x, weight, bias = on_a_grid(layer, 1)
    expected = nn.Conv2d._conv_forward(layer, x, weight, bias)  # type: ignore[arg-type]
    torch.testing.assert_close(convolve(x, weight, bias), expected, rtol=0, atol=1e-10)


def test_inputs_off_the_grid_are_refused() -> None:
    convolve, x, weight, bias = on_a_grid(nn.Conv2d(5, 6, 3), 2)
    with pytest.raises(ValueError, match="off the integer grid"):
        convolve(x + 0.01, weight, bias)


def test_sums_that_float32_would_round_do_not_fit() -> None:
    weight = torch.ones(1, MOST // 255, 1, 1, dtype=torch.int64)
    assert fits(weight, 255)
    assert not fits(torch.cat([weight, weight[:, :1]], 1), 255)
    assert not fits(-2 * weight, 255)
