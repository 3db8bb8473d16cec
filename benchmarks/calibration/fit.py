"""Fit the cost model's coefficients to the synthesised points and print how well they fit.

    python -m benchmarks.calibration.fit ecp5 [--date 2026-01-31]

Non-negative least squares on relative error: every point weighs the same, large or small. Errors
are mean absolute percentages, of the fit and with each point left out in turn. Writes
`hw_targets/cost/data/<family>.json`; figures already in it that no new points replace are kept.
"""

from __future__ import annotations

import argparse
import datetime
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

from benchmarks.calibration.sweep import load_points
from benchmarks.calibration.synthesis import recipe_digest
from hw_targets.cost.basis import BASES, Terms
from hw_targets.cost.coefficients import (
    FOLDER,
    Coefficients,
    Fit,
    KernelFit,
    load_coefficients,
)
from hw_targets.cost.features import KERNELS, columns, domain
from hw_targets.families import Family, family_names, load_family

COUNTED = frozenset({"depth", "row", "in_h", "in_w", "column_folds", "folds"})
"""Features that a kernel counts through, and has no hardware for beyond counters and memory."""

Vector = NDArray[np.float64]
FLOOR = 16.0
"""LUTs or registers below which an error counts as if the kernel had this many."""


def _weights(matrix: Vector, measured: Vector) -> Vector:
    """Coefficients that make the relative errors least, none negative."""
    scale = np.maximum(measured, FLOOR)
    found, _ = nnls(matrix / scale[:, None], measured / scale, maxiter=50 * matrix.shape[1])
    return np.asarray(found)


def _errors(predicted: Vector, measured: Vector) -> float:
    """Mean absolute percentage error."""
    return float(100 * (np.abs(predicted - measured) / np.maximum(measured, FLOOR)).mean())


def fit_resource(terms: Terms, measured: Vector) -> Fit:
    """Coefficients of one resource of one kernel, with both errors in percent."""
    # A term that no point has is left out: the model then knows that it knows nothing of it.
    names = [name for name, values in terms.items() if values.any()]
    matrix = np.stack([terms[name] for name in names], axis=1)
    weights = _weights(matrix, measured)
    left_out = np.array(
        [
            matrix[i] @ _weights(np.delete(matrix, i, 0), np.delete(measured, i))
            for i in range(len(measured))
        ]
    )
    return Fit(
        coefficients={name: float(f"{w:.5g}") for name, w in zip(names, weights, strict=True)},
        mape=round(_errors(matrix @ weights, measured), 2),
        mape_left_out=round(_errors(left_out, measured), 2),
    )


def _bounds(name: str, values: Vector) -> tuple[float, float]:
    """Where a fit is trusted: from nothing to somewhat beyond the greatest value synthesised.

    Every term of a basis is a count of physical things with a coefficient that is not negative, so
    that estimates go to the constant part as sizes go to zero. Depths and image sizes beyond those
    synthesised only make counters and addresses longer, by a bit for each doubling.
    """
    reach = 4.0 if name in COUNTED else 1.5
    return (0.0, float(values.max()) * reach)


def fit_kernel(kind: str, rows: list[dict[str, Any]], family: Family, recipe: str) -> KernelFit:
    """All fits of one kernel from its rows of the data file."""
    kernels = [KERNELS[kind](**row["fields"]) for row in rows]
    table = columns(kind, kernels)
    basis = BASES[kind](table, family)

    def measured(resource: str) -> Vector:
        return np.array([row["resources"][resource] for row in rows])

    return KernelFit(
        source=recipe,
        points=len(rows),
        domain={name: _bounds(name, values) for name, values in domain(kind, table).items()},
        lut=fit_resource(basis.lut, measured("lut")),
        ff=fit_resource(basis.ff, measured("ff")),
        exact={
            "dsp": round(float((np.equal(basis.dsp, measured("dsp"))).mean()), 3),
            "bram": round(float((np.equal(basis.bram, measured("bram"))).mean()), 3),
        },
    )


def fit_family(name: str, date: str) -> Coefficients:
    """Fits of every kernel that has points made from its present source.

    A kernel without any keeps the fit it had, whose `source` tells of what.
    """
    family = load_family(name)
    by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    tools = set()
    for row in load_points(name):
        kind = row["kernel"]
        if row["recipe"] == recipe_digest(KERNELS[kind], family):
            by_kind[kind].append(row)
            tools.add(row["tool"])
    former = load_coefficients(name)
    fits = dict(former.kernels) if former else {}
    for kind, rows in by_kind.items():
        fits[kind] = fit_kernel(kind, rows, family, recipe_digest(KERNELS[kind], family))
    return Coefficients(
        version=1,
        family=name,
        date=date,
        tool=", ".join(sorted(tools)) or (former.tool if former else ""),
        kernels=dict(sorted(fits.items())),
        shells=former.shells if former else {},
    )


def show(fitted: Coefficients) -> Table:
    """The fits as a table, errors in percent."""
    table = Table(title=f"{fitted.family}, {fitted.tool}: mean absolute error, %")
    for head in ("kernel", "points", "LUT", "LUT left out", "FF", "FF left out", "DSP", "BRAM"):
        table.add_column(head, justify="left" if head == "kernel" else "right")
    for kind, fit in fitted.kernels.items():
        table.add_row(
            kind,
            str(fit.points),
            f"{fit.lut.mape:.1f}",
            f"{fit.lut.mape_left_out:.1f}",
            f"{fit.ff.mape:.1f}",
            f"{fit.ff.mape_left_out:.1f}",
            f"{fit.exact['dsp']:.0%} exact",
            f"{fit.exact['bram']:.0%} exact",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("family", choices=family_names())
    parser.add_argument("--date", default=datetime.datetime.now(datetime.UTC).date().isoformat())
    options = parser.parse_args()
    fitted = fit_family(options.family, options.date)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{options.family}.json").write_text(fitted.model_dump_json(indent=1) + "\n")
    Console().print(show(fitted))


if __name__ == "__main__":
    main()
