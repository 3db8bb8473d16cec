"""DeepLIFT of every layer from one backward pass.

DeepLIFT (Shrikumar et al., "Learning Important Features Through Propagating Activation
Differences", ICML 2017, arXiv 1704.02685) gives every activation a multiplier m such that the
contributions m x (activation - reference activation) of a layer sum to the difference of the
output. Captum computes m for one layer a run; yet the backward pass that the rescale rule needs
goes through all layers and holds the multipliers of every one of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    """All layers under one batch.

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
        model: in eval mode, on the device of `inputs`; gives (batch, classes). Non-linear modules
            must be of the types in `RULES`, each called once; functional calls are taken for
            linear, which the completeness tells.
        inputs, references: (batch, *sample), one reference a sample.
        coefficients: (batch, classes); the target is sum of coefficients x outputs.
        layers: name -> module of `model`, each called once.

    Raises:
        ValueError: a module has no rule, works in place, or is called more than once.
    """
    from passes._one_pass import OnePassDeepLift

    lift = OnePassDeepLift(_Target(model, coefficients), layers)
    with warnings.catch_warnings():
        # Captum announces the hooks it sets on every call.
        warnings.filterwarnings("ignore", message=r"\s*Setting forward, backward hooks")
        warnings.filterwarnings("ignore", message="Input Tensor .* did not already require grad")
        contributions: Tensor = lift.attribute(inputs.detach(), references.detach())
    return Attribution(lift.found, contributions.detach(), lift.output_delta)


class _Target(nn.Module):
    """(batch,): the outputs of `model` weighted. Linear, so that DeepLIFT is exact through it."""

    def __init__(self, model: nn.Module, coefficients: Tensor) -> None:
        super().__init__()
        self.model = model
        self.coefficients = coefficients

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return (logits * self.coefficients).sum(1)


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


TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "margin": margin,
    "true": true_class,
    "predicted": predicted_class,
}
