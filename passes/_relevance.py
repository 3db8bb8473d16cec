"""Relevance of channels and weights over many samples: what `attribute` and the pruners share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compiler.stages import Dataset, FoldedNorm, LabelArray, Relevance
from hw_targets.errors import LiftFlowError
from hw_targets.network import NetworkShape
from passes._distributed import ALONE, Team
from passes._graph import is_chain, placed
from passes._threads import threads_for
from passes.base import Context
from passes.criteria import CRITERIA, Batch, Criterion, Setup
from passes.criteria.base import Scores
from passes.criteria.references import REFERENCES, References, references_of
from passes.deeplift import OF_OUTPUTS, full_precision

__all__ = ["REFERENCES", "Settings", "choose", "measure", "remeasure"]

FIRST_LOOK = 32
"""Samples after which the ranking's stability is looked at first; then after twice as many."""

NEAR = 0.25
"""Share of the way from a sample to another image where references lie in chains."""

AVERAGED = 256
"""Samples that the mean activations are taken over, for criteria that compare with them."""

SHOWN = 16
"""Samples whose inputs' contributions are kept."""


@dataclass(frozen=True)
class Settings:
    """How relevance is measured; the same before and after pruning.

    samples: training samples, at most as many as there are; 0 for as many as it takes until the
    ranking's stability is `stable`, at most `most_samples`. reference: what a sample is compared
    with, one of REFERENCES or a .npy file. target: what is explained, one of
    `passes.deeplift.TARGETS` or SIGNS. batch: samples a backward pass, bounds the memory.
    criterion: one of `passes.criteria.CRITERIA`. distance: share of the way from a sample to what
    `reference` names, where its reference lies; 0 to leave it to `distance_in`.
    """

    samples: int
    reference: str
    target: str
    batch: int = 64
    criterion: str = "deeplift"
    most_samples: int = 1024
    stable: float = 0.95
    weights: bool = True
    """Score weights as well as channels, which takes as long again."""
    distance: float = 0.0

    @classmethod
    def like(cls, relevance: Relevance, batch: int) -> Settings:
        """To measure another network as `relevance` was, over as many samples."""
        # Of no samples, 1 is as good: 0 would mean as many as it takes.
        samples = max(1, relevance.samples)
        named = relevance.reference, relevance.target
        return cls(samples, *named, batch, relevance.criterion, distance=relevance.distance)


def measure(
    module: nn.Module,
    data: Dataset,
    settings: Settings,
    rng: np.random.Generator,
    device: str,
    norms: Mapping[str, FoldedNorm] | None = None,
    team: Team = ALONE,
) -> Relevance:
    """Relevance of all layers of a prepared network by one criterion.

    Samples stream through in batches: memory grows with neither samples nor targets.

    Args:
        norms: layer -> its folded batch norms, for criteria that look at trained weights.
        team: the processes that divide the samples among them, for criteria whose sums can be added
            up; for others each takes all of them.

    Raises:
        LiftFlowError: the criterion does not fit network or target, the reference does not fit the
            data, or samples and references do not differ in the target.
    """
    module = placed(module, device)
    kind = CRITERIA[settings.criterion]
    if not settings.distance:
        settings = replace(settings, distance=distance_in(module, settings))
    if kind.needs_classes and settings.target in OF_OUTPUTS and not data.regression:
        raise LiftFlowError(
            f"{settings.criterion} needs the class of every sample",
            where="attribute",
            mend=f"use another target than {settings.target}, or another criterion",
        )
    look = _Look()
    with full_precision(torch.device(device)):
        if kind.needs_samples:
            source = _Source(data, settings, rng, device, kind.needs_references)
            criterion = kind(_setup(module, data, settings, rng, norms, source.shown))
            if kind.needs_means:
                for inputs in source.first(AVERAGED, settings.batch):
                    criterion.look(inputs)
            criterion, look = _stream(criterion, source, settings, team)
        else:
            nothing = np.zeros(0, np.int64)
            criterion = kind(_setup(module, data, settings, rng, norms, nothing))
        layers = criterion.result()
    shown = criterion.shown
    return Relevance(
        layers=layers,
        samples=look.samples,
        reference=settings.reference,
        target=settings.target,
        completeness_delta=criterion.completeness_delta,
        criterion=settings.criterion,
        stability=tuple(look.stability),
        inputs=None if shown is None else shown.inputs,
        input_samples=None if shown is None else shown.samples,
        distance=settings.distance,
    )


def distance_in(module: nn.Module, settings: Settings) -> float:
    """How far references lie where nothing is said: all the way, or in chains NEAR.

    The slope between two images that are far from each other, taken through one layer after
    another, tells little of what a small change of one of them does; a branch past a layer keeps
    its slope. Zeros, a mean or a file are taken as they are: whoever names them means them.
    """
    near = CRITERIA[settings.criterion].nearer_in_chains and settings.reference == "random"
    return NEAR if near and is_chain(module) else 1.0


def remeasure(
    module: nn.Module,
    network: NetworkShape,
    relevance: Relevance,
    norms: Mapping[str, FoldedNorm],
    ctx: Context,
    batch: int = 64,
    *,
    weights: bool = True,
) -> Relevance:
    """Relevance of a changed network, measured as `relevance` was; of weights only if asked for."""
    settings = replace(Settings.like(relevance, batch), weights=weights)
    with threads_for(network.macs, batch):
        return measure(
            module, ctx.data, settings, ctx.rng("attribute"), ctx.device,
            norms, ctx.team,
        )  # fmt: skip


