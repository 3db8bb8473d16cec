"""`liftflow compare`: runs side by side, from their reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compiler.commands.console import print_json

if TYPE_CHECKING:
    from compiler.report.schema import Report

Row = tuple[str, list[str]]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, build/<name>-<board>.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put runs side by side: accuracy, size, speed, hardware, and the options that differ."""
    from compiler import report

    reports = [report.load(run) for run in runs]
    if as_json:
        print_json(
            [
                {
                    "run": str(run),
                    "figures": figures(one),
                    "options": {row.name: row.options for row in one.passes},
                }
                for run, one in zip(runs, reports, strict=True)
            ]
        )
        return
    _show([str(run) for run in runs], reports)


def figures(report: Report) -> dict[str, float | None]:
    """Name, with its unit, -> value; None where the run did not come so far."""
    found: dict[str, float | None] = {
        f"{report.score}, {row.stage}": row.value for row in report.accuracy
    }
    size, speed = report.compression, report.performance
    found["MACs"] = size.macs_after if size else None
    found["weights"] = size.weights_after if size else None
    found["bits a weight"] = size.mean_weight_bits if size else None
    for row in report.resources:
        found[f"{row.resource}, estimated"] = row.estimated
        found[f"{row.resource}, measured"] = (
            row.placed if row.placed is not None else row.synthesised
        )
    found["clock target, MHz"] = speed.clock_target_mhz if speed else None
    found["clock reached, MHz"] = speed.clock_reached_mhz if speed else None
    found["power, W"] = report.power_w
    found["frames/s, estimated"] = speed.fps_estimated if speed else None
    found["frames/s, measured in RTL"] = speed.fps_measured if speed else None
    found["latency, cycles"] = speed.latency_measured if speed else None
    found["heatmaps' cosine"] = report.insight.cosine if report.insight else None
    found["claims that hold"] = sum(row.passed for row in report.verification)
    found["compiled in, s"] = round(sum(row.seconds for row in report.passes), 1)
    return found


def differing_options(reports: Sequence[Report]) -> list[Row]:
    """Options of passes that are not the same in all runs; "-" where a run has none."""
    told: list[dict[str, Any]] = [
        {f"{row.name}.{key}": value for row in one.passes for key, value in row.options.items()}
        for one in reports
    ]
    names = dict.fromkeys(name for options in told for name in options)
    rows = [(name, [str(options.get(name, "-")) for options in told]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _show(runs: Sequence[str], reports: Sequence[Report]) -> None:
    from rich.text import Text

    from compiler.commands.console import out, table

    listed = table("", *runs, numbers=runs)
    found = [figures(one) for one in reports]
    rows: list[Row] = [
        ("board", [one.board for one in reports]),
        ("data", [one.dataset for one in reports]),
    ]
    for name in dict.fromkeys(name for values in found for name in values):
        told = [values.get(name) for values in found]
        if any(value is not None for value in told):
            rows.append((name, [figure_text(value) for value in told]))
    for name, texts in [*rows, *differing_options(reports)]:
        listed.add_row(Text(name), *map(Text, texts))
    out.print(listed)


def figure_text(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
