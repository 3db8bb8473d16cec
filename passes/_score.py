"""How good a network's answers are: one number, 1 at best, for classes and for outputs alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.stages import LabelArray, TargetArray
from hw_targets.network import NetworkShape

SCORES = {False: "accuracy", True: "R^2"}
"""Is it a regression? -> what its score is called."""


def score(outputs: NDArray[Any], wanted: TargetArray) -> float:
    """Share of samples classed right, or R^2 where `wanted` are outputs.

    Args:
        outputs: (samples, classes), the greatest decides; or of the shape of `wanted`.
        wanted: (samples,) classes, or (samples, ...) floats.
    """
    if np.issubdtype(wanted.dtype, np.integer):
        return float((outputs.argmax(1) == wanted).mean())
    return r_squared(outputs, wanted)


def r_squared(outputs: NDArray[Any], wanted: NDArray[Any]) -> float:
    """1 - sum of squared errors / sum of squared distances from the mean, over all outputs.

    Each output has a mean of its own, over the samples given; outputs that vary more count more.
    It is 1 for no error, 0 for what the means would do, and below 0 for worse. Where `wanted` does
    not vary it is 1 for no error and 0 else.

    Source: the coefficient of determination, Wright, "Correlation and Causation", 1921.
    """
    goal = wanted.astype(np.float64)
    error = float(np.square(outputs - goal).sum())
    spread = float(np.square(goal - goal.mean(axis=0)).sum())
    if spread == 0:
        return float(error == 0)
    return 1 - error / spread


def told(value: float, regression: bool) -> str:
    """A score in words: "accuracy 97.21%" or "R^2 0.9721"."""
    name = SCORES[regression]
    return f"{name} {value:.4f}" if regression else f"{name} {value:.2%}"


def agreeing(found: NDArray[np.integer[Any]], predictions: LabelArray) -> int:
    """Samples whose answers, as hardware gives them, are all as predicted.

    Args:
        found: (samples, answers) or (samples,).
        predictions: as `QonnxModel` has them, of the same samples.
    """
    rows = found.reshape(len(found), -1) == predictions.reshape(len(predictions), -1)
    return int(rows.all(axis=1).sum())


def answers_of(network: NetworkShape) -> str:
    """What the hardware gives, in a word: "classes" or "outputs"."""
    return "outputs" if network.regression else "classes"
