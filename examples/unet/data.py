"""Images drawn from a seed, with the map that the network of model.py gives for each."""

from __future__ import annotations

import torch
from model import SHAPE, seeded

from compiler.frontend.generated import samples
from compiler.stages import Dataset


def generated() -> Dataset:
    """256 samples to calibrate with, 128 to compare on; targets are maps, a regression."""
    train, test = samples(SHAPE, 256, seed=1), samples(SHAPE, 128, seed=2)
    with torch.no_grad():
        wanted = [seeded()(torch.from_numpy(x)).numpy() for x in (train, test)]
    return Dataset("generated", train, wanted[0], test, wanted[1], 0)
