"""Brevitas quantizers whose scale is one float parameter, taken as it is.

Brevitas's stock quantizers derive the scale from a threshold (statistic / greatest integer), so
that the scale depends on the arithmetic's precision. Here the parameter *is* the scale: the same
float32 numbers hold in training, in float64 verification and in the exported QONNX file. Gradients
to the scale are those of LSQ (Esser et al., "Learned Step Size Quantization", ICLR 2020).
"""

from __future__ import annotations

import torch
from brevitas.function.ops_ste import binary_sign_ste
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import RestrictValueType, ScalingImplType, ScalingPerOutputType
from brevitas.quant.base import IntQuant, NarrowIntQuant, UintQuant
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver

MIN_SCALE = 1e-8
"""Scales stay positive: thresholds divide by them."""


class UnitIntScaling(torch.nn.Module):
    """Stands for the "greatest integer" by which Brevitas divides the parameter: one."""

    def __init__(self) -> None:
        # Brevitas's dependency injection refuses the *args of nn.Module.__init__.
        super().__init__()

    def forward(self, bit_width: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(bit_width)


class DirectScale(ExtendedInjector):  # type: ignore[misc]
    """One learned scale; calibration replaces its initial value."""

    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_per_output_type = ScalingPerOutputType.TENSOR
    restrict_scaling_type = RestrictValueType.FP
    int_scaling_impl = UnitIntScaling
    scaling_min_val = MIN_SCALE
    scaling_init = 1.0


class TensorWeight(NarrowIntQuant, DirectScale, WeightQuantSolver):  # type: ignore[misc]
    """Signed weights with one scale: the last layer's, so that arg-max needs no multiplier.

    The range is narrow, -(2^(b-1) - 1) .. 2^(b-1) - 1, because FINN's DSP48E1 matrix-vector unit
    takes no other (`finn.transformation.fpgadataflow.specialize_layers`), and because a symmetric
    range keeps quantization unbiased.
    """


class ChannelWeight(TensorWeight):
    """Signed weights, one scale an output channel."""

    scaling_per_output_type = ScalingPerOutputType.CHANNEL


class SignSte(torch.nn.Module):
    """-1 or 1 in the place of rounding; gradients pass straight through.

    Source: Courbariaux et al., "Binarized Neural Networks", NeurIPS 2016.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signs: torch.Tensor = binary_sign_ste(x)
        return signs


class TensorSign(TensorWeight):
    """Weights of 1 bit, -1 and 1 times one scale. To Brevitas they are integers of 2 bits."""

    float_to_int_impl = SignSte


class ChannelSign(TensorSign):
    """Weights of 1 bit, one scale an output channel."""

    scaling_per_output_type = ScalingPerOutputType.CHANNEL


class UnsignedActivation(UintQuant, DirectScale, ActQuantSolver):  # type: ignore[misc]
    """Unsigned activations after a ReLU, one learned scale."""


class SignedActivation(IntQuant, DirectScale, ActQuantSolver):  # type: ignore[misc]
    """Signed activations, as of a layer before it is added to another, one learned scale."""


class UnsignedInput(UnsignedActivation):
    """Unsigned network input with the given, constant scale (`scaling_init`)."""

    scaling_impl_type = ScalingImplType.CONST


class SignedInput(IntQuant, DirectScale, ActQuantSolver):  # type: ignore[misc]
    """Signed network input with the given, constant scale (`scaling_init`)."""

    scaling_impl_type = ScalingImplType.CONST
