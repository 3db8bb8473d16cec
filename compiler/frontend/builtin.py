"""Data sets that are known by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.stages import Dataset, FloatArray
from hw_targets.errors import LiftFlowError, MissingToolError

SPLIT_SEED = 0


def sklearn_digits(_cache: Path) -> Dataset:
    """UCI handwritten digits: 1,797 images of (1, 8, 8), 17 grey levels scaled to x / 16.

    Split 70 / 30, stratified by class, with a fixed seed. Source: scikit-learn `load_digits`,
    https://archive.ics.uci.edu/dataset/80
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        x, labels.astype(np.int64), test_size=0.3, stratify=labels, random_state=SPLIT_SEED
    )
    return Dataset("sklearn-digits", train_x, train_y, test_x, test_y, classes=10)


def mnist(cache: Path) -> Dataset:
    """MNIST, 60,000 / 10,000 images of (1, 28, 28), x / 255."""
    return _torchvision("MNIST", "mnist", cache)


def cifar10(cache: Path) -> Dataset:
    """CIFAR-10, 50,000 / 10,000 images of (3, 32, 32), x / 255 (not normalised further)."""
    return _torchvision("CIFAR10", "cifar10", cache)


BUILTIN: dict[str, Callable[[Path], Dataset]] = {
    "sklearn-digits": sklearn_digits,
    "mnist": mnist,
    "cifar10": cifar10,
}


def _torchvision(kind: str, name: str, cache: Path) -> Dataset:
    try:
        from torchvision import datasets
    except ImportError:
        raise MissingToolError(
            "needs torchvision", where=name, mend="install it: pip install torchvision"
        ) from None
    try:
        train, test = (
            getattr(datasets, kind)(str(cache), train=part, download=True) for part in (True, False)
        )
    except Exception as error:
        raise LiftFlowError(
            f"cannot be downloaded to {cache}: {type(error).__name__}: {error}", where=name
        ) from error
    return Dataset(
        name,
        _channels_first(train.data),
        np.asarray(train.targets, dtype=np.int64),
        _channels_first(test.data),
        np.asarray(test.targets, dtype=np.int64),
        classes=10,
    )


def _channels_first(data: Any) -> FloatArray:
    images: NDArray[np.uint8] = np.asarray(data)
    axes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(axes, dtype=np.float32) / np.float32(255)
