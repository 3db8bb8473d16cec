"""Inputs drawn from a seed, which are their own targets."""

from __future__ import annotations

from model import SHAPE

from compiler.frontend.generated import samples
from compiler.stages import FloatArray


def generated() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """256 samples to calibrate with, 128 to compare on."""
    train, test = samples(SHAPE, 256, seed=1), samples(SHAPE, 128, seed=2)
    return train, train, test, test
