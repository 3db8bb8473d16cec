"""The quantized twin of a network: Brevitas layers under the allocated widths, layer names kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

from hw_targets.network import INPUT, Unit
from passes._brevitas_fused import quantized
from passes._brevitas_quantizers import (
    ChannelSign,
    ChannelWeight,
    SignedActivation,
    SignedInput,
    TensorSign,
    TensorWeight,
    UnsignedActivation,
    UnsignedInput,
)
from passes._brevitas_structure import Structure, chain_structure, max_pool
from passes._modules import Pad, Shortcut, Unsqueeze, Upsample

if TYPE_CHECKING:
    from compiler.stages import InputFormat
    from hw_targets.network import LayerShape, NetworkShape

with warnings.catch_warnings():
    # Brevitas strips tensor names; PyTorch warns of that once a process, here and not in a run.
    warnings.simplefilter("ignore")
    torch.empty(1).rename(None)  # type: ignore[no-untyped-call]

Widths = Mapping[str, tuple[int, int]]
"""Layer name -> (weight bits, bits of the activations it governs, 0 for none)."""

Observer = Callable[[Unit, list[torch.Tensor]], None]


class QuantNetwork(nn.Module):
    """QuantConv2d / QuantLinear / QuantReLU / QuantIdentity, wired as `structure` tells.

    Takes float samples (batch, *input_shape) and gives float logits (batch, classes). Layers are
    found by their original names (`get_submodule`), quantizers of activations under `lf_quant`.
    Brevitas's injectors cannot be pickled, so the module pickles as its recipe and its state.

    structure: None for the chain that `network` describes.
    """

    def __init__(
        self,
        network: NetworkShape,
        input_format: InputFormat,
        widths: Widths,
        structure: Structure | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.input_format = input_format
        self.widths = {name: (int(w), int(a)) for name, (w, a) in widths.items()}
        self.structure = chain_structure(network) if structure is None else structure
        self.last_uses = _last_uses(self.structure)
        self.fused = False  # quantize in one step in evaluation too, as training always does
        self.lf_quant = nn.ModuleDict({"input": _input_quant(input_format)})
        shapes = {shape.name: shape for shape in network.layers}
        for unit in self.structure:
            if unit.kind == "layer":
                # One scale for all logits, so that arg-max needs no multiplier.
                whole, bits = unit == self.structure[-1], self.widths[unit.name][0]
                weight, sign = (TensorWeight, TensorSign) if whole else (ChannelWeight, ChannelSign)
                layer = _layer(shapes[unit.name], max(bits, 2), sign if bits == 1 else weight)
                _attach(self, unit.name, layer)
            elif unit.quantizer and unit.quantizer not in self.lf_quant:
                self.lf_quant[unit.quantizer] = _activation_quant(unit, self.widths)

    def layer(self, name: str) -> Any:
        """The QuantConv2d or QuantLinear called `name`."""
        return self.get_submodule(name)

    def quantizers(self) -> dict[str, Unit]:
        """Quantizer of activations -> the first unit that has it, in the order of execution."""
        found: dict[str, Unit] = {}
        for unit in self.structure:
            if unit.quantizer:
                found.setdefault(unit.quantizer, unit)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.observe(x)

    def observe(self, x: torch.Tensor, before: Observer | None = None) -> torch.Tensor:
        """The logits. before: called once a quantizer, ahead of it, with what its units take."""
        values: dict[str, torch.Tensor] = {INPUT: self.lf_quant["input"](x)}
        pending = self.quantizers() if before else {}
        for unit in self.structure:
            if before and pending.pop(unit.quantizer, None):
                users = [other for other in self.structure if other.quantizer == unit.quantizer]
                before(unit, [values[other.inputs[0]] for other in users])
            values[unit.name] = self.compute(unit, [values[source] for source in unit.inputs])
            for name in self.last_uses[unit.name]:
                del values[name]
        return values[self.structure[-1].name]

    def compute(self, unit: Unit, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Output of one unit."""
        if unit.kind == "layer":
            module: Any = self.layer(unit.name)
        elif unit.quantizer:
            module = self.lf_quant[unit.quantizer]
            if self.training or self.fused:
                return quantized(module, inputs[0], unit.limits(self.widths), unit.kind == "relu")
        else:
            return _plain(unit, inputs)
        result: torch.Tensor = module(inputs[0])
        return result

    def __repr__(self) -> str:
        # Brevitas leaves traces of use (export handlers) in its own; this is what makes a network.
        recipe = (self.network, self.input_format, self.widths, self.structure)
        return f"QuantNetwork{recipe!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value.detach().cpu() for key, value in self.state_dict().items()}
        recipe = (self.network, self.input_format, self.widths, self.structure)
        return (_rebuild, (*recipe, state, self.training))


def _rebuild(
    network: NetworkShape,
    input_format: InputFormat,
    widths: Widths,
    structure: Structure,
    state: dict[str, torch.Tensor],
    training: bool,
) -> QuantNetwork:
    module = QuantNetwork(network, input_format, widths, structure)
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


def _last_uses(structure: Structure) -> dict[str, list[str]]:
    """Unit -> the units whose output nobody takes after it."""
    last = {source: unit.name for unit in structure for source in unit.inputs}
    found: dict[str, list[str]] = {unit.name: [] for unit in structure}
    for source, user in last.items():
        found[user].append(source)
    return found


_MOVING: dict[str, Callable[..., nn.Module]] = {
    "shortcut": Shortcut,
    "pad": Pad,
    "unsqueeze": Unsqueeze,
    "upsample": Upsample,
}


def _plain(unit: Unit, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Output of a unit that has neither weights nor a quantizer."""
    x, numbers = inputs[0], unit.numbers
    if unit.kind == "max":
        pooled: torch.Tensor = max_pool(numbers)(x)
        return pooled
    if unit.kind == "flatten":
        return torch.flatten(x, 1)
    if unit.kind in _MOVING:
        result: torch.Tensor = _MOVING[unit.kind](*numbers)(x)
        return result
    if unit.kind == "add":
        return x + inputs[1]
    if unit.kind == "concat":
        return torch.cat(list(inputs), 1)
    if len(numbers) == 2:
        return F.adaptive_avg_pool2d(x, 1)
    kernel, stride, padding = numbers[0:2], numbers[2:4], numbers[4:6]
    return F.avg_pool2d(x, kernel, stride, padding, bool(numbers[6]), bool(numbers[7]))


def _activation_quant(unit: Unit, widths: Widths) -> nn.Module:
    quant = SignedActivation if unit.signed else UnsignedActivation
    kind = QuantReLU if unit.kind == "relu" else QuantIdentity
    module: nn.Module = kind(act_quant=quant, bit_width=unit.bits(widths))
    return module


def _layer(shape: LayerShape, weight_bits: int, quant: type[TensorWeight]) -> nn.Module:
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
        padding=shape.even_padding,
        dilation=shape.dilation,
        groups=shape.groups,
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
