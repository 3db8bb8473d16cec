"""How many lanes each unit of a layer has: those around the matrix-vector unit need not follow it.

The matrix-vector unit has SIMD lanes in front and PE behind. Every other unit may have lanes of its
own; width converters stand wherever the lanes of neighbours differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw_targets.network import LayerShape


@dataclass(frozen=True)
class Lanes:
    """Lanes of a layer's units beside its matrix-vector unit; 0: they follow it.

    pad: padding, a divisor of the input channels. window: lanes that leave the sliding window, one
    of `window_lanes`; it follows SIMD, and has the fewest lanes that are no fewer. The padding
    follows the window, up to all channels. act: threshold, or bias of the logits, which follows PE;
    end: pooling, or label select, which follows act; divisors of the output channels.
    """

    pad: int = 0
    window: int = 0
    act: int = 0
    end: int = 0


TIED = Lanes()
"""All units follow the matrix-vector unit."""


def lanes_of(layer: LayerShape, pe: int, simd: int, lanes: Lanes = TIED) -> Lanes:
    """The same with a number for each unit, whether the layer has it or not."""
    channels = layer.in_channels
    window = lanes.window or next((n for n in window_lanes(layer) if n >= simd), channels)
    act = lanes.act or pe
    return Lanes(lanes.pad or min(window, channels), window, act, lanes.end or act)


def window_lanes(layer: LayerShape) -> tuple[int, ...]:
    """Lanes that may leave a layer's sliding window, ascending.

    Divisors of the channels; then all channels of several pixels of the kernel, a divisor of them,
    where that takes fewer cycles than a pixel a beat. A depthwise layer takes a pixel a beat.
    """
    channels = layer.in_channels
    taps = 1 if layer.depthwise else layer.hardware_matrix[0] // channels
    height, width = layer.padded_size
    several = (n for n in divisors(taps)[1:] if gains(n, taps, height * width, layer.pixels))
    return (*divisors(channels), *(n * channels for n in several))


def gains(several: float, taps: float, pixels: float, windows: float) -> bool:
    """Do so many pixels of a kernel of `taps` a beat take fewer cycles a frame than one?

    pixels: of the image; windows: of the output. A window of several beats keeps what follows
    waiting, and none is faster than pixels come.
    """
    return pixels + windows * (taps / several - 1) < max(pixels, windows * taps)


def leaving(layer: LayerShape, lanes: Lanes) -> int:
    """Lanes of the stream that leaves a layer with an activation."""
    return lanes.end if layer.pool > 1 else lanes.act


def divisors(value: int) -> tuple[int, ...]:
    """All divisors, ascending."""
    return tuple(d for d in range(1, value + 1) if value % d == 0)


def fewest(divides: int, elements: int, interval: int) -> int:
    """The fewest lanes, a divisor of `divides`, that pass `elements` in `interval` cycles.

    All of them where even they are too slow. What joins, follows or splits branches has so many.
    """
    return next((n for n in divisors(divides) if elements <= n * interval), divides)
