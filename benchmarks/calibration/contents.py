"""What memories of a synthesised kernel hold: contents as trained networks have them."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.kernel import IntArray, Kernel
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.requant import Requant
from hw_targets.rtl.table import Table
from hw_targets.rtl.table_logic import SCALE_OCTAVES, rescaled, table_logic
from hw_targets.rtl.threshold import Threshold

SEED = 20260101
CONTENTS: dict[type[Kernel], int] = {Threshold: 2}
"""Version of a kernel's contents, where they have changed: points of former contents are stale."""


def arrays_for(kernel: Kernel) -> dict[str, IntArray]:
    """Memory contents as trained networks have them: bell-shaped weights, thresholds in steps."""
    rng = np.random.default_rng([SEED, 1])
    if isinstance(kernel, Mvu | Depthwise):
        limit = 2 ** (kernel.weight_bits - 1) - 1
        shape = (
            (kernel.mh, kernel.mw) if isinstance(kernel, Mvu) else (kernel.channels, kernel.taps)
        )
        values = rng.normal(0.0, max(limit, 1) / 2.2, shape)
        if kernel.weight_bits == 1:
            return {"weights": np.where(values < 0, -1, 1).astype(np.int64)}
        return {"weights": np.clip(np.round(values), -limit, limit).astype(np.int64)}
    if isinstance(kernel, Threshold):
        return {"thresholds": _thresholds(kernel)}
    if isinstance(kernel, ChannelAdd):
        limit = 2 ** (kernel.bias_bits - 1) - 1
        return {"bias": rng.integers(-limit, limit, kernel.channels, dtype=np.int64)}
    if isinstance(kernel, Requant):
        return {
            # Slopes are positive and of one magnitude; what is added has either sign.
            "mult": rng.integers(1, 2 ** (kernel.mult_bits - 1), kernel.channels),
            "add": rng.integers(
                -(2 ** (kernel.add_bits - 1)), 2 ** (kernel.add_bits - 1), kernel.channels
            ),
        }
    if isinstance(kernel, Table):
        return {"table": _table_contents(kernel)}
    return {}


def _thresholds(kernel: Threshold) -> IntArray:
    """Contents of either kind: behind a layer, or where integers of one scale are quantized.

    The latter are those of sums of activations, which have no sign, and of sums of two branches,
    whose results have one.
    """
    integers = kernel.channels == kernel.pe and (kernel.out_signed or not kernel.in_signed)
    return _scaled_thresholds(kernel) if integers else _layer_thresholds(kernel)


def _scaled_thresholds(kernel: Threshold) -> IntArray:
    """The same for all lanes, halfway between multiples of a scale.

    The results span the whole range of the sums down to a sixteenth of it; where sums are hardly
    wider than results, not as little as that.
    """
    top = (1 << (kernel.in_bits - int(kernel.in_signed))) - 1
    low = -(1 << (kernel.out_bits - 1)) if kernel.out_signed else 0
    levels = np.arange(low + 1, low + (1 << kernel.out_bits))
    widest = np.log2(top / levels.max())
    scale = 2.0 ** (widest - _draws_of(kernel).uniform(0.0, min(4.0, widest / 2)))
    steps: IntArray = np.ceil((levels - 0.5) * scale).astype(np.int64)
    return np.broadcast_to(steps, (kernel.channels, len(steps))).copy()


def _layer_thresholds(kernel: Threshold) -> IntArray:
    """Those of a rectifier behind batch normalisation: equal steps in a channel, from near zero.

    An accumulator holds every sum that could occur, and thresholds lie where sums do occur. Over
    35 layers of the networks of `benchmarks.designs` those of a channel span 2**-8 to 2**-4 of
    half the range and begin within 0.4 spans of zero. That spread is the layer's own: it is drawn
    for every kernel anew, and nothing in the kernel's fields tells it.
    """
    rng = _draws_of(kernel)
    half, levels = 2.0 ** (kernel.in_bits - 1), 2**kernel.out_bits - 1
    # Training spaces thresholds by a count at least, as far as there is room for it.
    span = min(max(half * 2.0 ** rng.uniform(-8.0, -4.0), levels, 12.0), half)
    steps = span / levels * rng.lognormal(0.0, 0.25, (kernel.channels, 1))
    starts = span * rng.normal(0.0, 0.4, (kernel.channels, 1))
    values = np.ceil(starts + steps * (np.arange(levels) + 0.5))
    within: IntArray = np.clip(values, -half, half).astype(np.int64)
    return within


def _draws_of(kernel: Kernel) -> np.random.Generator:
    """A generator of the kernel's own: what no field of it tells is drawn for every one anew."""
    return np.random.default_rng([SEED, 1, zlib.crc32(repr(kernel).encode())])


def _table_contents(kernel: Table) -> IntArray:
    """Integers of one scale in another, as where a network quantizes what is quantized already."""
    form = kernel.in_bits, kernel.in_signed, kernel.out_bits, kernel.out_signed
    return rescaled(*form, 2.0 ** _draws_of(kernel).uniform(*SCALE_OCTAVES))


def table_told(kernel: Table) -> Table:
    """With what its contents cost, as it is known of a network that is built."""
    return replace(kernel, logic=table_logic(_table_contents(kernel), kernel.out_bits))
