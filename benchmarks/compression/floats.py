"""The trained float networks that are compressed: trained once, kept in the benchmark's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.data import load
from benchmarks.networks import NETWORKS
from compiler.frontend.model import fill, read_state
from compiler.stages import Dataset, FloatModel, InputFormat
from hw_targets.errors import LiftFlowError
from passes._training import Schedule, fit

CIFAR = {"shift": 4, "mirror": True}
MNIST_FORMAT = InputFormat(8, False, 1 / 255)
CIFAR_FORMAT = InputFormat(8, True, 1 / 48)
"""Normalised pixels reach from -2.2 to 2.7: 8 bits, in steps of about a grey level."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. start: file of published float weights to start from."""

    data: str
    schedule: Schedule
    input: InputFormat
    start: str | None = None


RECIPES = {
    "resnet20": Recipe(
        "cifar10-jpeg",
        Schedule(150_000, 0.02, **CIFAR),
        CIFAR_FORMAT,
        "resnet20-12fca82f.th",
    ),
    "resnet56": Recipe(
        "cifar10-jpeg",
        Schedule(80_000, 0.02, **CIFAR),
        CIFAR_FORMAT,
        "resnet56-4bfd9763.th",
    ),
    "vgg16": Recipe("cifar10-jpeg", Schedule(400_000, 0.1, **CIFAR), CIFAR_FORMAT),
    "lenet5": Recipe("mnist", Schedule(300_000, 0.05), MNIST_FORMAT),
    "mlp": Recipe("mnist", Schedule(600_000, 0.05), MNIST_FORMAT),
    "digits": Recipe("digits", Schedule(60_000, 0.05), InputFormat(5, False, 1 / 16)),
}


def float_model(name: str, data: Dataset, folder: Path, source: Path) -> FloatModel:
    """The trained network `name`; trained now, with seed 0, if `folder` does not have it.

    source: folder of the data, which holds published weights too.
    """
    recipe = RECIPES[name]
    file = folder / f"{name}.pt"
    torch.manual_seed(0)
    module = NETWORKS[name]()
    if file.is_file():
        fill(module, read_state(file), where=str(file))
    else:
        _train(module, name, data, source)
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        torch.save(module.state_dict(), partial)
        partial.replace(file)
    return FloatModel(name, module.eval(), data.sample_shape, recipe.input)


def _train(module: nn.Module, name: str, data: Dataset, source: Path) -> None:
    recipe = RECIPES[name]
    if recipe.start:
        start = source / recipe.start
        if not start.is_file():
            raise LiftFlowError(
                "no such weights", where=str(start), mend="give --data their folder"
            )
        state = torch.load(start, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict({key.removeprefix("module."): v for key, v in state.items()})
    print(f"training {name} on {recipe.schedule.images:,} images", flush=True)
    fit(module, data, recipe.schedule, seed=0)


def dataset_of(name: str, folder: Path) -> Dataset:
    """The data set that network `name` is trained on."""
    return load(RECIPES[name].data, folder)
