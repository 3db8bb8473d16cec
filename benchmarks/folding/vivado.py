"""A folding as FINN itself builds it: what its own nodes cost under Vivado, on 7 series.

Costs come from the coefficients that `benchmarks.vivado` fits to real builds (docs/cost-vivado.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from hw_targets.cost.features import Unit, fields
from hw_targets.cost.finn import (
    FinnFifo,
    FinnLabelSelect,
    FinnMvau,
    FinnPadding,
    FinnThresholding,
    FinnWidthConverter,
    FinnWindow,
)
from hw_targets.cost.layer import MIN_FIFO_DEPTH
from hw_targets.cost.model import kernel_model
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import WidthConverter

FAMILY = "xc7"
"""The one family whose FINN builds were measured."""
ACC_BITS = 19
"""The widest accumulator of the builds; FINN narrows its own to what the weights can reach."""
BYTE = 8
"""FINN pads streams to whole bytes."""


def finns(kernels: Sequence[Kernel]) -> tuple[Unit, ...]:
    """FINN's node for each unit of ours, but ours where the builds have nothing like it.

    That is pooling, adding and most windows, thresholds and converters to fewer lanes; matrices
    smaller or larger than theirs. FIFOs are the two words that FINN inserts unless told otherwise.
    """
    return tuple(_known(_finns(kernel), kernel) for kernel in kernels)


def _known(unit: Unit, ours: Kernel) -> Unit:
    """`unit` where the coefficients know it, else `ours`."""
    return ours if kernel_model(type(unit).__name__, FAMILY).why(fields(unit)) else unit


def _finns(kernel: Kernel) -> Unit:
    if isinstance(kernel, Mvu):
        return FinnMvau(
            mw=kernel.mw,
            mh=kernel.mh,
            pe=kernel.pe,
            simd=kernel.simd,
            weight_bits=kernel.weight_bits,
            act_bits=kernel.act_bits,
            acc_bits=min(kernel.acc_bits, ACC_BITS),
            out_bits=0,  # thresholds are a node of their own
            dsp=int(kernel.arithmetic == "dsp"),
            block=int(kernel.rom_style == "block"),
        )
    if isinstance(kernel, Swu):
        return _window(kernel, kernel.simd, parallel=0)
    if isinstance(kernel, ParallelWindow):
        return _window(kernel, kernel.channels, parallel=1)
    if isinstance(kernel, Pad):
        return FinnPadding(kernel.in_h, kernel.in_w, kernel.channels, kernel.simd, kernel.bits)
    if isinstance(kernel, Threshold):
        return FinnThresholding(kernel.channels, kernel.pe, kernel.in_bits, kernel.out_bits)
    if isinstance(kernel, Fifo):
        return FinnFifo(max(kernel.width, BYTE), MIN_FIFO_DEPTH)
    if isinstance(kernel, WidthConverter):
        return FinnWidthConverter(kernel.input.width, kernel.output.width)
    if isinstance(kernel, LabelSelect):
        return FinnLabelSelect(kernel.classes, kernel.in_bits)
    return kernel


def _window(kernel: Swu | ParallelWindow, simd: int, parallel: int) -> FinnWindow:
    return FinnWindow(
        kernel.in_h,
        kernel.in_w,
        kernel.channels,
        kernel.kernel_h,
        kernel.kernel_w,
        kernel.stride_h,
        simd,
        kernel.bits,
        parallel,
    )
