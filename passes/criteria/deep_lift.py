"""DeepLIFT's contributions of inputs, channels and weights, all from one pass."""

from __future__ import annotations

import copy
import dataclasses
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from compiler.stages import LayerRelevance
from hw_targets.errors import LiftFlowError
from passes._distributed import Team
from passes._graph import activation_sources
from passes.criteria.base import Batch, MeanCriterion, Setup, Shown, per_channel
from passes.criteria.positions import over_positions, weight_gradients
from passes.deeplift import OF_OUTPUTS, Attribution, attribute_targets, target_coefficients

ROUNDING = 1e-5
"""Gaps up to this share of the greatest difference are float32's own."""


@dataclasses.dataclass(frozen=True)
class Gap:
    """The sample whose contributions miss the difference of the target by most, and by how much.

    inputs, references: (1, *sample). coefficients: (1, *outputs).
    """

    size: float = 0.0
    inputs: Tensor | None = None
    references: Tensor | None = None
    coefficients: Tensor | None = None

    def in_double(self, module: nn.Module) -> float:
        """The gap without float32's rounding, which multipliers of close inputs make large.

        The rescale rule divides by differences: where a pooling moves the difference of one value
        to another that hardly differs, what was rounded before comes back by the quotient.
        """
        assert self.inputs is not None
        assert self.references is not None
        assert self.coefficients is not None
        found: list[float] = []
        attribute_targets(
            copy.deepcopy(module).double(),
            self.inputs.double(),
            self.references.double(),
            self.coefficients[None].double(),
            {},
            lambda one: found.append(float(one.completeness.max())),
        )
        return found[0]


class DeepLift(MeanCriterion):
    """channels: what is lost where a channel gives its mean. weights: |gradient| by multipliers.

    A removed channel leaves its mean behind, in the next layer's bias: its score is |sum over
    positions of multiplier x (activation - mean activation)|. Means over samples, and over targets
    where there are several. Times |weight|, the weights' score is the contribution of the weight's
    input difference.

    Source: Shrikumar et al., ICML 2017, arXiv 1704.02685; used for compression by Sabih, Hannig
    and Teich, arXiv 2008.09072.
    """

    needs_references: ClassVar[bool] = True
    needs_means: ClassVar[bool] = True
    nearer_in_chains: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        governed = activation_sources(setup.module)
        self.watched |= {name: setup.module.get_submodule(name) for name in governed}
        self._activations = {name: _Activation(len(m.weight)) for name, m in self.layers.items()}
        self._governed: dict[str, list[str]] = {}
        for relu, layer in governed.items():
            self._governed.setdefault(layer, []).append(relu)
        classes = 0 if setup.target in OF_OUTPUTS else setup.classes
        self._classes = _Classes(classes, {n: len(m.weight) for n, m in self.layers.items()})
        self._averaged: dict[str, Tensor] = {}
        self._shown: dict[int, Tensor] = {}
        self._gap, self._span = Gap(), 0.0

    def add(self, batch: Batch, half: int) -> None:
        assert batch.references is not None
        with torch.no_grad():
            logits = self.setup.module(batch.inputs)
            coefficients = target_coefficients(
                self.setup.target, logits, batch.labels, batch.inputs
            )
        self.means.counts[half] += len(batch.inputs)
        self._classes.count(batch.labels)
        self._averaged = dict(self.averages)
        targets = enumerate(coefficients)

        def visit(found: Attribution) -> None:
            number, target = next(targets)
            with torch.no_grad():
                self._add(found, batch, half, 1 / len(coefficients))
                self._see_gap(found, batch, target)
                if number == 0:
                    self._see_activations(found)

        attribute_targets(
            self.setup.module, batch.inputs, batch.references, coefficients, self.watched, visit
        )

    def merged(self, team: Team) -> Self:
        if team.alone:
            return self
        whole = copy.copy(self)
        whole.means = self.means.merged(team)
        whole._classes = self._classes.merged(team)
        whole._activations = {name: one.merged(team) for name, one in self._activations.items()}
        whole._gap = max(team.all_of(self._gap), key=lambda gap: gap.size)
        whole._span = team.greatest(self._span)
        whole._shown = {
            index: inputs for part in team.all_of(self._shown) for index, inputs in part.items()
        }
        return whole

    def _add(self, found: Attribution, batch: Batch, half: int, share: float) -> None:
        """Takes one target's attribution into the sums, `share` of it."""
        for name, layer in self.layers.items():
            record = found.layers[name]
            scores = self.lost(name, found).abs() * share
            self.means.add_channels(name, half, scores.sum(0))
            self._classes.add(name, scores, batch.labels)
            if self.setup.weights:
                terms = [(record.input_delta, record.multiplier)]
                # A near reference differs by so much less; what weights move does not.
                moved = weight_gradients(layer, terms) * (share / self.setup.distance)
                self.means.add_weights(name, moved)
            self._add_noise(name, found, share)
        self._show(found.inputs, batch, share)

    def _see_gap(self, found: Attribution, batch: Batch, coefficients: Tensor) -> None:
        assert batch.references is not None
        self._span = max(self._span, float(found.output_delta.abs().max()))
        gap, at = found.completeness.max(0)
        if not float(gap) <= self._gap.size:
            of = slice(int(at), int(at) + 1)
            parts = batch.inputs[of], batch.references[of], coefficients[of]
            self._gap = Gap(float(gap), *(part.clone() for part in parts))

    def lost(self, name: str, found: Attribution) -> Tensor:
        """(samples, channels) of the output, where a channel of layer `name` is removed."""
        record = found.layers[self.activations[name]]
        difference = record.outputs - per_channel(self._averaged[name], record.outputs)
        return over_positions(difference.mul_(record.multiplier))

    def _add_noise(self, name: str, found: Attribution, share: float) -> None:
        squares: Tensor | None = None
        for relu in self._governed.get(name, ()):
            record = found.layers[relu]
            part = over_positions((record.multiplier * record.outputs.ne(0)).square_())
            squares = part if squares is None else squares + part
        if squares is not None:
            self._activations[name].noise += (squares.sqrt().sum(0) * share).cpu()

    def _see_activations(self, found: Attribution) -> None:
        for name, relus in self._governed.items():
            for relu in relus:
                self._activations[name].see(found.layers[relu].outputs)

    def _show(self, inputs: Tensor, batch: Batch, share: float) -> None:
        wanted = np.flatnonzero(np.isin(batch.indices, self.setup.shown))
        for at in wanted.tolist():
            index = int(batch.indices[at])
            # Over several targets signs would cancel.
            part = inputs[at] if share == 1 else inputs[at].abs() * share
            kept = self._shown.get(index)
            self._shown[index] = part.cpu().clone() if kept is None else kept + part.cpu()

    def result(self) -> dict[str, LayerRelevance]:
        """Raises LiftFlowError where samples and references do not differ in the target."""
        if self._span == 0:
            raise LiftFlowError(
                "the network's output does not change between training samples",
                where="attribute",
                mend="check that weights are trained, data varies and not too much is removed",
            )
        count = sum(self.means.counts)
        return {
            name: dataclasses.replace(
                scores,
                classes=self._classes.means(name),
                noise=(self._activations[name].noise / count).numpy().astype(np.float32),
                peak=self._activations[name].peak,
                rms=self._activations[name].rms,
            )
            for name, scores in super().result().items()
        }

    @property
    def completeness_delta(self) -> float:
        """Of the worst sample; in double precision where float32 alone may have made it bad."""
        if not self._span:
            return 0.0
        gap = self._gap.size
        if not gap <= ROUNDING * self._span and self._gap.inputs is not None:
            gap = self._gap.in_double(self.setup.module)
        return gap / self._span

    @property
    def shown(self) -> Shown | None:
        samples = [index for index in self.setup.shown.tolist() if index in self._shown]
        if not samples:
            return None
        inputs = torch.stack([self._shown[index] for index in samples])
        return Shown(inputs.numpy().astype(np.float32), np.array(samples, np.int64))


