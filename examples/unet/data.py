"""Inputs drawn from a seed, with the classes that the network of model.py gives them."""

from __future__ import annotations

from model import CLASSES, SHAPE, seeded

from compiler.frontend.generated import labelled
from compiler.stages import Dataset


def generated() -> Dataset:
    """256 samples to calibrate with, 128 to compare on."""
    return labelled(seeded(), SHAPE, CLASSES)
