"""Sliding-window unit: an image stream to the stream of its convolution windows (im2col)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hw_targets.rtl.kernel import Stream, require
from hw_targets.rtl.window import WindowKernel

FRAME_STALL = 0.01
"""Share of a frame's cycles that the refill of the buffer between frames may cost."""
SLACK_BEATS = 8
"""Beats the writer may be ahead, covering the registers between freeing and refilling a word."""


@dataclass(frozen=True)
class Swu(WindowKernel):
    """Windows a pixel, or a part of its channels, a beat.

    A circular line buffer with words freed one by one lets the next frame load while this one
    drains. Rows and columns that no window covers are skipped.
    """

    module: ClassVar[str] = "lf_swu"
    source: ClassVar[str] = "swu.sv"

    in_h: int
    in_w: int
    channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    simd: int
    bits: int
    signed: bool
    dilation_h: int = 1
    dilation_w: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.simd >= 1 and self.channels % self.simd == 0,
            "swu: simd must divide channels: {kernel}",
            kernel=self,
        )

    @property
    def folds(self) -> int:
        """Beats a pixel."""
        return self.channels // self.simd

    @property
    def buffer_depth(self) -> int:
        """Words (of `simd * bits`) in the line buffer, a power of two.

        One window spans `above` rows and `before` pixels more; the writer stays a stride ahead of
        it. More rows are added until the first window of the next frame no longer has to wait
        for longer than `FRAME_STALL` of a frame.
        """
        row = self.in_w * self.folds
        span = self.above * row + (self.before + 1) * self.folds
        ahead = max(0, self.stride_h - 1) * row + self.stride_w * self.folds + SLACK_BEATS
        refill = max(0, span - round(FRAME_STALL * self.cycles))
        return 1 << max(2, (span + max(ahead, refill) - 1).bit_length())

    @property
    def input(self) -> Stream:
        return Stream(self.simd, self.bits, self.signed, self.in_h * self.in_w * self.folds)

    @property
    def output(self) -> Stream:
        beats = self.out_h * self.out_w * self.kernel_h * self.kernel_w * self.folds
        return Stream(self.simd, self.bits, self.signed, beats)

    @property
    def cycles(self) -> int:
        return max(self.input.beats, self.output.beats)

    def parameters(self) -> dict[str, int | str]:
        return {
            "IN_H": self.in_h,
            "IN_W": self.in_w,
            "FOLDS": self.folds,
            "KERNEL_H": self.kernel_h,
            "KERNEL_W": self.kernel_w,
            "STRIDE_H": self.stride_h,
            "STRIDE_W": self.stride_w,
            "DILATION_H": self.dilation_h,
            "DILATION_W": self.dilation_w,
            "WIDTH": self.simd * self.bits,
            "DEPTH": self.buffer_depth,
        }
