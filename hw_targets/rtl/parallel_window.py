"""Sliding-window unit that gives several pixels of the kernel a beat, up to the whole window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hw_targets.rtl.kernel import Stream, require
from hw_targets.rtl.window import WindowKernel


@dataclass(frozen=True)
class ParallelWindow(WindowKernel):
    """Windows several pixels a beat.

    Takes a whole pixel a beat and gives `positions` pixels of the kernel a beat. Rows above lie in
    a memory of one word a column, the window itself in registers, so that the next window is one
    pixel away; frames follow each other without a gap.
    """

    module: ClassVar[str] = "lf_parallel_window"
    source: ClassVar[str] = "parallel_window.sv"

    in_h: int
    in_w: int
    channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    positions: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.positions >= 1 and self.kernel_h * self.kernel_w % self.positions == 0,
            "parallel_window: positions must divide the kernel's pixels: {kernel}",
            kernel=self,
        )

    @property
    def beats(self) -> int:
        """Beats a window."""
        return self.kernel_h * self.kernel_w // self.positions

    @property
    def width(self) -> int:
        """Bits of a pixel."""
        return self.channels * self.bits

    @property
    def input(self) -> Stream:
        return Stream(self.channels, self.bits, self.signed, self.in_h * self.in_w)

    @property
    def output(self) -> Stream:
        lanes, windows = self.positions * self.channels, self.out_h * self.out_w
        return Stream(lanes, self.bits, self.signed, windows * self.beats)

    @property
    def cycles(self) -> int:
        """A cycle for every pixel, and for every further beat of the window that it completes."""
        return self.input.beats + self.out_h * self.out_w * (self.beats - 1)

    def parameters(self) -> dict[str, int | str]:
        down = (self.in_h, self.kernel_h, self.stride_h, self.dilation_h)
        right = (self.in_w, self.kernel_w, self.stride_w, self.dilation_w)
        if self.in_w == 1:
            # An image of one column is one of one row, which needs no memory.
            down, right = right, down
        names = ("IN", "KERNEL", "STRIDE", "DILATION")
        return {
            **{f"{name}_H": value for name, value in zip(names, down, strict=True)},
            **{f"{name}_W": value for name, value in zip(names, right, strict=True)},
            "WIDTH": self.width,
            "BEATS": self.beats,
        }
