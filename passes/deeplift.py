"""DeepLIFT of every layer from one backward pass.

DeepLIFT (Shrikumar et al., "Learning Important Features Through Propagating Activation
Differences", ICML 2017, arXiv 1704.02685) gives every activation a multiplier m such that the
contributions m x (activation - reference activation) of a layer sum to the difference of the
output. Captum computes m for one layer a run; yet the backward pass that the rescale rule needs
goes through all layers and holds the multipliers of every one of them.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerMultipliers:
    """One layer under one batch. Shapes are (batch, ...) as the layer takes and gives them.

    multiplier: of the layer's output.
    """

    inputs: Tensor
    reference_inputs: Tensor
    outputs: Tensor
    reference_outputs: Tensor
    multiplier: Tensor

    @property
    def input_delta(self) -> Tensor:
        return self.inputs - self.reference_inputs

    @property
    def output_delta(self) -> Tensor:
        return self.outputs - self.reference_outputs

    @property
    def contributions(self) -> Tensor:
        """What `captum.attr.LayerDeepLift` gives for the layer's output."""
        return self.output_delta.mul_(self.multiplier)


@dataclass(frozen=True)
class Attribution:
    """All layers under one batch and one target.

    inputs: contributions of the samples' own values, (batch, *sample). output_delta: (batch,)
    difference of the target between sample and reference.
    """

    layers: Mapping[str, LayerMultipliers]
    inputs: Tensor
    output_delta: Tensor

    @property
    def completeness(self) -> Tensor:
        """(batch,) |sum of the inputs' contributions - difference of the target|."""
        return (self.inputs.flatten(1).sum(1) - self.output_delta).abs()


def attribute_all_layers(
    model: nn.Module,
    inputs: Tensor,
    references: Tensor,
    coefficients: Tensor,
    layers: Mapping[str, nn.Module],
) -> Attribution:
    """DeepLIFT (rescale rule) of all `layers` of `model` in one backward pass.

    Equal to `captum.attr.LayerDeepLift` with `attribute_to_layer_input=False`, to the last bit,
    wherever Captum 0.9 is right: where one non-linear module feeds another directly (ReLU into
    MaxPool) its hooks land on one tensor, the first reads its gradient before the second has put
    its multiplier in, and completeness is lost.

    Args:
        model: in eval mode, on the device of `inputs`; gives (batch, *outputs). Non-linear modules
            must be of the types in `RULES`, each called once; functional calls are taken for
            linear, which the completeness tells.
        inputs, references: (batch, *sample), one reference a sample.
        coefficients: (batch, *outputs); the target is sum of coefficients x outputs.
        layers: name -> module of `model`, each called once.

    Raises:
        ValueError: a module has no rule, works in place, or is called more than once.
    """
    found: list[Attribution] = []
    attribute_targets(model, inputs, references, coefficients[None], layers, found.append)
    return found[0]


def attribute_targets(
    model: nn.Module,
    inputs: Tensor,
    references: Tensor,
    coefficients: Tensor,
    layers: Mapping[str, nn.Module],
    visit: Callable[[Attribution], None],
    reference_as: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> None:
    """`attribute_all_layers` for several targets: one forward pass, a backward pass a target.

    Args:
        coefficients: (targets, batch, *outputs).
        reference_as: the references run inside of it; another state of `model` then.
        visit: called with each target's attribution in turn; what it does not keep is freed before
            the next, so that memory does not grow with the targets.
    """
    from passes._one_pass import OnePassDeepLift

    lift = OnePassDeepLift(_Targets(model, coefficients), layers, visit, reference_as)
    with warnings.catch_warnings(), full_precision(inputs.device):
        # Captum announces the hooks it sets on every call.
        warnings.filterwarnings("ignore", message=r"\s*Setting forward, backward hooks")
        warnings.filterwarnings("ignore", message="Input Tensor .* did not already require grad")
        lift.attribute(inputs.detach(), references.detach())
    # It refers to itself by this; what it holds would stay until the garbage collector comes by.
    del lift.gradient_func


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Float32 throughout: no autocast, no TensorFloat-32.

    Differences between a sample and its reference lose to rounding what they have in common.
    """
    cudnn: Any = torch.backends.cudnn  # its stubs leave `conv` out
    units = (cudnn.conv, torch.backends.cuda.matmul)
    before = [unit.fp32_precision for unit in units]
    try:
        if device.type == "cuda":
            for unit in units:
                unit.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if device.type == "cuda":
            for unit, precision in zip(units, before, strict=True):
                unit.fp32_precision = precision


class _Targets(nn.Module):
    """(targets, batch): outputs of `model` weighted. Linear, so that DeepLIFT is exact through it.

    coefficients: (targets, batch, *outputs).
    """

    def __init__(self, model: nn.Module, coefficients: Tensor) -> None:
        super().__init__()
        self.model = model
        self.coefficients = coefficients

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.model(x)
        return (outputs * self.coefficients).flatten(2).sum(2)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """(batch, classes) coefficients of: logit of the label minus the best other logit."""
    true = true_class(logits, labels)
    others = logits.masked_fill(true.bool(), -torch.inf)
    return true.scatter_(1, others.argmax(1, keepdim=True), -1.0)


def true_class(logits: Tensor, labels: Tensor) -> Tensor:
    """(batch, classes) coefficients of: logit of the label."""
    return torch.zeros_like(logits).scatter_(1, labels[:, None], 1.0)


def predicted_class(logits: Tensor, _labels: Tensor) -> Tensor:
    """(batch, classes) coefficients of: the greatest logit."""
    return torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)


def every_output(logits: Tensor, _labels: Tensor) -> Tensor:
    """(outputs, batch, *outputs) coefficients of: each output in turn."""
    shape = logits.shape[1:]
    one_each = torch.eye(shape.numel(), dtype=logits.dtype, device=logits.device)
    return one_each.reshape(-1, 1, *shape).expand(-1, len(logits), *shape)


def random_signs(outputs: Tensor, inputs: Tensor) -> Tensor:
    """(batch, *outputs) coefficients of: all outputs, each with a sign drawn for the sample.

    What changes the outputs by d changes this by sum of s d, of which the mean square over the
    signs s is the sum of squares of d: one backward pass tells what all outputs move by together,
    as a squared error counts it. A sample's signs depend on its values alone, so that they are the
    same for every network and in every batch.

    Source: Johnson and Lindenstrauss, 1984; with signs, Achlioptas, PODS 2001.
    """
    drawn = []
    for sample in inputs.detach().cpu():
        seed = zlib.crc32(sample.contiguous().numpy().tobytes())
        drawn.append(np.random.default_rng(seed).integers(0, 2, outputs.shape[1:]) * 2 - 1)
    return torch.from_numpy(np.stack(drawn)).to(outputs)


SIGNS = "signs"

TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "margin": margin,
    "true": true_class,
    "predicted": predicted_class,
    "all": every_output,
    "output": every_output,
}
"""Name -> (outputs (batch, *outputs), labels (batch,)) -> coefficients, of one target or
of several.

"all" and "output" are the same sum; that of a regression is called "output" and has no classes.
"""

OF_OUTPUTS = ("output", SIGNS)
"""Targets that ask for no class: those of a regression."""


def target_coefficients(target: str, outputs: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
    """(targets, batch, *outputs) coefficients of `target`, a name in `TARGETS` or SIGNS."""
    if target == SIGNS:
        return random_signs(outputs, inputs)[None]
    found = TARGETS[target](outputs, labels)
    return found if found.dim() > outputs.dim() else found[None]
