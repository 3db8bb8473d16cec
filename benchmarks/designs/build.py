"""A network with made-up values, as a design of our kernels.

Weights are drawn from a bell of another spread in every row and rounded with the step of least
squared error, as training with a learned scale leaves them. Thresholds are those of a rectifier
behind batch normalisation: steps of equal size in a channel, from the mean and the spread that the
sums of the channel really have. Everything comes from a fixed seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.designs.networks import Network
from hw_targets.cost.planned import network_kernels
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.design import Design
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Instance, IntArray, Kernel, Stream
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.multiplier import for_multipliers
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import WidthConverter

SEED = 20261126
FRAMES = 8
STATISTICS_FRAMES = 4

# Step in standard deviations that rounds a bell to 2**bits - 1 levels with the least squared error
# (J. Max, Quantizing for minimum distortion, 1960).
_STEP = {2: 1.224, 3: 0.651, 4: 0.353, 5: 0.194, 6: 0.105, 7: 0.057, 8: 0.031}

_UNITS: dict[type[Kernel], str] = {
    Pad: "pad",
    Swu: "window",
    Mvu: "mvu",
    Threshold: "threshold",
    MaxPool: "pool",
    ChannelAdd: "bias",
    LabelSelect: "label",
}


def frames_for(stream: Stream, count: int) -> IntArray:
    """(count, elements) values, uniform, of a stream's range."""
    rng = np.random.default_rng([SEED, 1])
    low = -(1 << (stream.bits - 1)) if stream.signed else 0
    frames = rng.integers(low, low + (1 << stream.bits), (count, stream.elements))
    return frames.astype(np.int64)


def planned_kernels(network: Network) -> tuple[Kernel, ...]:
    """What the allocator prices before anything is built, FIFOs and width converters included."""
    return network_kernels(network.shape, network.choices)


def design_of(network: Network, depths: tuple[int, ...] = (), multiplier_bits: int = 18) -> Design:
    """The network's kernels with their values, chained.

    depths: of FIFOs, see `Design`. multiplier_bits: of the family it is for.
    """
    rng = np.random.default_rng([SEED, *network.name.encode()])
    units = [
        for_multipliers(kernel, multiplier_bits)
        for kernel in planned_kernels(network)
        if not isinstance(kernel, Fifo | WidthConverter)
    ]
    layers = iter(network.shape.layers)
    values = frames_for(units[0].input, STATISTICS_FRAMES)
    found: list[Instance] = []
    layer, behind = "", True
    acc_bits = 0
    for kernel in units:
        if behind and isinstance(kernel, Pad | Swu | Mvu):
            layer, behind = next(layers).name, False
        arrays: dict[str, IntArray] = {}
        if isinstance(kernel, Mvu):
            arrays, behind, acc_bits = {"weights": _weights(kernel, rng)}, True, kernel.acc_bits
        elif isinstance(kernel, Threshold):
            arrays = {"thresholds": _thresholds(kernel, values, rng)}
        elif isinstance(kernel, ChannelAdd):
            # Lowering gives the unit the bits its values need; they are known only now.
            bias = np.rint(rng.normal(0.0, 0.3 * _spread(values), kernel.channels))
            bias_bits = int(max((np.abs(bias + 0.5) + 0.5).max(), 1)).bit_length() + 1
            acc_bits = max(kernel.in_bits, bias_bits) + 1
            kernel = _with(kernel, bias_bits=bias_bits, out_bits=acc_bits)
            arrays = {"bias": bias.astype(np.int64)}
        elif isinstance(kernel, LabelSelect):
            kernel = _with(kernel, in_bits=acc_bits)
        values = kernel.reference(values, arrays)
        found.append(Instance(f"{layer}_{_UNITS[type(kernel)]}", kernel, arrays))
    return Design(network.name, tuple(found), depths)


def built_kernels(design: Design) -> tuple[tuple[str, Kernel], ...]:
    """(name, kernel) of everything in the design, each link's FIFO before its unit."""
    found: list[tuple[str, Kernel]] = []
    for index, link in enumerate(design.links):
        if link.depth:
            fifo = Fifo(link.stream.width, link.depth, link.stream.beats)
            found.append((f"fifo_{link.name}", fifo))
        if index < len(design.units):
            unit = design.units[index]
            found.append((unit.name, unit.kernel))
    return tuple(found)


def _with(kernel: Kernel, **changes: Any) -> Any:
    return type(kernel)(**{**vars(kernel), **changes})


def _weights(kernel: Mvu, rng: np.random.Generator) -> IntArray:
    limit = 2 ** (kernel.weight_bits - 1) - 1
    drawn = rng.normal(0.0, 1.0, (kernel.mh, kernel.mw))
    steps = _STEP[kernel.weight_bits] * rng.lognormal(0.0, 0.15, (kernel.mh, 1))
    return np.clip(np.rint(drawn / steps), -limit, limit).astype(np.int64)


def _thresholds(kernel: Threshold, values: IntArray, rng: np.random.Generator) -> IntArray:
    sums = values.reshape(-1, kernel.channels)
    # A few frames of a dense layer say little of one channel: drawn towards the layer's spread.
    spread = 0.5 * (sums.std(axis=0) + _spread(values)) + 1.0
    levels = 2**kernel.out_bits - 1
    step = spread * rng.lognormal(np.log(2.5), 0.25, kernel.channels) / levels
    start = sums.mean(axis=0) + spread * rng.normal(0.0, 0.4, kernel.channels)
    steps = start[:, None] + step[:, None] * (np.arange(levels) + 0.5)
    whole: IntArray = np.ceil(steps).astype(np.int64)
    return whole


def _spread(values: IntArray) -> float:
    return float(values.std()) + 1.0
