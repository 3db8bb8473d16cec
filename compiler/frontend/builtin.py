"""Data sets that are known by name."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from compiler.stages import Dataset, FloatArray
from hw_targets.errors import LiftFlowError, MissingToolError

SPLIT_SEED = 0
PARTS = ("train", "test")
SPLITS = ("train_x", "test_x", "train_y", "test_y")


def sklearn_digits(_cache: Path) -> Dataset:
    """UCI handwritten digits: 1,797 images of (1, 8, 8), 17 grey levels scaled to x / 16.

    Split 70 / 30, stratified by class, with a fixed seed. Source: scikit-learn `load_digits`,
    https://archive.ics.uci.edu/dataset/80
    """
    # Importing scikit-learn takes longer than all else a finished compilation has to look at.
    kept = user_cache() / f"sklearn-{version('scikit-learn')}-digits-{SPLIT_SEED}.npz"
    try:
        with np.load(kept) as arrays:
            splits = [arrays[name] for name in SPLITS]
    except (OSError, ValueError, KeyError, BadZipFile):
        splits = _split_digits()
        _keep(kept, dict(zip(SPLITS, splits, strict=True)))
    train_x, test_x, train_y, test_y = splits
    return Dataset("sklearn-digits", train_x, train_y, test_x, test_y, classes=10)


def _split_digits() -> list[NDArray[Any]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    splits: list[NDArray[Any]] = train_test_split(
        x, labels.astype(np.int64), test_size=0.3, stratify=labels, random_state=SPLIT_SEED
    )
    return splits


def user_cache() -> Path:
    """Folder of what can be made again, `$XDG_CACHE_HOME/liftflow` or `~/.cache/liftflow`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "liftflow"


def _keep(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write whole or not at all; a cache that cannot be written is done without."""
    partial = path.with_suffix(f".{os.getpid()}.npz")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(path)


def mnist(cache: Path) -> Dataset:
    """MNIST, 60,000 / 10,000 images of (1, 28, 28), x / 255.

    From `mnist.npz` (Xtrain, Ytrain, Xtest, Ytest, uint8) in `local_folder()`, else torchvision.
    """
    stored = _local("mnist.npz")
    if stored is None:
        return _torchvision("MNIST", "mnist", cache)
    with np.load(stored) as arrays:
        train, test = ((arrays[f"X{part}"], arrays[f"Y{part}"]) for part in ("train", "test"))
    return _scaled("mnist", *train, *test)


def cifar10(cache: Path) -> Dataset:
    """CIFAR-10, 50,000 / 10,000 images of (3, 32, 32), x / 255 (not normalised further).

    From `cifar10_jpeg.npz` in `local_folder()`, else torchvision. That file has the images as JPEG:
    `train_jpeg` / `test_jpeg` are the files joined, `*_offsets` their bounds, `*_labels` 0 to 9.
    """
    stored = _local("cifar10_jpeg.npz")
    if stored is None:
        return _torchvision("CIFAR10", "cifar10", cache)
    with np.load(stored) as arrays:
        train, test = ((_decoded(arrays, part), arrays[f"{part}_labels"]) for part in PARTS)
    return _scaled("cifar10 (JPEG)", *train, *test)


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
    return _scaled(name, train.data, train.targets, test.data, test.targets)


def local_folder() -> Path | None:
    """Folder of data sets that are not to be downloaded, `$LIFTFLOW_DATA`."""
    folder = os.environ.get("LIFTFLOW_DATA")
    return Path(folder) if folder else None


def _local(name: str) -> Path | None:
    folder = local_folder()
    return folder / name if folder and (folder / name).is_file() else None


def _decoded(arrays: Mapping[str, NDArray[Any]], part: str) -> NDArray[np.uint8]:
    """(N, 32, 32, 3) of the JPEG files of one part."""
    from PIL import Image

    joined, bounds = arrays[f"{part}_jpeg"].tobytes(), arrays[f"{part}_offsets"]
    images = np.empty((len(bounds) - 1, 32, 32, 3), np.uint8)
    for at, (start, end) in enumerate(pairwise(bounds)):
        with Image.open(io.BytesIO(joined[start:end])) as image:
            images[at] = np.asarray(image.convert("RGB"))
    return images


def _scaled(name: str, train_x: Any, train_y: Any, test_x: Any, test_y: Any) -> Dataset:
    """Bytes, channels last where there are any, as x / 255, channels first; ten classes."""
    return Dataset(
        name,
        _channels_first(train_x),
        np.asarray(train_y, dtype=np.int64),
        _channels_first(test_x),
        np.asarray(test_y, dtype=np.int64),
        classes=10,
    )


def _channels_first(data: Any) -> FloatArray:
    images: NDArray[np.uint8] = np.asarray(data)
    axes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(axes, dtype=np.float32) / np.float32(255)
