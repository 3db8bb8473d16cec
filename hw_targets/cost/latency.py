"""Latency of a chain of kernels before it is simulated, from when each unit can start and end."""

from __future__ import annotations

from collections.abc import Iterable

from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.label_select import LabelSelect
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.swu import Swu

PIPELINE_CYCLES = 6
"""Registers a beat passes in one kernel and the FIFO behind it, about; small beside the rest."""


def latency_cycles(kernels: Iterable[Kernel]) -> int:
    """Cycles from a frame's first input beat to its last output beat, pipeline empty before.

    Each unit is seen as a line from its first to its last output. It starts when the beats its
    first output needs have come, and ends no sooner than its own work since then allows, nor
    sooner than the work that its last input beat sets off.
    """
    first, last = 0.0, 0.0
    for kernel in kernels:
        beats = max(1, kernel.input.beats)
        last = max(last, first + beats - 1)  # Nothing feeds a unit faster than one beat a cycle.
        needed = (_beats_before_output(kernel) - 1) / max(1, beats - 1)
        start = first + min(1.0, needed) * (last - first) + PIPELINE_CYCLES
        end = max(start + kernel.cycles - _lead(kernel), last + _tail(kernel) + PIPELINE_CYCLES)
        first, last = start, max(start, end)
    return round(last)


def _beats_before_output(kernel: Kernel) -> int:
    """Input beats that the first output beat depends on."""
    if isinstance(kernel, Mvu):
        return kernel.column_folds
    if isinstance(kernel, Swu):
        return 1
    if isinstance(kernel, MaxPool):
        folds = kernel.channels // kernel.pe
        return ((kernel.kernel - 1) * kernel.in_w + kernel.kernel - 1) * folds + 1
    if isinstance(kernel, LabelSelect):
        return kernel.input.beats
    return 1


def _lead(kernel: Kernel) -> int:
    """Cycles of a frame's work that lie before the first output."""
    return min(kernel.cycles, _beats_before_output(kernel))


def _tail(kernel: Kernel) -> int:
    """Cycles of work that remain when the last input beat comes."""
    if isinstance(kernel, Mvu):
        return kernel.column_folds * (kernel.row_folds - 1)
    if isinstance(kernel, Swu):
        # The last row of windows waits for the last pixel only in its last window's last tap.
        return kernel.kernel_w * kernel.folds
    return 0
