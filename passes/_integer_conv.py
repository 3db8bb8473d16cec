"""Convolutions of integers: summed in float32, where that is exact, and scaled in float64.

PyTorch's float64 convolution takes ten times as long. A float32 holds every integer up to 2^24, so
that sums whose terms' magnitudes add up to less come out exactly, in whatever order.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

MOST = 2**24
"""Integers up to this magnitude are exact in float32."""
OFF_GRID = 1e-6
"""How far an input may lie off its grid, in steps: products of float32 scales in float64."""


def fits(weight: Tensor, greatest: int) -> bool:
    """Is every sum of integer weights (out, ...) x inputs up to `greatest` exact in float32?"""
    return bool(greatest * weight.abs().flatten(1).sum(1).max() < MOST)


class IntegerConv:
    """What a float64 `nn.Conv2d` computes for inputs and weights on their grids.

    weight: (out, in, kh, kw) integers. step: of the inputs. steps: of the outputs, as the weight's
    scale is shaped, (out, 1, 1, 1).
    """

    def __init__(self, layer: nn.Conv2d, weight: Tensor, step: float, steps: Tensor) -> None:
        self.layer: Any = layer
        self.weight = weight.float()
        self.step = step
        self.steps = steps.double().reshape(1, -1, 1, 1)

    def __call__(self, x: Tensor, _weight: Tensor, bias: Tensor) -> Tensor:
        """As `nn.Conv2d._conv_forward`.

        Raises:
            ValueError: the first sample of `x` is not on the grid.
        """
        counts = x / self.step
        integers = counts.round()
        off = float((counts[:1] - integers[:1]).abs().max())
        if off > OFF_GRID:
            raise ValueError(f"inputs are off the integer grid by {off}")
        sums: Tensor = nn.Conv2d._conv_forward(self.layer, integers.float(), self.weight, None)
        return sums.double() * self.steps + bias.reshape(1, -1, 1, 1)
