"""Samples, and how a host turns them into integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.int64]
TargetArray = LabelArray | FloatArray
"""Class of every sample, or of a regression the outputs that every sample should give."""


@dataclass(frozen=True)
class Dataset:
    """Samples as the user's network takes them: float32, channels first, without batch axis.

    `train` feeds attribution, calibration and retraining; `test` is only ever measured on.

    train_y, test_y: (samples,) class indices; or with `classes` 0, which is a regression, the
    outputs wanted: (samples, *outputs) float32, outputs as the network gives them, channels first.
    """

    name: str
    train_x: FloatArray
    train_y: TargetArray
    test_x: FloatArray
    test_y: TargetArray
    classes: int

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return tuple(self.train_x.shape[1:])

    @property
    def regression(self) -> bool:
        """Are the network's outputs themselves what is asked for?"""
        return self.classes == 0


def streamed(values: NDArray[Any]) -> NDArray[Any]:
    """(samples, ...) channels first as (samples, elements) in hardware's order: channels last."""
    return np.moveaxis(values, 1, -1).reshape(len(values), -1)


@dataclass(frozen=True)
class InputFormat:
    """How the host turns a float sample into integers: round(x / scale), clipped to the range."""

    bits: int
    signed: bool
    scale: float

    @property
    def limits(self) -> tuple[int, int]:
        """(least, greatest) integer."""
        if self.signed:
            return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        return (0, 2**self.bits - 1)

    def encode(self, samples: FloatArray) -> NDArray[np.int64]:
        """Integers the accelerator takes, same shape as `samples`, rounding half to even."""
        low, high = self.limits
        scaled = np.round(samples.astype(np.float64) / self.scale)
        return np.clip(scaled, low, high).astype(np.int64)

    def stream(self, samples: FloatArray) -> NDArray[np.int64]:
        """Encoded samples in the order hardware takes them, (samples, elements): channels last."""
        return streamed(self.encode(samples))
