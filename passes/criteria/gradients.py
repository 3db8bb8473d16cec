"""Criteria from gradients with respect to what layers give."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from passes._distill import sample_losses
from passes.criteria.base import Batch, MeanCriterion, per_channel, recorded
from passes.criteria.positions import over_positions, weight_gradients
from passes.deeplift import target_coefficients

Records = dict[str, tuple[Tensor, Tensor]]
"""Layer -> (what it takes, what it gives)."""


class OfGradients(MeanCriterion):
    """channels: |sum over positions of activation x gradient|. weights: |gradient| of the weight.

    Means over samples, each sample's gradient for itself, and over objectives.
    """

    def add(self, batch: Batch, half: int) -> None:
        self.means.counts[half] += len(batch.inputs)
        records: Records = {}
        with torch.enable_grad():
            logits = self._run(batch.inputs.detach().requires_grad_(), records)
            objectives = torch.unbind(self.objectives(logits, batch))
        against = self.differences(records, batch)
        outputs = [records[name][1] for name in self.watched]
        for at, objective in enumerate(objectives):
            more = at + 1 < len(objectives)
            ones = torch.ones_like(objective)
            found = torch.autograd.grad(objective, outputs, ones, retain_graph=more)
            gradients = dict(zip(self.watched, found, strict=True))
            for name in self.layers:
                self._add(name, half, against, gradients, 1 / len(objectives))

    @abstractmethod
    def objectives(self, logits: Tensor, batch: Batch) -> Tensor:
        """(objectives, batch): what is differentiated."""

    def differences(self, records: Records, batch: Batch) -> Records:
        """What gradients are multiplied with: the values themselves, unless a criterion differs."""
        return {name: (taken.detach(), given.detach()) for name, (taken, given) in records.items()}

    def _run(self, inputs: Tensor, records: Records) -> Tensor:
        def keep(name: str, taken: Tensor, given: Tensor) -> None:
            records[name] = taken, given

        return recorded(self.watched, keep, lambda: self.setup.module(inputs))

    @torch.no_grad()
    def _add(
        self, name: str, half: int, values: Records, gradients: Mapping[str, Tensor], share: float
    ) -> None:
        given = self.activations[name]
        scores = over_positions(values[given][1] * gradients[given]).abs()
        self.means.add_channels(name, half, scores.sum(0) * share)
        if self.setup.weights:
            found = weight_gradients(self.layers[name], [(values[name][0], gradients[name])])
            self.means.add_weights(name, found * share)


class Taylor(OfGradients):
    """First order of the loss: cross entropy, or the squared error of a regression.

    Source: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient
    Inference", ICLR 2017, arXiv 1611.06440; of weights, "Importance Estimation for Neural Network
    Pruning", CVPR 2019, arXiv 1906.10771.
    """

    needs_classes: ClassVar[bool] = True

    def objectives(self, logits: Tensor, batch: Batch) -> Tensor:
        return sample_losses(logits, batch.labels)[None]


class Gradient(OfGradients):
    """Gradient x activation of the target.

    Source: Shrikumar et al., "Not Just a Black Box", arXiv 1605.01713.
    """

    def objectives(self, logits: Tensor, batch: Batch) -> Tensor:
        coefficients = target_coefficients(
            self.setup.target, logits.detach(), batch.labels, batch.inputs
        )
        return (logits * coefficients).flatten(2).sum(2)


class GradientReference(Gradient):
    """Gradient x (activation - reference activation) of the target.

    References and target are DeepLIFT's, so that its multiplier alone differs.
    """

    needs_references: ClassVar[bool] = True

    def differences(self, records: Records, batch: Batch) -> Records:
        assert batch.references is not None
        references: Records = {}
        with torch.no_grad():
            self._run(batch.references, references)
        return {
            name: (records[name][0].detach() - taken, records[name][1].detach() - given)
            for name, (taken, given) in references.items()
        }


class GradientMean(Gradient):
    """Gradient x (activation - its mean) of the target: what DeepLIFT's multiplier must beat.

    Scores of weights are those of the plain gradient.
    """

    needs_means: ClassVar[bool] = True

    def differences(self, records: Records, batch: Batch) -> Records:
        averages = self.averages
        found = super().differences(records, batch)
        for layer, name in self.activations.items():
            taken, given = found[name]
            found[name] = taken, given - per_channel(averages[layer], given)
        return found
