"""Fit the cost model's coefficients to the synthesised points and print how well they fit.

    python -m benchmarks.calibration.fit ecp5 [--date 2026-01-31]

Non-negative, on relative error: every point weighs the same, large or small (`regression`). Errors
are mean absolute percentages, of the fit and with each shape left out in turn. Writes
`hw_targets/cost/data/<family>-rtl.json`; figures already in it that no new points replace are kept.
"""

from __future__ import annotations

import argparse
import datetime
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.calibration.regression import fit_resource, share
from benchmarks.calibration.sweep import kernel_of, load_points
from benchmarks.calibration.synthesis import recipe_digest
from hw_targets.cost.basis import BASES, Number
from hw_targets.cost.coefficients import (
    VERSION,
    Coefficients,
    KernelFit,
    data_file,
    load_coefficients,
)
from hw_targets.cost.features import KERNELS, columns, domain
from hw_targets.families import Family, family_names, load_family

COUNTED = frozenset({"depth", "row", "in_h", "in_w", "column_folds", "folds", "taps"})
"""Features that a kernel counts through, and has no hardware for beyond counters and memory."""

SHAPES: dict[str, tuple[str, ...]] = {
    "Mvu": ("mw", "mh"),
    "Threshold": ("channels",),
    "Swu": ("in_h", "in_w", "channels", "kernel_h", "kernel_w", "stride_h", "stride_w"),
    "ParallelWindow": (
        "in_h",
        "in_w",
        "channels",
        "kernel_h",
        "kernel_w",
        "stride_h",
        "stride_w",
        "dilation_h",
    ),
    "Pad": ("in_h", "in_w", "channels"),
    "MaxPool": ("in_h", "in_w", "channels", "kernel"),
    "Upsample": ("in_h", "in_w", "channels", "scale_h", "scale_w"),
    "Depthwise": ("channels", "taps"),
    "Reduce": ("channels", "taps"),
    "Requant": ("channels",),
    "Table": ("in_bits", "lanes"),
    "ChannelAdd": ("channels",),
    "LabelSelect": ("classes",),
    "Fifo": ("width", "depth"),
    "WidthConverter": ("in_lanes", "out_lanes"),
    "Duplicate": ("lanes", "copies"),
    "Add": ("lanes", "bits"),
    "Concat": ("channels", "lanes"),
}
"""What makes two points of a kernel the same shape: left out together when a fit is tested."""

DRAWN = {("xcup", kernel): "xc7" for kernel in ("Mvu", "Threshold")}
"""Family and kernel of few points -> the family of like LUTs whose coefficients draw them."""
LEAST_PRIOR = 0.1
"""What a coefficient is drawn to at least: one of 0 is no physical value."""

Vector = NDArray[np.float64]


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
    kernels = [kernel_of(row) for row in rows]
    table = columns(kind, kernels)
    basis = BASES[kind](dict(table), family)
    shapes = [tuple(row["fields"][name] for name in SHAPES[kind]) for row in rows]

    def measured(resource: str) -> Vector:
        return np.array([row["resources"][resource] for row in rows])

    like = DRAWN.get((family.name, kind))
    sibling = load_coefficients(like) if like else None

    def priors(resource: Literal["lut", "ff"]) -> dict[str, float] | None:
        if sibling is None:
            return None
        known = getattr(sibling.kernels[kind], resource).coefficients
        terms = getattr(basis, resource)
        return {name: max(known.get(name, 1.0), LEAST_PRIOR) for name in terms}

    return KernelFit(
        source=recipe,
        points=len(rows),
        domain={
            name: _bounds(name, np.asarray(values)) for name, values in domain(kind, table).items()
        },
        lut=fit_resource(basis.lut, measured("lut"), shapes, priors("lut"))[0],
        ff=fit_resource(basis.ff, measured("ff"), shapes, priors("ff"))[0],
        **counted({"dsp": (basis.dsp, measured("dsp")), "bram": (basis.bram, measured("bram"))}),
    )


def counted(blocks: Mapping[str, tuple[Number, Vector]]) -> dict[str, Any]:
    """How the counts of hard blocks, (by formula, measured), agree: `exact` and `off`."""
    exact, off = {}, {}
    for name, (formula, measured) in blocks.items():
        exact[name] = round(float(np.equal(formula, measured).mean()), 3)
        shares = (measured - formula) / np.maximum(formula, 1.0)
        off[name] = (
            round(float(min(0.0, shares.min())), 3),
            round(float(max(0.0, shares.max())), 3),
        )
    return {"exact": exact, "off": off}


def fitting_rows(name: str) -> dict[str, list[dict[str, Any]]]:
    """Kernel -> its points in a family that are made from its present source."""
    family = load_family(name)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in load_points(name):
        kind = row["kernel"]
        if row["recipe"] == recipe_digest(KERNELS[kind], family):
            found[kind].append(row)
    return dict(sorted(found.items()))


def fit_family(name: str, date: str) -> Coefficients:
    """Fits of every kernel that has points made from its present source.

    A kernel without any keeps the fit it had, whose `source` tells of what.
    """
    family = load_family(name)
    by_kind = fitting_rows(name)
    tools = {row["tool"] for rows in by_kind.values() for row in rows}
    former = load_coefficients(name)
    fits = dict(former.kernels) if former else {}
    for kind, rows in by_kind.items():
        fits[kind] = fit_kernel(kind, rows, family, recipe_digest(KERNELS[kind], family))
    return Coefficients(
        version=VERSION,
        family=name,
        implementation="rtl",
        date=date,
        tool=", ".join(sorted(tools)) or (former.tool if former else ""),
        kernels=dict(sorted(fits.items())),
        shells=former.shells if former else {},
    )


def show(fitted: Coefficients) -> Table:
    """The fits as a table, errors in percent."""
    table = Table(title=f"{fitted.family}, {fitted.tool}: mean absolute error, %")
    heads = ("kernel", "points", "LUT", "LUT left out", "in 90 %", "FF", "FF left out", "in 90 %")
    for head in (*heads, "DSP", "BRAM"):
        table.add_column(head, justify="left" if head == "kernel" else "right")
    for kind, fit in fitted.kernels.items():
        table.add_row(
            kind,
            str(fit.points),
            f"{fit.lut.mape:.1f}",
            f"{fit.lut.mape_left_out:.1f}",
            f"{share(fit.lut.coverage)}",
            f"{fit.ff.mape:.1f}",
            f"{fit.ff.mape_left_out:.1f}",
            f"{share(fit.ff.coverage)}",
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
    path = data_file(options.family, "rtl")
    path.parent.mkdir(exist_ok=True)
    path.write_text(fitted.model_dump_json(indent=1) + "\n")
    Console().print(show(fitted))


if __name__ == "__main__":
    main()
