"""CIFAR-10 as ResNet-20's public weights take it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from compiler.frontend.data import load_dataset
from compiler.stages import Dataset

MEAN = np.array((0.485, 0.456, 0.406), np.float32)[:, None, None]
DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)[:, None, None]


def normalised() -> Dataset:
    """CIFAR-10, (x / 255 - mean) / deviation by channel."""
    data = load_dataset("cifar10", Path(__file__).parent)
    return replace(
        data, train_x=(data.train_x - MEAN) / DEVIATION, test_x=(data.test_x - MEAN) / DEVIATION
    )
