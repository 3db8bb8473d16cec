"""Instances with random values, of which the tests make designs."""

from __future__ import annotations

import numpy as np

from hw_targets.rtl.kernel import Instance
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.threshold import Threshold
from tests.hardware.cases import Rng


def mvu(rng: Rng, name: str, mw: int, mh: int, simd: int, pe: int, pixels: int) -> Instance:
    kernel = Mvu(mw, mh, simd, pe, pixels, 3, 4, False)
    return Instance(name, kernel, {"weights": rng.integers(-4, 4, (mh, mw))})


def threshold(rng: Rng, name: str, before: Instance, channels: int, pe: int) -> Instance:
    """Takes two bits more than the accumulator has, which the top must extend."""
    bits = before.kernel.output.bits
    pixels = before.kernel.output.elements // channels
    kernel = Threshold(channels, pe, pixels, bits + 2, True, 4, False)
    steps = np.sort(rng.integers(-300, 300, (channels, 15)), axis=1)
    return Instance(name, kernel, {"thresholds": steps})
