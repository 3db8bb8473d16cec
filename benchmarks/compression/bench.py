"""What all experiments of the benchmark share: the network, its data, and a run's folder."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from benchmarks.compression.floats import dataset_of, float_model
from compiler.stages import Dataset, FloatModel, ScoredModel
from passes._graph import accuracy
from passes._statistics import statistics_samples
from passes.attribute import Attribute
from passes.base import Context
from passes.prepare import Prepare

Row = dict[str, Any]
L = TypeVar("L", int, float)

LOOKED_AT = 2500
"""The first test samples, that forms of criteria and procedures were chosen on: not measured on."""


def unseen(data: Dataset, count: int) -> Dataset:
    """The data set with `count` test samples on which nothing was chosen; all of a small set."""
    first = LOOKED_AT if len(data.test_x) > LOOKED_AT else 0
    part = slice(first, first + count)
    return dataclasses.replace(data, test_x=data.test_x[part], test_y=data.test_y[part])


@dataclass(frozen=True)
class Settings:
    """samples: training samples of attribution. tested: test samples of an accuracy.

    tuned: images of one fine-tuning, 0 for none. trained: images of one quantization-aware one.
    levels: the tasks' own without any. precision: of layers in training.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    samples: int = 256
    tested: int = 2500
    tuned: int = 6400
    trained: int = 6400
    levels: tuple[float, ...] = ()
    precision: str = "float32"


@dataclass(frozen=True)
class Bench:
    """A prepared network with its data, its test split cut to what is measured on."""

    name: str
    data: Dataset
    model: FloatModel
    settings: Settings
    scored: dict[tuple[str, int, int], ScoredModel] = field(default_factory=dict)
    seconds: dict[tuple[str, int, int], float] = field(default_factory=dict)
    """Processor time that attribution took, by criterion, seed and samples."""

    @classmethod
    def open(cls, name: str, source: Path, folder: Path, settings: Settings) -> Bench:
        data = unseen(dataset_of(name, source), settings.tested)
        model = float_model(name, data, folder, source)
        with tempfile.TemporaryDirectory() as work:
            prepared = Prepare().run(model, Context(Path(work), data))
        return cls(name, data, prepared, settings)

    def levels(self, own: tuple[L, ...]) -> tuple[L, ...]:
        """A task's levels, or those of them that are asked for."""
        asked = self.settings.levels
        return tuple(level for level in own if not asked or level in asked)

    @contextmanager
    def context(self, seed: int) -> Iterator[Context]:
        with tempfile.TemporaryDirectory() as work:
            yield Context(Path(work), self.data, seed)

    def samples(self, seed: int) -> Tensor:
        """Training samples that statistics are measured on and restored with."""
        with self.context(seed) as ctx:
            return statistics_samples(ctx, "statistics")

    def attributed(self, criterion: str, seed: int, samples: int = 0) -> ScoredModel:
        """The network scored by a criterion; kept, since several experiments start from it.

        samples: 0 for as many as the settings say.
        """
        key = criterion, seed, samples or self.settings.samples
        if key not in self.scored:
            started = time.process_time()
            score = Attribute(samples=key[2], criterion=criterion)
            with self.context(seed) as ctx:
                self.scored[key] = score.run(self.model, ctx)
            self.seconds[key] = time.process_time() - started
        return self.scored[key]

    def accuracy(self, model: ScoredModel) -> float:
        return accuracy(model.module, self.data.test_x, self.data.test_y)
