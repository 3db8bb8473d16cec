"""A user's data set: a built-in name, an .npz archive, or a loader function of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.frontend.builtin import BUILTIN
from compiler.frontend.locate import brief, call
from compiler.stages import Dataset, FloatArray, LabelArray, TargetArray
from hw_targets.errors import LiftFlowError

_KEYS = (
    ("train_x", "train_y", "test_x", "test_y"),
    ("Xtrain", "Ytrain", "Xtest", "Ytest"),
)


def load_dataset(source: str, base: Path, *, cache: Path | None = None) -> Dataset:
    """The data set `source` stands for, checked.

    Args:
        source: a name of `BUILTIN`; the path of an .npz with train_x, train_y, test_x, test_y (or
            Xtrain, Ytrain, Xtest, Ytest), uint8 images scaled to x / 255 and grey images of
            (N, H, W) given their channel axis (which `load` takes back for a network of signals);
            or `file.py:function` / `package.module:function` returning a `Dataset` or those four
            arrays as a tuple, taken as they are. Integer labels are classes; labels of floats are
            the outputs wanted, which is a regression, as is a `Dataset` of 0 classes.
        base: folder that relative paths start from.
        cache: where downloads go, `base / "data"` if None.

    Raises:
        LiftFlowError: no such source, or data that cannot be used; says why.
        MissingToolError: the source needs a package that is not installed.
    """
    if source in BUILTIN:
        return validate(BUILTIN[source](cache or base / "data"), where=source)
    if source.endswith(".npz"):
        return validate(_from_npz(base / source), where=source)
    if ":" in source:
        return validate(_from_loader(source, base), where=source)
    raise LiftFlowError(
        f"no such data set: {source!r}",
        mend=f"use {', '.join(BUILTIN)}, a path to an .npz, or file.py:function",
    )


def validate(data: Dataset, *, where: str) -> Dataset:
    """`data` itself. Raises LiftFlowError when it cannot be compiled with."""
    for split, x, y in (("train", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
        if len(x) == 0:
            raise LiftFlowError(f"the {split} split is empty", where=where)
        if len(x) != len(y) or (y.ndim != 1 and not data.regression):
            raise LiftFlowError(
                f"{split} has {len(x)} samples and labels of shape {y.shape}",
                where=where,
                mend="give one class index a sample, or the outputs wanted as floats",
            )
        if not np.isfinite(x).all():
            raise LiftFlowError(f"{split} samples are not all finite", where=where)
        if data.regression:
            if not np.isfinite(y).all():
                raise LiftFlowError(f"{split} targets are not all finite", where=where)
        elif int(y.min()) < 0 or int(y.max()) >= data.classes:
            raise LiftFlowError(
                f"{split} labels range from {y.min()} to {y.max()}, not within 0 to "
                f"{data.classes - 1}",
                where=where,
            )
    if data.train_x.shape[1:] != data.test_x.shape[1:]:
        raise LiftFlowError(
            f"train samples are {data.train_x.shape[1:]}, test samples {data.test_x.shape[1:]}",
            where=where,
        )
    if data.train_x.ndim not in (2, 3, 4):
        raise LiftFlowError(
            f"a sample has shape {data.sample_shape}",
            where=where,
            mend="give (features,), (channels, length) or (channels, height, width)",
        )
    if data.regression:
        return _validate_targets(data, where)
    if data.classes < 2:
        raise LiftFlowError("all labels are 0", where=where, mend="give at least two classes")
    return data


def _validate_targets(data: Dataset, where: str) -> Dataset:
    if data.train_y.shape[1:] != data.test_y.shape[1:]:
        raise LiftFlowError(
            f"train targets are {data.train_y.shape[1:]}, test targets {data.test_y.shape[1:]}",
            where=where,
        )
    for split, y in (("train", data.train_y), ("test", data.test_y)):
        if len(y) > 1 and not np.ptp(y, axis=0).any():
            raise LiftFlowError(
                f"{split} targets are the same for every sample",
                where=where,
                mend="give targets that vary: R^2 is measured against their variance",
            )
    return data


def _from_npz(path: Path) -> Dataset:
    if not path.is_file():
        raise LiftFlowError("no such data file", where=str(path))
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {key: archive[key] for key in archive.files}
    except Exception as error:  # NumPy, zip and zlib each have their own for damaged files.
        raise LiftFlowError(
            f"cannot be read: {brief(error)}", where=str(path), mend="save it with numpy.savez"
        ) from error
    for keys in _KEYS:
        if all(key in content for key in keys):
            train_x, train_y, test_x, test_y = (content[key] for key in keys)
            break
    else:
        raise LiftFlowError(
            f"it holds {', '.join(sorted(content)) or 'nothing'}",
            where=str(path),
            mend=f"it must hold {', '.join(_KEYS[0])}",
        )
    images = {"train": _image(train_x), "test": _image(test_x)}
    return _assemble(path.stem, images, {"train": train_y, "test": test_y}, str(path))


def _from_loader(source: str, base: Path) -> Dataset:
    made = call(source, base)
    if isinstance(made, Dataset):
        return _assemble(
            made.name,
            {"train": made.train_x, "test": made.test_x},
            {"train": made.train_y, "test": made.test_y},
            source,
            classes=made.classes,
        )
    if not isinstance(made, tuple | list) or len(made) != 4:
        size = f" of {len(made)}" if isinstance(made, tuple | list) else ""
        raise LiftFlowError(
            f"it returned {type(made).__name__}{size}",
            where=source,
            mend="return a Dataset or (train_x, train_y, test_x, test_y)",
        )
    train_x, train_y, test_x, test_y = made
    name = source.rpartition(":")[2]
    return _assemble(
        name, {"train": train_x, "test": test_x}, {"train": train_y, "test": test_y}, source
    )


def _assemble(
    name: str,
    samples: Mapping[str, Any],
    labels: Mapping[str, Any],
    where: str,
    classes: int | None = None,
) -> Dataset:
    x = {split: _floats(value, f"{split} samples", where) for split, value in samples.items()}
    y: dict[str, TargetArray]
    if classes == 0 or (classes is None and all(_floating(each) for each in labels.values())):
        y = {split: _targets(value, f"{split} targets", where) for split, value in labels.items()}
        return Dataset(name, x["train"], y["train"], x["test"], y["test"], 0)
    y = {split: _labels(value, f"{split} labels", where) for split, value in labels.items()}
    if classes is None:
        classes = 1 + max((int(v.max()) for v in y.values() if v.size), default=0)
    return Dataset(name, x["train"], y["train"], x["test"], y["test"], classes)


def _image(samples: NDArray[Any]) -> NDArray[Any]:
    """uint8 to [0, 1], and a channel axis where grey images lack it."""
    if samples.dtype == np.uint8:
        samples = samples.astype(np.float32) / np.float32(255)
    return samples[:, None] if samples.ndim == 3 else samples


def _floats(value: Any, what: str, where: str) -> FloatArray:
    try:
        array = np.ascontiguousarray(value, dtype=np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LiftFlowError(
            f"{what} are no array of numbers: {brief(error)}", where=where
        ) from error
    if array.ndim == 0:
        raise LiftFlowError(f"{what} are a single number", where=where)
    return array


def _floating(value: Any) -> bool:
    try:
        return bool(np.issubdtype(np.asarray(value).dtype, np.floating))
    except (TypeError, ValueError, RuntimeError):
        return False  # told when it is read


def _targets(value: Any, what: str, where: str) -> FloatArray:
    """One number a sample is an output of its own."""
    array = _floats(value, what, where)
    return array[:, None] if array.ndim == 1 else array


def _labels(value: Any, what: str, where: str) -> LabelArray:
    try:
        array = np.asarray(value)
        exact: LabelArray = array.astype(np.int64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LiftFlowError(
            f"{what} are no array of integers: {brief(error)}", where=where
        ) from error
    if not np.array_equal(exact, array):
        raise LiftFlowError(f"{what} are not integers", where=where, mend="give class indices")
    return exact.reshape(-1) if exact.shape == (len(exact), 1) else exact
