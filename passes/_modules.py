"""What `torch.nn` has no module for, so that every step of a prepared network is a module call."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Add(nn.Module):
    """Two tensors of one shape -> their sum: where a residual branch comes back."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class Concat(nn.Module):
    """Tensors (N, C_i, ...) -> (N, sum of C_i, ...), one after another in channels."""

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)


class Pad(nn.Module):
    """(N, C, H, W) -> (N, C, top + H + bottom, left + W + right), zeros around."""

    def __init__(self, top: int, left: int, bottom: int, right: int) -> None:
        super().__init__()
        self.sides = (top, left, bottom, right)

    def forward(self, x: Tensor) -> Tensor:
        top, left, bottom, right = self.sides
        return F.pad(x, (left, right, top, bottom))

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.sides))


class Unsqueeze(nn.Module):
    """(N, C, L) -> (N, C, 1, L): a signal as an image one pixel high."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(2)


class Upsample(nn.Module):
    """(N, C, H, W) -> (N, C, height * H, width * W): every pixel a block of its own value."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=(self.height, self.width), mode="nearest")

    def extra_repr(self) -> str:
        return f"{self.height}, {self.width}"


class ClippedReLU(nn.ReLU):
    """A ReLU that gives no more than `limit`, as ReLU6 does."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0.0, self.limit)

    def extra_repr(self) -> str:
        return f"{self.limit:g}"


class Clip(nn.Module):
    """Values between -limit and limit, as Hardtanh gives them."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(-self.limit, self.limit)

    def extra_repr(self) -> str:
        return f"{self.limit:g}"


class Shortcut(nn.Module):
    """(N, C, H, W) -> (N, before + C + after, ceil(H / stride), ceil(W / stride)).

    Every `stride`-th pixel, zero channels around: the option-A shortcut of He et al., CVPR 2016,
    arXiv 1512.03385, section 4.2.
    """

    def __init__(self, stride: int = 1, before: int = 0, after: int = 0) -> None:
        super().__init__()
        self.stride, self.before, self.after = stride, before, after

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.before or self.after:
            x = F.pad(x, (0, 0, 0, 0, self.before, self.after))
        return x

    def extra_repr(self) -> str:
        return f"stride={self.stride}, before={self.before}, after={self.after}"
