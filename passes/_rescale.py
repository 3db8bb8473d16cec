"""DeepLIFT's rescale rule as the derivative of a non-linear module.

Arithmetic in the order in which Captum's rules have it, so that results agree to the last bit.
Source: Shrikumar et al., arXiv 1704.02685, section 3.5.2; captum/attr/_core/deep_lift.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passes._graph import pair
from passes._modules import Clip, ClippedReLU

Pair = tuple[Tensor, Tensor]
"""(sample, reference)."""

Rule = Callable[[nn.Module, Pair, Pair, Tensor, float], Tensor]
"""(module, inputs, outputs, gradient of the output, eps) -> multiplier of the input."""


def rescaled(
    module: nn.Module,
    inputs: Tensor,
    outputs: Tensor,
    reference_inputs: Tensor,
    reference_outputs: Tensor,
    eps: float,
) -> Tensor:
    """`outputs`, with the multiplier as its derivative with respect to `inputs`.

    eps: where inputs differ by less, the multiplier is the gradient.
    """
    result: Tensor = _Rescale.apply(  # type: ignore[no-untyped-call]
        inputs, outputs.detach(), reference_inputs, reference_outputs, module, eps
    )
    return result


class _Rescale(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        outputs: Tensor,
        reference_inputs: Tensor,
        reference_outputs: Tensor,
        module: nn.Module,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(inputs, outputs, reference_inputs, reference_outputs)
        ctx.module, ctx.eps = module, eps
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, outputs, reference_inputs, reference_outputs = ctx.saved_tensors
        rule = RULES[type(ctx.module)]
        multiplier = rule(
            ctx.module,
            (inputs, reference_inputs),
            (outputs, reference_outputs),
            gradient,
            ctx.eps,
        )
        return multiplier, None, None, None, None, None


def relu(_: nn.Module, inputs: Pair, outputs: Pair, gradient: Tensor, eps: float) -> Tensor:
    """gradient x output difference / input difference, value by value."""
    # In place: fresh memory costs more here than arithmetic.
    difference = inputs[0] - inputs[1]
    slope = (outputs[0] - outputs[1]).mul_(gradient).div_(difference)
    if float(difference.abs_().amin()) >= eps:
        return slope
    same = difference.lt(eps)
    # The gradient where nothing differs, as at the borders of images.
    torch.ops.aten.threshold_backward(gradient, inputs[0], 0, grad_input=difference)
    return torch.where(same, difference, slope, out=slope)


def max_pool2d(
    module: nn.Module, inputs: Pair, outputs: Pair, gradient: Tensor, eps: float
) -> Tensor:
    """The output difference goes to the maxima of sample and of reference in the window.

    Up to the greater of both outputs it is the sample's maximum that makes the difference, beyond
    it the reference's. Where windows overlap, differences of all that a value is in add up. Where
    inputs do not differ Captum 0.9 takes the
    gradient of the batch's first sample for all; here each sample has its own.
    """
    greater = torch.maximum(*outputs)
    pool: Any = module  # torch's stubs take tuples only, the module may hold plain numbers
    window = {"kernel_size": pool.kernel_size, "stride": pool.stride, "padding": pool.padding}

    sizes = zip(pair(pool.kernel_size), pair(pool.stride), strict=True)
    overlap = any(size > step for size, step in sizes)

    def spread(values: Tensor, where: Tensor) -> Tensor:
        _, indices = F.max_pool2d_with_indices(where, **window, ceil_mode=pool.ceil_mode)
        if overlap:
            flat = torch.zeros_like(where).flatten(2)
            return flat.scatter_add_(2, indices.flatten(2), values.flatten(2)).view_as(where)
        return F.max_unpool2d(values, indices, **window, output_size=list(where.shape))

    difference = inputs[0] - inputs[1]
    total = spread(gradient * (greater - outputs[1]), inputs[0])
    total = total + spread(gradient * (outputs[0] - greater), inputs[1])
    plain = spread(gradient, inputs[0])
    return torch.where(difference.abs() < eps, plain, total / difference)


def clipped(module: nn.Module, inputs: Pair, outputs: Pair, gradient: Tensor, eps: float) -> Tensor:
    """gradient x output difference / input difference; the gradient where inputs are alike."""
    limit = float(module.limit)  # type: ignore[arg-type]
    least = 0.0 if isinstance(module, ClippedReLU) else -limit
    difference = inputs[0] - inputs[1]
    plain = gradient * ((inputs[0] > least) & (inputs[0] < limit))
    slope = gradient * (outputs[0] - outputs[1]) / difference
    return torch.where(difference.abs() < eps, plain, slope)


RULES: dict[type[nn.Module], Rule] = {
    nn.ReLU: relu,
    nn.MaxPool2d: max_pool2d,
    ClippedReLU: clipped,
    Clip: clipped,
}
