"""Layer-wise relevance propagation, by Captum."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hw_targets.errors import LiftFlowError
from passes._graph import layers_of
from passes.criteria.base import Batch, MeanCriterion, Setup, recorded, refuse_unless
from passes.criteria.positions import over_positions, weight_gradients
from passes.deeplift import SIGNS, target_coefficients

KNOWN = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.Flatten)
EPSILON = 1e-9
"""Captum's default stabiliser of the epsilon rule."""


class Lrp(MeanCriterion):
    """channels: |sum over positions of relevance|. weights: |relevance that the weight carries|.

    The epsilon rule on a chain of convolutions, dense layers, ReLU and max pooling, where for a
    vanishing epsilon it is gradient x activation (Ancona et al., arXiv 1711.06104). Where the
    target takes one output from another, so do their relevances.

    Source: Bach et al., PLOS ONE 2015, doi 10.1371/journal.pone.0130140; captum.attr.LayerLRP.
    """

    def __init__(self, setup: Setup) -> None:
        """Raises LiftFlowError naming the first module that has no rule here, or the target."""
        super().__init__(setup)
        if setup.target == SIGNS:
            what = "layer-wise relevance propagation explains single outputs, not signs"
            raise LiftFlowError(what, where="attribute", mend="use another criterion or target")
        mend = "use another criterion, such as deeplift"
        refuse_unless(setup.module, KNOWN, "layer-wise relevance propagation rule", mend)
        # Captum leaves tensors on the modules it went through.
        self._copy = copy.deepcopy(setup.module)

    def add(self, batch: Batch, half: int) -> None:
        self.means.counts[half] += len(batch.inputs)
        values: dict[str, tuple[Tensor, Tensor]] = {}

        def keep(name: str, taken: Tensor, given: Tensor) -> None:
            values[name] = taken, given

        with torch.no_grad():
            logits = recorded(self.layers, keep, lambda: self.setup.module(batch.inputs))
            targets = target_coefficients(self.setup.target, logits, batch.labels, batch.inputs)
        for coefficients in targets:
            for name, relevance in self._relevances(batch.inputs, coefficients).items():
                self._add(name, half, *values[name], relevance, 1 / len(targets))

    @torch.no_grad()
    def _add(
        self, name: str, half: int, taken: Tensor, given: Tensor, relevance: Tensor, share: float
    ) -> None:
        scores = over_positions(relevance).abs()
        self.means.add_channels(name, half, scores.sum(0) * share)
        # A weight carries weight x input of the relevance a unit of its output.
        stable = given + torch.where(given < 0, -EPSILON, EPSILON)
        found = weight_gradients(self.layers[name], [(taken, relevance / stable)])
        self.means.add_weights(name, found * share)

    def _relevances(self, inputs: Tensor, coefficients: Tensor) -> dict[str, Tensor]:
        """Layer -> relevance of its output, coefficients' positive output less the negative."""
        positive = self._of_output(inputs, coefficients.argmax(1))
        if not bool((coefficients < 0).any()):
            return positive
        negative = self._of_output(inputs, coefficients.argmin(1))
        return {name: positive[name] - negative[name] for name in positive}

    def _of_output(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Layer -> relevance of its output for output `target` (batch,)."""
        # Importing Captum takes seconds that other criteria should not spend.
        from captum.attr import LayerLRP
        from captum.attr._utils.lrp_rules import EpsilonRule

        for part in self._copy.modules():
            if isinstance(part, nn.Flatten):  # Captum has no rule for it, and drops ours each time
                part.rule = EpsilonRule()  # type: ignore[assignment]
        layers = layers_of(self._copy)
        found = LayerLRP(self._copy, list(layers.values())).attribute(inputs, target=target)
        return {name: part.detach() for name, part in zip(layers, found, strict=True)}
