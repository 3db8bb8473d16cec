"""How accumulators become integers of fewer bits: by thresholds, or by a multiplier.

Thresholds are compared with (`hw_targets.rtl.threshold`): one for every result but the least. A
multiplier gives the same integers by a product, a sum and a shift (`hw_targets.rtl.requant`); where
its constants cannot, thresholds are taken.
"""

from __future__ import annotations

from typing import Literal

Quantizer = Literal["threshold", "multiplier"]
LEAST_OUT_BITS = 7
"""Results of so many bits are always cheaper multiplied."""


def quantizers(channels: int, bits: int) -> tuple[Quantizer, ...]:
    """How accumulators of so many channels can become integers of so many bits."""
    if channels == 1:
        return ("threshold",)
    return ("multiplier",) if bits >= LEAST_OUT_BITS else ("threshold", "multiplier")


def possible(quantizer: Quantizer, channels: int, bits: int) -> Quantizer:
    """The one asked for, or the only one that there is."""
    found = quantizers(channels, bits)
    return quantizer if quantizer in found else found[0]


def chosen_quantizer(choice: object) -> Quantizer:
    """Its attribute `quantizer`; thresholds where it has none."""
    found: Quantizer = getattr(choice, "quantizer", "threshold")
    return found
