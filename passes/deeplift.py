"""DeepLIFT of every layer from one backward pass.

DeepLIFT (Shrikumar et al., "Learning Important Features Through Propagating Activation
Differences", ICML 2017, arXiv 1704.02685) gives every activation a multiplier m such that the
contributions m x (activation - reference activation) of a layer sum to the difference of the
output. Captum computes m for one layer a run; yet the backward pass that the rescale rule needs
goes through all layers and holds the multipliers of every one of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import DeepLift
from torch import Tensor, nn

from passes._rescale import RULES, rescaled


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
    lift = OnePassDeepLift(_Target(model, coefficients), layers)
    with warnings.catch_warnings():
        # Captum announces the hooks it sets on every call.
        warnings.filterwarnings("ignore", message=r"\s*Setting forward, backward hooks")
        warnings.filterwarnings("ignore", message="Input Tensor .* did not already require grad")
        contributions: Tensor = lift.attribute(inputs.detach(), references.detach())
    return Attribution(lift.found, contributions.detach(), lift.output_delta)


class OnePassDeepLift(DeepLift):  # type: ignore[misc]
    """Captum's DeepLIFT that keeps the multipliers of all `layers` of a run in `found`.

    Captum runs samples and references as one batch and propagates both back. Here references only
    run forward, and the rescale rule is the derivative of each non-linear module itself instead
    of a hook on its input tensor.
    """

    def __init__(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        super().__init__(model)
        self.layers = layers
        self.found: dict[str, LayerMultipliers] = {}
        self.output_delta = torch.empty(0)
        self._reference_run = False
        self._references: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._records: dict[str, list[Tensor]] = {}
        # Captum calls this, its hooks being set, instead of computing the inputs' gradients.
        self.gradient_func = self._gradients

    def _hook_main_model(self) -> list[Any]:
        return []  # Captum's would join samples and references into one batch

    def _construct_forward_func(
        self, model: nn.Module, inputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], *_: Any
    ) -> Callable[[], Tensor]:
        (samples,), (references,) = inputs

        def forward() -> Tensor:
            with torch.no_grad():
                self._reference_run = True
                reference = model(references)
            self._reference_run = False
            output: Tensor = model(samples)
            self.output_delta = output.detach() - reference
            return output

        return forward

    def _register_hooks(self, module: nn.Module, *_: Any) -> None:
        if not self._is_non_linear(module):
            return
        if type(module) not in RULES:
            raise ValueError(f"no DeepLIFT rule for {type(module).__name__}")
        if getattr(module, "inplace", False):
            raise ValueError(f"{type(module).__name__} works in place")
        self.forward_handles.append(module.register_forward_hook(self._rescale))

    def _rescale(
        self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor
    ) -> Tensor | None:
        if not self._reference_run:
            if module not in self._references:
                raise ValueError(f"{type(module).__name__} is called more than once")
            return rescaled(module, args[0], output, *self._references.pop(module), self.eps)
        self._references[module] = (args[0], output)
        return None

    def _gradients(
        self, forward: Callable[[], Tensor], inputs: tuple[Tensor, ...], *_: Any
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            with self._recording():
                target = forward()
            outputs = [self._records[name][3] for name in self.layers]
            gradients = torch.autograd.grad(torch.unbind(target), (*inputs, *outputs))
        for name, multiplier in zip(self.layers, gradients[len(inputs) :], strict=True):
            reference_in, reference_out, into, out = (t.detach() for t in self._records[name])
            self.found[name] = LayerMultipliers(into, reference_in, out, reference_out, multiplier)
        return gradients[: len(inputs)]

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Keeps what each layer takes and gives, for the reference and then for the sample."""

        def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
                record = self._records.setdefault(name, [])
                if len(record) == (2 if self._reference_run else 4):
                    raise ValueError(f"{name} is called more than once")
                record += [args[0], output]

            return hook

        handles = [m.register_forward_hook(recorder(name)) for name, m in self.layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


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
