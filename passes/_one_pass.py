"""Captum's DeepLIFT, made to give the multipliers of all layers in one pass.

Apart from `deeplift`, since importing Captum takes seconds that a run with nothing to attribute
should not spend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from captum.attr import DeepLift
from torch import Tensor, nn

from passes._rescale import RULES, rescaled
from passes.deeplift import Attribution, LayerMultipliers


class OnePassDeepLift(DeepLift):  # type: ignore[misc]
    """Captum's DeepLIFT that gives the multipliers of all `layers`, a target after another.

    `model` gives (targets, batch); `visit` gets every target's attribution.

    Captum runs samples and references as one batch and propagates both back. Here references only
    run forward, and the rescale rule is the derivative of each non-linear module itself instead
    of a hook on its input tensor.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Mapping[str, nn.Module],
        visit: Callable[[Attribution], None],
        reference_as: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__(model)
        self.reference_as = reference_as
        self.layers = layers
        self.visit = visit
        self._output_delta = torch.empty(0)
        self._input_delta = torch.empty(0)
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
        self._input_delta = samples.detach() - references

        def forward() -> Tensor:
            with torch.no_grad(), self.reference_as():
                self._reference_run = True
                reference = model(references)
            self._reference_run = False
            output: Tensor = model(samples)
            self._output_delta = output.detach() - reference
            return output

        return forward

    def _is_non_linear(self, module: nn.Module) -> bool:
        return type(module) in RULES or bool(super()._is_non_linear(module))

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
                targets = torch.unbind(forward())
            sources = (*inputs, *(self._records[name][3] for name in self.layers))
            for at, target in enumerate(targets):
                more = at + 1 < len(targets)
                gradients = torch.autograd.grad(torch.unbind(target), sources, retain_graph=more)
                self.visit(self._attribution(gradients, self._output_delta[at]))
        return gradients[: len(inputs)]

    def _attribution(self, gradients: tuple[Tensor, ...], output_delta: Tensor) -> Attribution:
        found = {}
        for name, multiplier in zip(self.layers, gradients[1:], strict=True):
            reference_in, reference_out, into, out = (t.detach() for t in self._records[name])
            found[name] = LayerMultipliers(into, reference_in, out, reference_out, multiplier)
        return Attribution(found, gradients[0] * self._input_delta, output_delta)

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
