"""Fits the cost of FINN's nodes to real Vivado results, and compares it with FINN's estimates.

    python -m benchmarks.vivado --data FOLDER [--date 2026-01-31]

Every error is of a network that the fit has not seen: all rows of one model are left out in turn.
Writes `hw_targets/cost/data/xc7-finn.json` and `docs/cost-vivado.md`; of the rows themselves, which
carry no licence, nothing is written.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

import numpy as np

from benchmarks.calibration.fit import counted
from benchmarks.calibration.regression import Vector, fit_resource, mape, share
from benchmarks.vivado.rows import Measured, kinds, measured
from hw_targets.cost.basis import BASES
from hw_targets.cost.coefficients import VERSION, Coefficients, KernelFit, data_file
from hw_targets.cost.features import columns, domain
from hw_targets.errors import LiftFlowError
from hw_targets.families import load_family
from hw_targets.finn_adapter import node_luts

FAMILY = "xc7"
TOOL = "Vivado (out of context, xc7z020), FINN's HLS and RTL nodes"
TABLE = Path(__file__).parents[2] / "docs" / "cost-vivado.md"

# What a term should cost by the make of a LUT of six inputs: a bit registered, added, selected,
# compared or stored. Fits are drawn to them where the rows say little, as a fit to networks of two
# bits says little of thresholds at eight.
LUT_PRIORS: dict[str, dict[str, float]] = {
    "FinnMvau": {
        "const": 150.0,
        "control": 10.0,
        "rom": 1.0,
        "stream": 1.0,
        "xnor": 1.0,
        "products": 0.6,
        "hard": 0.2,
        "tree": 0.3,
        "accumulate": 1.5,
        "compare": 0.5,
        "select": 0.4,
        "enables": 1.5,
        "far": 0.6,
        "vector": 1.0,
    },
    "FinnWindow": {"const": 60.0, "control": 4.0, "width": 1.0, "taps": 0.3, "buffer": 1.0},
    "FinnPadding": {"const": 15.0, "control": 2.0, "width": 0.5},
    "FinnThresholding": {"const": 10.0, "compare": 1.0, "values": 0.5},
    "FinnFifo": {
        "const": 8.0,
        "deep": 25.0,
        "address": 1.0,
        "skid": 1.0,
        "shift": 1.0,
        "width": 1.0,
    },
    "FinnWidthConverter": {
        "const": 4.0,
        "count": 1.0,
        "narrow": 0.5,
        "gather": 0.01,
        "spread": 1.0,
    },
    "FinnLabelSelect": {"const": 20.0, "best": 2.0, "index": 3.0},
}


def fit_nodes(rows: list[Measured]) -> tuple[dict[str, KernelFit], dict[str, Vector]]:
    """Every node's fit, and its LUTs as predicted without its model."""
    family = load_family(FAMILY)
    fits: dict[str, KernelFit] = {}
    unseen: dict[str, Vector] = {}
    for kind, part in kinds(rows):
        table = columns(kind, [row.node for row in part])
        basis = BASES[kind](dict(table), family)
        models = [row.model for row in part]

        def column(resource: str, part: list[Measured] = part) -> Vector:
            return np.array([row.resources[resource] for row in part])

        lut, unseen[kind] = fit_resource(basis.lut, column("lut"), models, LUT_PRIORS[kind])
        ff, _ = fit_resource(basis.ff, column("ff"), models)
        fits[kind] = KernelFit(
            source="real builds of FINN networks; see docs/cost-vivado.md",
            points=len(part),
            domain={
                name: (float(np.min(values)), float(np.max(values)))
                for name, values in domain(kind, table).items()
            },
            lut=lut,
            ff=ff,
            **counted({"dsp": (basis.dsp, column("dsp")), "bram": (basis.bram, column("bram"))}),
        )
    return fits, unseen


def page(rows: list[Measured], fits: dict[str, KernelFit], unseen: dict[str, Vector]) -> str:
    """The documentation's table."""
    lines = [
        "# The cost of FINN's nodes, against Vivado",
        "",
        "Mean absolute percentage errors of LUT counts on real builds of FINN networks for the "
        f"xc7z020 ({len(rows)} submodules of {len({row.model for row in rows})} networks). Ours "
        "is of networks the fit has not seen: all rows of one network are left out in turn. "
        "FINN's is what FINN itself (finn-plus) answers for the same node. *In 90 %*: share of "
        "rows inside the interval that the other networks' rows give.",
        "",
        "| node | rows | ours | FINN's | times better | in 90 % | DSP exact | BRAM exact |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, part in kinds(rows):
        fit = fits[kind]
        lut = np.array([row.resources["lut"] for row in part])
        ours = mape(unseen[kind], lut)
        asked = [row.finn for row in part if row.finn]
        theirs, better = "none", ""
        if asked:
            error = mape(np.array(node_luts(asked)), lut)
            theirs, better = f"{error:.1f}", f"{error / ours:.1f}"
        lines.append(
            f"| {kind.removeprefix('Finn')} | {len(part)} | {ours:.1f} | {theirs} | {better} | "
            f"{share(fit.lut.coverage)} | {fit.exact['dsp']:.0%} | {fit.exact['bram']:.0%} |"
        )
    lines += ["", "By network left out, matrix-vector units:", ""]
    lines += ["| network | rows | ours | mean signed error |", "| --- | --- | --- | --- |"]
    part = [row for row in rows if row.kind == "FinnMvau"]
    lut = np.array([row.resources["lut"] for row in part])
    for model in sorted({row.model for row in part}):
        here = np.array([row.model == model for row in part])
        error = (unseen["FinnMvau"][here] - lut[here]) / lut[here]
        lines.append(
            f"| {model} | {here.sum()} | {100 * np.abs(error).mean():.1f} | "
            f"{100 * error.mean():+.1f} |"
        )
    return "\n".join([*lines, "", _NOTES])


_NOTES = """\
Coefficients are fitted by non-negative least squares on relative error and drawn, weakly, to what
a LUT of six inputs can do (`benchmarks/vivado/__main__.py`): a fit to networks of one and two bits
says little of 255 thresholds.

The files do not hold the stream widths of FIFOs and width converters. Both are recovered from the
registers, which are the words and a known number beside: every converter's registers are the wider
side, a word of the narrower one, a counter and the handshake, for one pair of widths of streams
that its network has. Converters through HLS (8 rows) and FIFOs without a depth (50) say too little
and are left out. Four rows of label select are too few to be more than a guess; thresholds come
from one layer of two networks, of one and of two bits, so that leaving one out leaves nothing like
it: their intervals are too narrow.

Made by `python -m benchmarks.vivado --data FOLDER`.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--date", default=datetime.datetime.now(datetime.UTC).date().isoformat())
    options = parser.parse_args()
    rows = measured(options.data)
    fits, unseen = fit_nodes(rows)
    fitted = Coefficients(
        version=VERSION,
        family=FAMILY,
        implementation="finn",
        date=options.date,
        tool=TOOL,
        kernels=dict(sorted(fits.items())),
    )
    data_file(FAMILY, "finn").write_text(fitted.model_dump_json(indent=1) + "\n")
    text = page(rows, fits, unseen)
    TABLE.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LiftFlowError as error:
        sys.exit(f"error: {error}")
