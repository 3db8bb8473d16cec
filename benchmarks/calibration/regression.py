"""Fitting of one resource: non-negative, on relative error, honest about what was not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hw_targets.cost.basis import Terms
from hw_targets.cost.coefficients import FLOOR, Band, Fit
from hw_targets.cost.model import margins

Vector = NDArray[np.float64]
CONFIDENCE = 0.9
"""Share of measurements that an interval holds."""
PRIOR_WEIGHT = 0.003
"""What a coefficient's distance from its physical value counts, beside a point's relative error."""
FEW_GROUPS = 10
LARGE_ERROR = 0.05
"""Relative error from which on a point counts by its error, not its square (Huber's loss)."""
ROUNDS = 5
"""Reweightings of the least squares, after which the coefficients stand still."""
BAND_POINTS = 30
"""Points a band of sizes has at least: fewer cannot tell a 90 % interval."""


def fit_resource(
    terms: Terms,
    measured: Vector,
    groups: Sequence[object],
    priors: Mapping[str, float] | None = None,
) -> tuple[Fit, Vector]:
    """One resource of one kernel, and every point as a fit without its group predicts it.

    Args:
        groups: what is left out together, one a point: a shape, or the network it is from.
        priors: physical value of every coefficient, that it is drawn to where points say little.
    """
    # A term that no point has is left out: the model then knows that it knows nothing of it.
    names = [name for name, values in terms.items() if np.any(values)]
    size = len(measured)
    matrix = np.stack([np.broadcast_to(terms[name], size) for name in names], axis=1)
    physical = np.array([priors[name] for name in names]) if priors else None
    weights = _weights(matrix, measured, physical)
    _, group = np.unique([repr(each) for each in groups], return_inverse=True)
    predicted = np.empty(size)
    for each in range(group.max() + 1):
        out = group == each
        predicted[out] = matrix[out] @ _weights(matrix[~out], measured[~out], physical)
    fit = Fit(
        coefficients={name: float(f"{w:.5g}") for name, w in zip(names, weights, strict=True)},
        mape=round(mape(matrix @ weights, measured), 2),
        mape_left_out=round(mape(predicted, measured), 2),
        bands=bands(predicted, measured, group),
        coverage=_coverage(predicted, measured, group),
    )
    return fit, predicted


def _weights(matrix: Vector, measured: Vector, physical: Vector | None) -> Vector:
    """Coefficients that make the relative errors least, none negative.

    A few units of unusual contents would bend least squares for all others: without priors large
    errors count linearly, as in the mean absolute error that is told.
    """
    scale = np.maximum(measured, FLOOR)
    left, right = matrix / scale[:, None], measured / scale
    if physical is not None:
        pull = np.sqrt(PRIOR_WEIGHT * len(measured))
        left = np.vstack([left, np.diag(pull / physical)])
        right = np.concatenate([right, np.full(len(physical), pull)])
    most_steps = 100 * matrix.shape[1]
    found, _ = nnls(left, right, maxiter=most_steps)
    for _ in range(ROUNDS if physical is None else 0):
        # Least squares of errors over roots of the large ones: iteratively reweighted.
        root = np.sqrt(np.maximum(np.abs(left @ found - right), LARGE_ERROR))
        found, _ = nnls(left / root[:, None], right / root, maxiter=most_steps)
    return np.asarray(found)


def mape(predicted: Vector, measured: Vector) -> float:
    """Mean absolute percentage error."""
    return float(100 * (np.abs(predicted - measured) / np.maximum(measured, FLOOR)).mean())


def share(value: float | None) -> str:
    """A share as tables tell it."""
    return "unknown" if value is None else f"{value:.0%}"


def bands(
    predicted: Vector, measured: Vector, group: NDArray[np.intp] | None = None
) -> tuple[Band, ...]:
    """How far measurements lie from predictions, in bands of the predicted size.

    Split conformal intervals: quantiles of the relative errors of points that were left out. Where
    a handful of groups (networks) hold all points, a new one differs more than their points do:
    the bounds are then the widest that the points without one of the groups give.
    """
    if group is not None and 2 < len(np.unique(group)) <= FEW_GROUPS:
        parts = [bands(predicted[group != g], measured[group != g]) for g in np.unique(group)]
        if len({len(part) for part in parts}) == 1:
            return tuple(
                Band(
                    upto=None if same[0].upto is None else max(band.upto or 0.0 for band in same),
                    low=min(band.low for band in same),
                    high=max(band.high for band in same),
                )
                for same in zip(*parts, strict=True)
            )
    order = np.argsort(predicted, kind="stable")
    count = max(1, min(4, len(order) // BAND_POINTS))
    relative = (measured - predicted) / np.maximum(predicted, FLOOR)
    found = []
    for index, part in enumerate(np.array_split(order, count)):
        # The finite-sample correction of split conformal prediction: one point more.
        tail = (1 - CONFIDENCE) / 2
        low = np.quantile(relative[part], max(0.0, tail - 0.5 / len(part)), method="lower")
        high = np.quantile(relative[part], min(1.0, 1 - tail + 0.5 / len(part)), method="higher")
        found.append(
            Band(
                upto=round(float(predicted[part[-1]]), 1) if index + 1 < count else None,
                low=round(min(0.0, float(low)), 4),
                high=round(max(0.0, float(high)), 4),
            )
        )
    return tuple(found)


def _coverage(predicted: Vector, measured: Vector, group: NDArray[np.intp]) -> float | None:
    """Share of points inside the interval that the other groups' points give; None of one group."""
    if len(np.unique(group)) < 2:
        return None
    inside = np.zeros(len(measured), dtype=bool)
    for each in np.unique(group):
        out = group == each
        others = bands(predicted[~out], measured[~out], group[~out])
        below, above = margins(predicted[out], others)
        off = measured[out] - predicted[out]
        inside[out] = (off >= -below - 0.5) & (off <= above + 0.5)
    return round(float(inside.mean()), 3)
