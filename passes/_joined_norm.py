"""A batch norm whose statistics are those of the samples of all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Sum(torch.autograd.Function):
    """Sum over all processes; so is its gradient, as each one's outputs depend on all inputs."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _summed(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def forward(norm: Any) -> Callable[[Tensor], Tensor]:
    """A forward method of `norm`, a BatchNorm1d or 2d with running statistics, in training.

    In evaluation it is the norm's own.
    """

    def joined(values: Tensor) -> Tensor:
        if not norm.training:
            result: Tensor = type(norm).forward(norm, values)
            return result
        axes = [axis for axis in range(values.dim()) if axis != 1]
        shape = (1, -1, *[1] * (values.dim() - 2))
        exact = values.float()
        local = torch.full((1,), exact.numel() / exact.shape[1], device=exact.device)
        sums = _summed(torch.cat([exact.sum(axes), local]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = exact - mean.view(shape)
        variance = _summed(centred.square().sum(axes)) / count
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * count / (count - 1), norm.momentum)
        scaled = centred * (variance + norm.eps).rsqrt().view(shape)
        weighed: Tensor = scaled * norm.weight.view(shape) + norm.bias.view(shape)
        return weighed.to(values.dtype)

    return joined
