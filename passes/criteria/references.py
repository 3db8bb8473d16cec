"""What samples are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compiler.stages import Dataset, FloatArray
from hw_targets.errors import LiftFlowError

REFERENCES = ("random", "mean", "zero", "blur")

_BLUR = 10 / 224
"""Standard deviation over the longer side of the image: Fong and Vedaldi, ICCV 2017, arXiv
1704.03296, blur images of 224 pixels by 10."""

References = Callable[[NDArray[np.int64], NDArray[np.int64]], FloatArray]
"""(indices of training samples, of another for each) -> (samples, *sample) references."""


def known(reference: str) -> bool:
    """Is it one of REFERENCES or the name of a .npy file?"""
    return reference in REFERENCES or Path(reference).suffix == ".npy"


def references_of(reference: str, data: Dataset, distance: float = 1.0) -> References:
    """How to get the references that `reference`, one of REFERENCES or a .npy file, names.

    Args:
        distance: share of the way from a sample to what is named, where its reference lies.

    Raises:
        LiftFlowError: the file cannot be read or has another shape, samples to blur are no images.
    """
    named = _named(reference, data)
    if distance == 1.0:
        return named

    def nearer(picked: NDArray[np.int64], others: NDArray[np.int64]) -> FloatArray:
        samples = data.train_x[picked]
        found: FloatArray = samples + np.float32(distance) * (named(picked, others) - samples)
        return found

    return nearer


def _named(reference: str, data: Dataset) -> References:
    if reference == "random":
        return lambda _picked, others: data.train_x[others]
    if reference == "blur":
        if len(data.sample_shape) != 3:
            raise LiftFlowError(
                f"samples of shape {data.sample_shape} are no images to blur",
                where="reference",
                mend="use random, mean or zero",
            )
        return lambda picked, _others: blurred(data.train_x[picked])
    if reference == "zero":
        fixed = np.zeros((1, *data.sample_shape), np.float32)
    elif reference == "mean":
        mean = data.train_x.mean(axis=0, keepdims=True, dtype=np.float64)
        fixed = mean.astype(np.float32)
    else:
        fixed = load(reference, data.sample_shape)
    return lambda picked, _others: fixed[picked % len(fixed)]


def blurred(images: FloatArray) -> FloatArray:
    """(samples, channels, height, width), each channel under a Gaussian, borders repeated."""
    sigma = _BLUR * max(images.shape[2:])
    # Not above: a compilation that finds everything done should not wait for SciPy.
    from scipy.ndimage import gaussian_filter

    result: FloatArray = gaussian_filter(images, (0, 0, sigma, sigma), mode="nearest")
    return result


def load(name: str, shape: tuple[int, ...]) -> FloatArray:
    """(count, *shape) references in a .npy file.

    One, of a shape that broadcasts to a sample's, or (count, *sample): sample i of the training
    split is compared with reference i modulo count.

    Raises:
        LiftFlowError: no such file, no array of finite numbers in it, another shape.
    """
    mend = f"save a float array of shape {shape} or (count, {', '.join(map(str, shape))})"
    try:
        array = np.load(Path(name).expanduser(), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LiftFlowError(f"cannot be read: {error}", where=name, mend=mend) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise LiftFlowError("it holds no array of numbers", where=name, mend=mend)
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise LiftFlowError("it holds values that are not finite", where=name, mend=mend)
    if array.shape[1:] == shape and len(array):
        return array
    try:
        return np.broadcast_to(array, shape)[None].copy()
    except ValueError as error:
        what = f"its shape {array.shape} does not fit samples of shape {shape}"
        raise LiftFlowError(what, where=name, mend=mend) from error