def choose(
    data: Dataset, samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of training samples, none twice, and of another training sample for each."""
    available = len(data.train_x)
    if available < 2:
        raise LiftFlowError("one training sample has no other to be compared with", where=data.name)
    picked = rng.choice(available, min(samples, available), replace=False)
    others = (picked + rng.integers(1, available, len(picked))) % available
    return picked, others


def rank_stability(first: Scores, second: Scores) -> float:
    """How far the ranking of channels would come out again from as many other samples, 0 to 1.

    Spearman's rank correlation r of the scores by two disjoint halves of the samples is what half
    of them are worth; of all of them it is 2 r / (1 + r) (Spearman, 1910; Brown, 1910). Mean over
    layers; a layer whose channels are all alike has no ranking and does not count.

    Args:
        first, second: layer -> (channels,) scores by each half.
    """
    # Not above: a compilation that finds everything done should not wait for SciPy.
    from scipy.stats import rankdata

    found = []
    for name in first:
        ranks = rankdata(first[name]), rankdata(second[name])
        if all(np.ptp(one) > 0 for one in ranks):
            r = max(0.0, float(np.corrcoef(*ranks)[0, 1]))
            found.append(2 * r / (1 + r))
    return float(np.mean(found)) if found else 0.0


@dataclass
class _Look:
    """samples: taken so far. stability: (samples so far, stability of the ranking)."""

    samples: int = 0
    stability: list[tuple[int, float]] = field(default_factory=list)


class _Source:
    """The training samples to measure with, each with its reference, in the order they are taken.

    shown: indices of the samples whose inputs' contributions are kept; they are among the first,
    one of each class before others.
    """

    def __init__(
        self,
        data: Dataset,
        settings: Settings,
        rng: np.random.Generator,
        device: str,
        with_references: bool,
    ) -> None:
        self._data, self._device = data, device
        most = settings.samples or settings.most_samples
        self._picked, self._others = choose(data, most, rng)
        self._references: References | None = None
        if with_references:
            self._references = references_of(settings.reference, data, settings.distance)
        first = self._picked[:FIRST_LOOK]
        classes = np.zeros(len(first)) if settings.target in OF_OUTPUTS else data.train_y[first]
        self.shown = _one_of_each(first, classes)[:SHOWN]

    def __len__(self) -> int:
        return len(self._picked)

    def batch(self, part: NDArray[np.int64]) -> Batch:
        """The samples at the positions `part`."""
        picked, data = self._picked[part], self._data
        references = None
        if self._references is not None:
            references = self._tensor(self._references(picked, self._others[part]))
        inputs, labels = self._tensor(data.train_x[picked]), self._tensor(data.train_y[picked])
        return Batch(picked, inputs, labels, references)

    def first(self, count: int, batch: int) -> Iterator[Tensor]:
        """Inputs of the first `count` samples, or of all there are, in batches."""
        picked = self._picked[:count]
        for at in range(0, len(picked), batch):
            yield self._tensor(self._data.train_x[picked[at : at + batch]])

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _one_of_each(samples: LabelArray, classes: NDArray[np.generic]) -> LabelArray:
    """`samples` with the first of each class before the others."""
    _, firsts = np.unique(classes, return_index=True)
    order = np.argsort(~np.isin(np.arange(len(samples)), firsts), kind="stable")
    return samples[order]


def _setup(
    module: nn.Module,
    data: Dataset,
    settings: Settings,
    rng: np.random.Generator,
    norms: Mapping[str, FoldedNorm] | None,
    shown: LabelArray,
) -> Setup:
    return Setup(
        module,
        settings.target,
        data.classes,
        rng,
        norms or {},
        shown,
        settings.weights,
        settings.distance,
    )


def _stream(
    criterion: Criterion, source: _Source, settings: Settings, team: Team
) -> tuple[Criterion, _Look]:
    """Takes samples in until there are enough of them; the criterion with all sums, the look."""
    look = _Look()
    whole = criterion
    divided = team if criterion.divides else ALONE
    for until in _looks(len(source)):
        for half, part in _pieces(look.samples, until, settings.batch):
            mine = part[divided.part(len(part))]
            if len(mine):
                criterion.add(source.batch(mine), half)
        look.samples = until
        whole = criterion.merged(divided)
        stability = rank_stability(whole.channels(0), whole.channels(1))
        look.stability.append((until, stability))
        if settings.samples == 0 and stability >= settings.stable:
            break
    return whole, look


def _looks(count: int) -> list[int]:
    """FIRST_LOOK and its doublings below `count`, then `count`."""
    looks = []
    at = FIRST_LOOK
    while at < count:
        looks.append(at)
        at *= 2
    return [*looks, count]


def _pieces(start: int, stop: int, batch: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(half, positions) of batches of at most `batch` from `start` to `stop`.

    The first of both halves gets the odd one; which sample goes where does not depend on `batch`.
    """
    for half, positions in enumerate(np.array_split(np.arange(start, stop), 2)):
        for at in range(0, len(positions), batch):
            yield half, positions[at : at + batch]
