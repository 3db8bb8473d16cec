"""A board's shell, and whole designs in it.

The shell keeps a frame on its way in, and a regression's outputs on their way out. What these take
depends on the network; all else was measured (`benchmarks.calibration.shell`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from hw_targets.boards import Board
from hw_targets.cost.basis.terms import blocks, in_block_ram
from hw_targets.cost.coefficients import ShellFit, load_coefficients
from hw_targets.cost.model import Estimate, estimate_together, exactly
from hw_targets.families import Family, load_family
from hw_targets.network import NetworkShape
from hw_targets.rtl.kernel import Kernel, Stream

OUTPUT_BITS = 24
"""Of a regression's outputs: accumulators and biases, whose bits only training tells."""


def shell_estimate(board: Board, network: NetworkShape | None = None) -> Estimate:
    """Resources of the board's shell, uncalibrated where nobody measured it.

    network: whose frames it keeps; None for none. They are taken to come an element a beat: wider
    beats may need a block RAM more.
    On boards whose shell the vendor's tools build, it lies outside the design that is estimated and
    measured here, and counts nothing.
    """
    if board.flow == "vivado":
        return exactly((0.0, 0.0, 0.0, 0.0))
    fitted = load_coefficients(board.family)
    shell: ShellFit | None = fitted.shells.get(board.flow) if fitted else None
    if shell is None:
        return Estimate(None, None, None, None, f"shell of flow {board.flow!r} was never measured")
    family = load_family(board.family)
    held = sum(block_rams(frame, family) for frame in _frames(network)) if network else 0.0
    return exactly((shell.lut, shell.ff, shell.dsp, shell.bram + held))


def estimate_design(
    kernels: Iterable[Kernel], board: Board, network: NetworkShape | None = None
) -> Estimate:
    """Modelled resources of a whole design: its kernels (FIFOs among them) and the shell."""
    return estimate_together(list(kernels), board.family, shell_estimate(board, network))


def block_rams(frame: Stream, family: Family) -> float:
    """Of a memory that holds a frame, a beat a word; 0 where it lies in LUT RAM."""
    if family.lut_ram is None:
        return float(blocks(frame.beats, frame.width, family))
    deep = in_block_ram(frame.beats, frame.width, family)
    return float(deep * blocks(frame.beats, frame.width, family))


def _frames(network: NetworkShape) -> tuple[Stream, ...]:
    taken = Stream(1, network.input_bits, network.input_signed, prod(network.input_shape))
    last = network.layers[-1]
    if not last.answers:
        return (taken,)
    return taken, Stream(1, OUTPUT_BITS, True, last.out_channels * last.pixels)
