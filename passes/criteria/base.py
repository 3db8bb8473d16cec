"""What a criterion is: it takes samples batch by batch and gives every layer's relevance."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compiler.stages import FloatArray, FoldedNorm, LabelArray, LayerRelevance
from hw_targets.errors import LiftFlowError
from passes._distributed import Team
from passes._graph import layers_of, users_of, wired_steps
from passes._modules import Clip

Layer = nn.Conv2d | nn.Linear
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Setup:
    """What a criterion may know besides the samples.

    module: prepared network in eval mode, on the device of the samples. target: what DeepLIFT and
    the criteria that share it explain. classes: of the data set, 0 of a regression. norms: layer ->
    its folded batch norms. shown: indices of the training samples whose inputs' contributions are
    kept. weights: False where only channels are asked for; weights' scores are 0. distance: share
    of the way from a sample to what is named as reference, where its reference lies.
    """

    module: nn.Module
    target: str
    classes: int
    rng: np.random.Generator
    norms: Mapping[str, FoldedNorm]
    shown: LabelArray
    weights: bool = True
    distance: float = 1.0


@dataclass(frozen=True)
class Batch:
    """Samples, on the device of the network.

    indices: (batch,) of the training samples. inputs: (batch, *sample). labels: (batch,), of a
    regression (batch, *outputs).
    references: as `inputs`; None for criteria that compare with none.
    """

    indices: LabelArray
    inputs: Tensor
    labels: Tensor
    references: Tensor | None


@dataclass(frozen=True)
class Shown:
    """inputs: (k, *sample) contributions of the values of training samples `samples` (k,)."""

    inputs: FloatArray
    samples: LabelArray


class Criterion(ABC):
    """Scores of all channels and weights of one network.

    Subclasses keep sums that do not grow with the samples. Those behind the channels' scores are
    kept for two disjoint halves of the samples, which tell how stable the ranking is.
    """

    needs_samples: ClassVar[bool] = True
    needs_references: ClassVar[bool] = False
    needs_means: ClassVar[bool] = False
    """What activations are on average: it looks at samples before it takes any in."""
    needs_classes: ClassVar[bool] = False
    """What is right for every sample, a class or the outputs wanted."""
    divides: ClassVar[bool] = False
    """Can the samples be divided among processes, as `merged` adds up their sums?"""
    nearer_in_chains: ClassVar[bool] = False
    """Are references nearer to the sample better for it where no branch goes past a layer?"""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.layers: dict[str, Layer] = layers_of(setup.module)
        self.activations = activations_of(setup.module)
        self.watched: dict[str, nn.Module] = {
            **self.layers,
            **{name: setup.module.get_submodule(name) for name in self.activations.values()},
        }
        self._averages = Averages()

    @property
    def averages(self) -> Mapping[str, Tensor]:
        """Layer -> (out_channels,) mean of its activation over the samples looked at."""
        return self._averages.means

    def look(self, inputs: Tensor) -> None:
        """Takes samples into `averages`."""
        givers = {layer: self.watched[name] for layer, name in self.activations.items()}
        with torch.no_grad():
            recorded(
                givers,
                lambda name, _taken, given: self._averages.add(name, given),
                lambda: self.setup.module(inputs),
            )

    def add(self, batch: Batch, half: int) -> None:  # noqa: B027  a criterion may need no samples
        """Takes more samples into the sums of `half`, 0 or 1."""

    def merged(self, _team: Team) -> Self:
        """The same with the samples of all processes of the team; more may be added to this one."""
        return self

    @abstractmethod
    def channels(self, half: int | None = None) -> Scores:
        """Layer -> (out_channels,) scores by the samples so far of one half, or of both."""

    @abstractmethod
    def weights(self) -> Scores:
        """Layer -> importance per unit of |weight| by the samples so far, shape of the weight."""

    def result(self) -> dict[str, LayerRelevance]:
        """Layer -> relevance by all samples so far."""
        channels, weights = self.channels(), self.weights()
        return {
            name: LayerRelevance(
                channels[name].astype(np.float32), weights[name].astype(np.float32)
            )
            for name in self.layers
        }

    @property
    def completeness_delta(self) -> float:
        """Relative gap to completeness; 0.0 for criteria that claim none."""
        return 0.0

    @property
    def shown(self) -> Shown | None:
        """Contributions of input values; None for criteria that give none."""
        return None

    def rows(self, name: str) -> NDArray[np.float64]:
        """(out_channels, weights of one) |weight| of a layer, in double."""
        weight = self.layers[name].weight.detach().abs().flatten(1)
        result: NDArray[np.float64] = weight.double().cpu().numpy()
        return result

    def trained(self, name: str) -> NDArray[np.float64]:
        """(out_channels, weights of one) weights as they were trained, norms not folded in."""
        weight: NDArray[np.float64]
        weight = self.layers[name].weight.detach().flatten(1).double().cpu().numpy()
        norm = self.setup.norms.get(name)
        if norm is None:
            return weight
        scale = norm.scale.astype(np.float64)[:, None]
        return np.divide(weight, scale, out=np.zeros_like(weight), where=scale != 0)


class Averages:
    """Means over samples and positions, channel by channel, summed in double."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        """values: (samples, channels, ...)."""
        part = values.transpose(0, 1).flatten(1).sum(1, dtype=torch.double)
        self._sums[name] = self._sums[name] + part if name in self._sums else part
        self._counts[name] = self._counts.get(name, 0) + values[:, 0].numel()

    @property
    def means(self) -> Mapping[str, Tensor]:
        return {name: (total / self._counts[name]).float() for name, total in self._sums.items()}


def activations_of(module: nn.Module) -> dict[str, str]:
    """Layer -> the step that gives its activation: the ReLU alone behind it, or the layer."""
    steps = wired_steps(module)
    users = users_of(steps)
    found = {}
    for name in layers_of(module):
        followers = users[name]
        alone = len(followers) == 1 and isinstance(followers[0].module, nn.ReLU | Clip)
        found[name] = followers[0].name if alone else name
    return found


class Means:
    """Means over samples of one number a channel and one a weight, summed in double on the CPU.

    The figures must not depend on how samples fall into batches.
    """

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.double)

        self.channels = {name: zeros(2, len(layer.weight)) for name, layer in layers.items()}
        self.weights = {name: zeros(*layer.weight.shape) for name, layer in layers.items()}
        self.counts = [0, 0]

    def add_channels(self, name: str, half: int, total: Tensor) -> None:
        """total: (out_channels,) sum over samples."""
        self.channels[name][half] += total.cpu()

    def add_weights(self, name: str, total: Tensor) -> None:
        """total: sum over samples, shape of the weight."""
        self.weights[name] += total.cpu()

    def merged(self, team: Team) -> Means:
        """The same with the sums of all processes."""
        whole = copy.copy(self)
        whole.channels = {name: team.added(total) for name, total in self.channels.items()}
        whole.weights = {name: team.added(total) for name, total in self.weights.items()}
        whole.counts = team.added(torch.tensor(self.counts)).tolist()
        return whole

    def channel_means(self, half: int | None) -> Scores:
        """Layer -> (out_channels,) of one half or of both."""
        if half is None:
            count = max(1, sum(self.counts))
            return {name: (total.sum(0) / count).numpy() for name, total in self.channels.items()}
        count = max(1, self.counts[half])
        return {name: (total[half] / count).numpy() for name, total in self.channels.items()}

    def weight_means(self) -> Scores:
        count = max(1, sum(self.counts))
        return {name: (total / count).numpy() for name, total in self.weights.items()}


class MeanCriterion(Criterion):
    """A criterion whose scores are means over samples."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.means = Means(self.layers)

    def channels(self, half: int | None = None) -> Scores:
        return self.means.channel_means(half)

    def weights(self) -> Scores:
        return self.means.weight_means()


def refuse_unless(
    module: nn.Module, known: tuple[type[nn.Module], ...], what: str, mend: str
) -> None:
    """Raises LiftFlowError naming the first module of `module` that is none of `known`."""
    for name, part in module.named_children():
        if type(part) not in known:  # a ReLU with a limit is a ReLU, but no rule's
            raise LiftFlowError(f"no {what} for {type(part).__name__}", where=name, mend=mend)


def recorded(
    layers: Mapping[str, nn.Module],
    hook: Callable[[str, Tensor, Tensor], None],
    run: Callable[[], Tensor],
) -> Tensor:
    """What `run` gives, with `hook(name, input, output)` called for every module on the way."""

    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _module, args, output: hook(name, args[0], output)

    handles = [layer.register_forward_hook(recorder(name)) for name, layer in layers.items()]
    try:
        return run()
    finally:
        for handle in handles:
            handle.remove()


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """(channels,) -> (1, channels, 1, ...), to be combined with `like`."""
    return values.reshape(1, -1, *[1] * (like.dim() - 2))
