"""The quantized twin of a network: Brevitas layers under the allocated widths, layer names kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

from passes._brevitas_quantizers import (
    ChannelWeight,
    SignedInput,
    TensorWeight,
    UnsignedActivation,
    UnsignedInput,
)

if TYPE_CHECKING:
    from compiler.stages import InputFormat
    from hw_targets.network import LayerShape, NetworkShape

with warnings.catch_warnings():
    # Brevitas strips tensor names; PyTorch warns of that once a process, here and not in a run.
    warnings.simplefilter("ignore")
    torch.empty(1).rename(None)  # type: ignore[no-untyped-call]

Widths = Mapping[str, tuple[int, int]]
"""Layer name -> (weight bits, bits of its output activation)."""


class QuantNetwork(nn.Module):
    """A chain of QuantConv2d / QuantLinear -> QuantReLU -> MaxPool2d, as `network` tells it.

    Takes float samples (batch, *input_shape) and gives float logits (batch, classes). Layers are
    found by their original names (`get_submodule`), quantizers of activations under `lf_quant`.
    Brevitas's injectors cannot be pickled, so the module pickles as its recipe and its state.
    """

    def __init__(self, network: NetworkShape, input_format: InputFormat, widths: Widths) -> None:
        super().__init__()
        self.network = network
        self.input_format = input_format
        self.widths = {name: (int(w), int(a)) for name, (w, a) in widths.items()}
        self.lf_quant = nn.ModuleDict({"input": _input_quant(input_format)})
        for index, shape in enumerate(network.layers):
            weight_bits, act_bits = self.widths[shape.name]
            _attach(self, shape.name, _layer(shape, weight_bits))
            if shape.activation:
                self.lf_quant[f"act{index}"] = QuantReLU(
                    act_quant=UnsignedActivation, bit_width=act_bits
                )
            if shape.pool > 1:
                self.lf_quant[f"pool{index}"] = nn.MaxPool2d(shape.pool)

    def layer(self, name: str) -> Any:
        """The QuantConv2d or QuantLinear called `name`."""
        return self.get_submodule(name)

    def activation(self, name: str) -> Any:
        """The QuantReLU after layer `name`."""
        index = [shape.name for shape in self.network.layers].index(name)
        return self.lf_quant[f"act{index}"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.lf_quant["input"](x)
        for index, shape in enumerate(self.network.layers):
            if shape.kind == "dense" and x.dim() > 2:
                x = torch.flatten(x, 1)
            x = self.layer(shape.name)(x)
            if shape.activation:
                x = self.lf_quant[f"act{index}"](x)
            if shape.pool > 1:
                x = self.lf_quant[f"pool{index}"](x)
        return x

    def __repr__(self) -> str:
        # Brevitas leaves traces of use (export handlers) in its own; this is what makes a network.
        return f"QuantNetwork({self.network!r}, {self.input_format!r}, {self.widths!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value.detach().cpu() for key, value in self.state_dict().items()}
        return (_rebuild, (self.network, self.input_format, self.widths, state, self.training))


def _rebuild(
    network: NetworkShape,
    input_format: InputFormat,
    widths: Widths,
    state: dict[str, torch.Tensor],
    training: bool,
) -> QuantNetwork:
    module = QuantNetwork(network, input_format, widths)
    module.load_state_dict(state)
    module.train(training)
    return module


def _input_quant(input_format: InputFormat) -> nn.Module:
    module: nn.Module = QuantIdentity(
        act_quant=SignedInput if input_format.signed else UnsignedInput,
        bit_width=input_format.bits,
        scaling_init=input_format.scale,
    )
    return module


def _layer(shape: LayerShape, weight_bits: int) -> nn.Module:
    quant = ChannelWeight if shape.activation else TensorWeight
    if shape.kind == "dense":
        dense: nn.Module = QuantLinear(
            shape.in_channels,
            shape.out_channels,
            bias=True,
            weight_quant=quant,
            weight_bit_width=weight_bits,
        )
        return dense
    conv: nn.Module = QuantConv2d(
        shape.in_channels,
        shape.out_channels,
        shape.kernel,
        stride=shape.stride,
        padding=shape.padding,
        bias=True,
        weight_quant=quant,
        weight_bit_width=weight_bits,
    )
    return conv


def _attach(root: nn.Module, name: str, module: nn.Module) -> None:
    """Register `module` under a possibly dotted name, making the containers on the way."""
    *parents, last = name.split(".")
    for parent in parents:
        if parent not in dict(root.named_children()):
            root.add_module(parent, nn.Module())
        root = root.get_submodule(parent)
    root.add_module(last, module)