class Contribution(DeepLift):
    """channels: |sum over positions of contribution|, as DeepLIFT has it, against the reference."""

    needs_means: ClassVar[bool] = False

    def lost(self, name: str, found: Attribution) -> Tensor:
        return over_positions(found.layers[name].contributions) / self.setup.distance


class _Activation:
    """Sums over the non-zero values of the activations that a layer's output bits govern.

    noise: (channels,) sum over samples of the root of the sum of squared multipliers.
    """

    def __init__(self, channels: int) -> None:
        self.noise = torch.zeros(channels, dtype=torch.double)
        self.peak = 0.0
        self._squares = 0.0
        self._count = 0

    def see(self, values: Tensor) -> None:
        self.peak = max(self.peak, float(values.max()))
        self._squares += float(values.square().sum(dtype=torch.double))
        self._count += int(values.count_nonzero())

    def merged(self, team: Team) -> _Activation:
        """The same with the sums of all processes."""
        whole = copy.copy(self)
        whole.noise, whole.peak = team.added(self.noise), team.greatest(self.peak)
        sums = torch.tensor([self._squares, self._count], dtype=torch.double)
        whole._squares, whole._count = team.added(sums).tolist()
        return whole

    @property
    def rms(self) -> float:
        return float((self._squares / self._count) ** 0.5) if self._count else 0.0


class _Classes:
    """Sums of channel scores apart for each true class. classes: 0 where samples have none."""

    def __init__(self, classes: int, channels: dict[str, int]) -> None:
        self._counts = torch.zeros(classes, dtype=torch.double)
        self._sums = {
            name: torch.zeros(classes, count, dtype=torch.double)
            for name, count in channels.items()
        }

    def count(self, labels: Tensor) -> None:
        if len(self._counts):
            self._counts += torch.bincount(labels.cpu(), minlength=len(self._counts))

    def add(self, name: str, scores: Tensor, labels: Tensor) -> None:
        """scores: (samples, channels). labels: (samples,)."""
        if len(self._counts):
            self._sums[name].index_add_(0, labels.cpu(), scores.cpu())

    def merged(self, team: Team) -> _Classes:
        """The same with the sums of all processes."""
        whole = copy.copy(self)
        whole._counts = team.added(self._counts)
        whole._sums = {name: team.added(total) for name, total in self._sums.items()}
        return whole

    def means(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
        if not len(self._counts):
            return None
        means = self._sums[name] / self._counts.clamp(min=1)[:, None]
        result: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = means.numpy().astype(np.float32)
        return result
