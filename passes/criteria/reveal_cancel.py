"""DeepLIFT by its other rule, RevealCancel: what raises a value and what lowers it go apart.

The rescale rule sees the sum of a value's difference from the reference: two inputs that cancel
look like none. RevealCancel takes what raises a value and what lowers it apart, with a multiplier
each, and gives a non-linear step's output to either as the mean over both orders in which they may
come.

Its authors keep both parts apart through the whole network. They never cancel then and grow by a
factor a layer, until behind many layers rounding is as large as the output that is explained. Here
the parts are added up before each layer, which takes them apart anew; contributions then sum to the
output's difference as those of the rescale rule do.

Source: Shrikumar et al., ICML 2017, arXiv 1704.02685, sections 3.4 and 3.5.3.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hw_targets.errors import LiftFlowError
from hw_targets.network import INPUT
from passes._graph import wired_steps
from passes._modules import Add, Clip, ClippedReLU, Concat, Pad, Shortcut, Unsqueeze, Upsample
from passes._rescale import rescaled
from passes.criteria.base import Batch, MeanCriterion, Setup, per_channel
from passes.criteria.positions import over_positions, weight_gradients
from passes.deeplift import full_precision, target_coefficients

POINTWISE = (nn.ReLU, ClippedReLU, Clip)
CARRYING = (
    Add, Concat, Pad, Shortcut, Unsqueeze, Upsample,
    nn.Flatten, nn.Identity, nn.AvgPool2d, nn.AdaptiveAvgPool2d,
)  # fmt: skip
"""Steps that give non-negative multiples of what they take: signs stay."""
EPSILON = 1e-6
"""Parts of a difference smaller than this have the slope of the step itself, as in Captum."""
ROUNDING = 1e-9
"""Of its parts' size: a sum of them that is smaller is 0, computed in double."""


@dataclass(frozen=True)
class Parts:
    """A value's difference from its reference, as two tensors of its shape.

    positive: what raises the value. negative: what lowers it, at most 0.
    """

    positive: Tensor
    negative: Tensor

    @classmethod
    def of(cls, difference: Tensor, cancelled: Tensor | None = None) -> Parts:
        """Of which nothing but itself is known: one of them is 0.

        Where it is 0, or `cancelled` says that it is but for rounding, what moves it moves half of
        either: it has the mean of both multipliers, whichever way rounding went.
        """
        sign = difference.detach()
        if cancelled is not None:
            sign = sign.masked_fill(cancelled, 0.0)
        raises = torch.heaviside(sign, sign.new_tensor(0.5))
        return cls(difference * raises, difference * (1 - raises))

    @property
    def both(self) -> Tensor:
        return self.positive + self.negative

    def netted(self) -> Parts:
        """Added up, and taken apart anew as if nothing else were known of the sum."""
        both = self.both
        return Parts.of(both, both.abs() <= ROUNDING * (self.positive - self.negative))


