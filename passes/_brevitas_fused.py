"""Fake quantization of activations in one step of autograd: what Brevitas computes, sooner.

Brevitas composes it of a dozen operations, each of which walks through memory forward and
backward. Here the same operations in the same order work through pieces that fit into a cache.
Outputs and gradients are Brevitas's bit for bit, but for the order in which pieces' shares of a
scale's gradient are summed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

PIECE = 2**17
"""Elements a thread works on at a time: half a MiB in float32."""

_within = torch.ops.aten.hardtanh_backward.grad_input
_above = torch.ops.aten.threshold_backward.grad_input


def quantized(module: Any, x: torch.Tensor, limits: tuple[int, int], relu: bool) -> torch.Tensor:
    """What a QuantReLU (relu) or QuantIdentity gives in training, for x of any shape, as x's type.

    x may be of lower precision than the scale, which is what quantization then computes in.
    """
    tensor_quant = module.act_quant.fused_activation_quant_proxy.tensor_quant
    unit = tensor_quant.int_scaling_impl(tensor_quant.msb_clamp_bit_width_impl())
    scale = tensor_quant.scaling_impl(x, unit)
    result: torch.Tensor = _Quantize.apply(x, scale, limits, relu)  # type: ignore[no-untyped-call]
    return result


class _Quantize(torch.autograd.Function):
    """clamp(round(x / scale), *limits) * scale, x first cut at zero for a ReLU.

    Rounding passes gradients straight through, the clamp stops them outside of its limits.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, limits: tuple[int, int], relu: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(x, scale)
        ctx.limits, ctx.relu = limits, relu
        result = torch.empty_like(x)
        rooms = _rooms(x, scale, 1)
        for source, y in _pieces(x, result):
            (steps,) = _room(rooms, source)
            _to_steps(source, scale, relu, steps)
            _into(y, torch.mul, steps.round_().clamp_(*limits), scale)
        return result

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        least, most = ctx.limits
        to_x, to_scale = torch.empty_like(x), []
        rooms = _rooms(x, scale, 4)
        for source, given, result in _pieces(x, grad, to_x):
            steps, integers, dx, g = _room(rooms, source)
            g = given if given.dtype == g.dtype else g.copy_(given)
            _to_steps(source, scale, ctx.relu, steps)
            torch.round(steps, out=integers)
            torch.mul(g, scale, out=dx)
            _within(dx, integers, least - 0.5, most + 0.5, grad_input=dx)
            if ctx.relu:
                _above(dx, steps, 0, grad_input=dx)
            share = integers.clamp_(least, most).mul_(g).sum()
            to_scale.append(share - steps.div_(scale).mul_(dx).sum())
            _into(result, torch.div, dx, scale)
        return to_x, torch.stack(to_scale).sum().reshape(scale.shape), None, None


def _to_steps(x: torch.Tensor, scale: torch.Tensor, relu: bool, steps: torch.Tensor) -> None:
    """x in steps of `scale`, cut at zero for a ReLU, into `steps`."""
    if relu:
        x = steps.copy_(x).clamp_min_(0)
    elif x.dtype != steps.dtype:
        x = steps.copy_(x)
    torch.div(x, scale, out=steps)


def _into(result: torch.Tensor, operation: Any, piece: torch.Tensor, scale: torch.Tensor) -> None:
    """operation(piece, scale) into `result`; through `piece` itself where types differ."""
    same = result.dtype == piece.dtype
    operation(piece, scale, out=result if same else piece)
    if not same:
        result.copy_(piece)


def _samples(x: torch.Tensor) -> int:
    """How many samples of x make a piece."""
    if x.is_cuda:
        return len(x)
    return max(1, PIECE * torch.get_num_threads() // x[0].numel())


def _pieces(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Tensors of one shape, some samples at a time."""
    count = _samples(tensors[0])
    return zip(*(torch.split(tensor, count) for tensor in tensors), strict=True)


def _rooms(x: torch.Tensor, scale: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Room for pieces of x, in the scale's precision: new memory is dear, piece by piece."""
    first = x[: _samples(x)]
    return [torch.empty_like(first, dtype=scale.dtype) for _ in range(count)]


def _room(rooms: list[torch.Tensor], piece: torch.Tensor) -> list[torch.Tensor]:
    """The part of every room that `piece`, which may be shorter, needs."""
    return [room[: len(piece)] for room in rooms]
