"""What the kernels have in common that give the windows of a convolution (im2col)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hw_targets.rtl.kernel import IntArray, Kernel, require


class WindowKernel(Kernel):
    """Windows in raster order; inside a window ky, kx, channel. No padding."""

    in_h: int
    in_w: int
    channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    bits: int

    def __post_init__(self) -> None:
        sizes = (self.channels, self.kernel_h, self.kernel_w, self.stride_h, self.stride_w)
        require(
            min(*sizes, self.dilation_h, self.dilation_w, self.bits) >= 1,
            "window: sizes must be at least 1: {kernel}",
            kernel=self,
        )
        require(
            self.above < self.in_h and self.before < self.in_w,
            "window: the kernel must fit into the image: {kernel}",
            kernel=self,
        )

    @property
    def above(self) -> int:
        """Rows that a window reaches above its last one."""
        return (self.kernel_h - 1) * self.dilation_h

    @property
    def before(self) -> int:
        """Columns that a window reaches before its last one."""
        return (self.kernel_w - 1) * self.dilation_w

    @property
    def out_h(self) -> int:
        return (self.in_h - self.above - 1) // self.stride_h + 1

    @property
    def out_w(self) -> int:
        return (self.in_w - self.before - 1) // self.stride_w + 1

    def reference(self, frames: IntArray, arrays: Mapping[str, IntArray]) -> IntArray:
        image = (self.in_h, self.in_w, self.channels)
        images = np.asarray(frames, dtype=np.int64).reshape(len(frames), *image)
        windows = sliding_window_view(images, (self.above + 1, self.before + 1), axis=(1, 2))
        strided = windows[:, :: self.stride_h, :: self.stride_w]
        taps = strided[..., :: self.dilation_h, :: self.dilation_w]
        return taps.transpose(0, 1, 2, 4, 5, 3).reshape(len(frames), -1)