class RevealCancel(MeanCriterion):
    """Scores as those of `deeplift`, with the multiplier of the part that a removal moves.

    channels: |sum over positions of multiplier x (activation - mean activation)|, where what is
    above the mean has the multiplier of the positive part and what is below that of the negative.
    weights: |sum over positions of what the weight gives to either part x its multiplier|, a unit.
    """

    needs_references: ClassVar[bool] = True
    needs_means: ClassVar[bool] = True
    nearer_in_chains: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        """Raises LiftFlowError naming the first step that has no rule here."""
        super().__init__(setup)
        known = (nn.Conv2d, nn.Linear, nn.MaxPool2d, *POINTWISE, *CARRYING)
        # In double: a slope is a difference of outputs by one of inputs, which may be tiny.
        self._steps = wired_steps(copy.deepcopy(setup.module).double())
        for step in self._steps:
            if not isinstance(step.module, known):
                what = f"no RevealCancel rule for {type(step.module).__name__}"
                mend = "use another criterion, such as deeplift"
                raise LiftFlowError(what, where=step.name, mend=mend)
        self._gap, self._span = 0.0, 0.0

    def add(self, batch: Batch, half: int) -> None:
        assert batch.references is not None
        with torch.no_grad(), full_precision(batch.inputs.device):
            outputs = self.setup.module(batch.inputs)
            targets = target_coefficients(self.setup.target, outputs, batch.labels, batch.inputs)
            references = self._values(batch.references.double())
            samples = self._values(batch.inputs.double())
        self.means.counts[half] += len(batch.inputs)
        with torch.enable_grad(), full_precision(batch.inputs.device):
            parts = self._parts(samples, references)
            watched = [INPUT, *self.watched]
            sources = [part for name in watched for part in _tensors(parts[name])]
            moved = parts[self._steps[-1].name].both
            for at, coefficients in enumerate(targets):
                target = (moved * coefficients).flatten(1).sum(1)
                more = at + 1 < len(targets)
                found = torch.autograd.grad(target.sum(), sources, retain_graph=more)
                pairs = zip(found[::2], found[1::2], strict=True)
                multipliers = dict(zip(watched, (Parts(*pair) for pair in pairs), strict=True))
                self._add(parts, references, multipliers, half, 1 / len(targets))
                self._see_gap(parts[INPUT], multipliers[INPUT], target.detach())

    def _values(self, inputs: Tensor) -> dict[str, Tensor]:
        """What every step gives, and the inputs."""
        values = {INPUT: inputs}
        for step in self._steps:
            values[step.name] = step.module(*(values[source] for source in step.inputs))
        return values

    def _parts(
        self, samples: Mapping[str, Tensor], references: Mapping[str, Tensor]
    ) -> dict[str, Parts]:
        """Of what every step gives; their derivatives are the multipliers."""
        parts = {INPUT: _apart(Parts.of(samples[INPUT] - references[INPUT]))}
        for step in self._steps:
            taken = [parts[source] for source in step.inputs]
            values = [(given[step.inputs[0]], given[step.name]) for given in (samples, references)]
            parts[step.name] = _apart(_through(step.module, taken, *values))
        return parts

    @torch.no_grad()
    def _add(
        self,
        parts: Mapping[str, Parts],
        references: Mapping[str, Tensor],
        multipliers: Mapping[str, Parts],
        half: int,
        share: float,
    ) -> None:
        for step in self._steps:
            if step.name not in self.layers:
                continue
            name, layer = step.name, self.layers[step.name]
            at = self.activations[name]
            value = references[at] + parts[at].both
            lost = Parts.of(value - per_channel(self.averages[name], value))
            weighed = lost.positive * multipliers[at].positive
            weighed += lost.negative * multipliers[at].negative
            self.means.add_channels(name, half, over_positions(weighed).abs().sum(0) * share)
            if self.setup.weights:
                (source,) = step.inputs
                raising, lowering = _tensors(parts[source].netted())
                up, down = _tensors(multipliers[name])
                # A positive weight keeps the parts' signs, a negative one turns them.
                kept = weight_gradients(layer, [(raising, up), (lowering, down)])
                turned = weight_gradients(layer, [(raising, down), (lowering, up)])
                scores = torch.where(layer.weight >= 0, kept, turned)
                self.means.add_weights(name, scores * (share / self.setup.distance))

    def _see_gap(self, inputs: Parts, multipliers: Parts, moved: Tensor) -> None:
        told = inputs.positive * multipliers.positive + inputs.negative * multipliers.negative
        gap = told.detach().flatten(1).sum(1) - moved
        self._gap = max(self._gap, float(gap.abs().max()))
        self._span = max(self._span, float(moved.abs().max()))

    @property
    def completeness_delta(self) -> float:
        return self._gap / self._span if self._span else 0.0


def _through(
    module: nn.Module,
    taken: list[Parts],
    sample: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
) -> Parts:
    """Parts of a step's output. sample, reference: what it takes and gives for either."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        return _weighed(module, taken[0].netted())
    if isinstance(module, POINTWISE):
        return _revealed(module, taken[0], reference[0])
    if isinstance(module, nn.MaxPool2d):
        # Exact values: equal ones, as zeros behind a ReLU, must stay equal. Only slopes come from
        # the parts.
        both = taken[0].both
        inputs = sample[0] + (both - both.detach())
        moved = rescaled(module, inputs, sample[1], *reference, EPSILON) - reference[1]
        return Parts.of(moved)
    return Parts(module(*(one.positive for one in taken)), module(*(one.negative for one in taken)))


def _weighed(layer: nn.Conv2d | nn.Linear, taken: Parts) -> Parts:
    def applied(values: Tensor, weight: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            return F.linear(values, weight)
        return F.conv2d(
            values, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
        )

    weight = layer.weight.detach()
    raising, lowering = weight.clamp(min=0), weight.clamp(max=0)
    return Parts(
        applied(taken.positive, raising) + applied(taken.negative, lowering),
        applied(taken.positive, lowering) + applied(taken.negative, raising),
    )


def _revealed(module: nn.Module, taken: Parts, before: Tensor) -> Parts:
    """Either part's effect, the mean of coming first and of coming second."""
    with torch.no_grad():
        positive, negative = _tensors(taken)
        neither, both = module(before), module(before + positive + negative)
        raised, lowered = module(before + positive), module(before + negative)
        ups = ((raised - neither) + (both - lowered)) / 2
        downs = ((lowered - neither) + (both - raised)) / 2
        slope = _slope(module, before)
        slopes = [
            torch.where(part.abs() < EPSILON, slope, moved / part)
            for part, moved in ((positive, ups), (negative, downs))
        ]
    return Parts(taken.positive * slopes[0], taken.negative * slopes[1])


@torch.enable_grad()
def _slope(module: nn.Module, at: Tensor) -> Tensor:
    at = at.detach().requires_grad_()
    return torch.autograd.grad(module(at).sum(), at)[0]


def _apart(parts: Parts) -> Parts:
    """Parts that gradients can be asked for, also those of the inputs."""
    if parts.positive.requires_grad:
        return parts
    return Parts(parts.positive.requires_grad_(), parts.negative.requires_grad_())


def _tensors(parts: Parts) -> tuple[Tensor, Tensor]:
    return parts.positive, parts.negative
