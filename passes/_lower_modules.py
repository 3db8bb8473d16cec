"""Modules of `torch.nn` in the few forms that every later pass takes.

One-dimensional ones become two-dimensional ones of height 1, so that (N, C, L) is (N, C, 1, L)
from the network's input on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from passes._graph import pair
from passes._modules import Clip, ClippedReLU, Upsample

_NEAREST = ("nearest", "nearest-exact")


@dataclass(frozen=True)
class Refusal:
    """Why a module has no form, and what to do; mend: None for what its kind says."""

    reason: str
    mend: str | None = None


def form_of(
    module: nn.Module, before: tuple[int, ...], after: tuple[int, ...]
) -> nn.Module | Refusal | None:
    """`module` as the passes take it; None where it is no matter of another form.

    before, after: shapes of what it takes and gives, without the batch.
    """
    if isinstance(module, nn.Conv1d) and type(module) is nn.Conv1d:
        return _convolution(module)
    if isinstance(module, nn.MaxPool1d):
        return nn.MaxPool2d(
            (1, _one(module.kernel_size)),
            (1, _one(module.stride)),
            (0, _one(module.padding)),
            (1, _one(module.dilation)),
            module.return_indices,
            module.ceil_mode,
        )
    if isinstance(module, nn.AvgPool1d):
        kernel, stride, padding = map(_one, (module.kernel_size, module.stride, module.padding))
        pool = nn.AvgPool2d(
            (1, kernel), (1, stride), (0, padding), module.ceil_mode, module.count_include_pad
        )
        return nn.AdaptiveAvgPool2d(1) if _of_all(pool, before) else pool
    if isinstance(module, nn.AvgPool2d) and _of_all(module, before):
        return nn.AdaptiveAvgPool2d(1)
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return clipped(float(module.min_val), float(module.max_val))
    if isinstance(module, nn.Upsample):
        return repeated(module.mode, before, after)
    if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
        return _adaptive(nn.AvgPool2d, before, after)
    if isinstance(module, nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d):
        if module.return_indices:
            return Refusal("indices have no use here", "use return_indices=False")
        return _adaptive(nn.MaxPool2d, before, after)
    return None


def clipped(least: float | None, most: float | None) -> nn.Module | Refusal:
    """What keeps values between two limits, None for no limit."""
    if least == 0 and most is None:
        return nn.ReLU()
    if least is not None and most is not None and most > 0:
        if least == 0:
            return ClippedReLU(most)
        if least == -most:
            return Clip(most)
    reason = f"clipping to {least} .. {most} has no kernel"
    return Refusal(reason, "use limits of 0 and m > 0 or of -m and m")


def repeated(mode: str, before: tuple[int, ...], after: tuple[int, ...]) -> nn.Module | Refusal:
    """Upsampling by whole factors."""
    if mode not in _NEAREST:
        return Refusal(f"upsampling by {mode} has no kernel", 'use mode="nearest"')
    pixels, more = spread(before)[1:], spread(after)[1:]
    if any(new % old for old, new in zip(pixels, more, strict=True)):
        return Refusal(f"{pixels} to {more} is no whole factor", "use a whole scale_factor")
    height, width = (new // old for old, new in zip(pixels, more, strict=True))
    return Upsample(height, width)


def spread(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(channels, length) as (channels, 1, length); other shapes as they are."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def _of_all(pool: nn.AvgPool2d, before: tuple[int, ...]) -> bool:
    """Is its one window the whole image? Such a sum needs no window's buffer."""
    plain = pair(pool.padding) == (0, 0) and pool.divisor_override is None
    return plain and pair(pool.kernel_size) == spread(before)[1:]


def _adaptive(
    kind: type[nn.AvgPool2d] | type[nn.MaxPool2d], before: tuple[int, ...], after: tuple[int, ...]
) -> nn.Module | Refusal:
    pixels, left = spread(before)[1:], spread(after)[1:]
    if kind is nn.AvgPool2d and left == (1, 1):
        return nn.AdaptiveAvgPool2d(1)
    if any(size % count for size, count in zip(pixels, left, strict=True)):
        return Refusal(f"its windows over {pixels} differ in size", "use sizes that divide it")
    height, width = (size // count for size, count in zip(pixels, left, strict=True))
    return nn.Identity() if (height, width) == (1, 1) else kind((height, width))


@torch.no_grad()
def _convolution(conv: nn.Conv1d) -> nn.Conv2d:
    padding: Any = conv.padding if isinstance(conv.padding, str) else (0, _one(conv.padding))
    result = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (1, _one(conv.kernel_size)),
        (1, _one(conv.stride)),
        padding,
        (1, _one(conv.dilation)),
        conv.groups,
        conv.bias is not None,
        conv.padding_mode,
    )
    result.weight.copy_(conv.weight[:, :, None])
    if result.bias is not None and conv.bias is not None:
        result.bias.copy_(conv.bias)
    return result.eval()


def _one(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple | list) else size)
