"""The data sets of the benchmark: files of a folder the user names, or scikit-learn's digits."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compiler.frontend.builtin import sklearn_digits, user_cache
from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError

CIFAR_MEAN = (0.485, 0.456, 0.406)
CIFAR_DEVIATION = (0.229, 0.224, 0.225)


def load(name: str, folder: Path) -> Dataset:
    """`cifar10-jpeg`, `mnist` or `digits`, float32 and normalised as the networks take it.

    Raises:
        LiftFlowError: the data set's file is not in `folder`.
    """
    if name == "digits":
        return sklearn_digits(user_cache())
    file = folder / {"cifar10-jpeg": "cifar10_jpeg.npz", "mnist": "mnist.npz"}[name]
    if not file.is_file():
        raise LiftFlowError("no such data file", where=str(file), mend="give its folder as --data")
    with np.load(file) as stored:
        return _cifar(stored) if name == "cifar10-jpeg" else _mnist(stored)


def _mnist(stored: np.lib.npyio.NpzFile) -> Dataset:
    def images(key: str) -> NDArray[np.float32]:
        return (stored[key].reshape(-1, 1, 28, 28) / np.float32(255)).astype(np.float32)

    labels = {key: stored[key].astype(np.int64) for key in ("Ytrain", "Ytest")}
    return Dataset(
        "MNIST", images("Xtrain"), labels["Ytrain"], images("Xtest"), labels["Ytest"], 10
    )


def _cifar(stored: np.lib.npyio.NpzFile) -> Dataset:
    from PIL import Image

    mean = np.array(CIFAR_MEAN, np.float32)[:, None, None]
    deviation = np.array(CIFAR_DEVIATION, np.float32)[:, None, None]

    def images(split: str) -> NDArray[np.float32]:
        joined, bounds = stored[f"{split}_jpeg"].tobytes(), stored[f"{split}_offsets"]
        decoded = np.empty((len(bounds) - 1, 3, 32, 32), np.float32)
        for at, (start, end) in enumerate(pairwise(bounds)):
            with Image.open(io.BytesIO(joined[start:end])) as image:
                decoded[at] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        normalised: NDArray[np.float32] = (decoded / np.float32(255) - mean) / deviation
        return normalised

    labels = {split: stored[f"{split}_labels"].astype(np.int64) for split in ("train", "test")}
    return Dataset(
        "CIFAR-10 (JPEG)", images("train"), labels["train"], images("test"), labels["test"], 10
    )
