"""`liftflow explain`: what DeepLIFT found in a finished run, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compiler.commands.console import print_json
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from compiler.report.schema import FilterRow, InsightSection, Report

CLASSES = 10
"""Classes listed a layer; --json has all."""


def explain(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, build/<name>-<board>.")],
    layer: Annotated[str | None, typer.Option(help="Only this layer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a network looks at, which channels serve which classes, and why its bits."""
    from compiler import report
    from compiler.report.insight import reason

    told = report.load(folder)
    layers = [row for row in told.layers if layer in (None, row.name)]
    if layer is not None and not layers:
        raise LiftFlowError(
            f"no layer {layer!r}",
            where=str(folder),
            mend=f"it has {', '.join(row.name for row in told.layers) or 'none yet'}",
        )
    if not any(row.relevance is not None for row in layers):
        raise LiftFlowError(
            "nothing was attributed here yet",
            where=str(folder),
            mend="compile until attribute at least, best until explain",
        )
    if as_json:
        chosen = {row.name for row in layers}
        print_json(
            {
                "run": str(folder),
                "layers": [
                    {**row.model_dump(mode="json"), "why": reason(row) or None} for row in layers
                ],
                "insight": _chosen(told, chosen),
            }
        )
        return
    _show(told, [row.name for row in layers])


def _chosen(told: Report, layers: set[str]) -> dict[str, object] | None:
    if told.insight is None:
        return None
    found = told.insight.model_dump(mode="json")
    found["filters"] = [row for row in found["filters"] if row["layer"] in layers]
    return found


def _show(told: Report, layers: list[str]) -> None:
    from rich.text import Text

    from compiler.commands.console import out, table
    from compiler.report.insight import reason

    rows = [row for row in told.layers if row.name in layers]
    numbers = ("relevance", "channels", "of", "bits")
    listed = table("layer", *numbers, "why these bits", numbers=numbers)
    for row in rows:
        listed.add_row(
            Text(row.name),
            "-" if row.relevance is None else f"{row.relevance:.1%}",
            str(row.channels_after),
            str(row.channels_before),
            str(row.weight_bits or "-"),
            reason(row),
        )
    out.print(listed)
    if told.insight is None:
        out.print("No heatmaps: the run did not come to explain.")
        return
    out.print()
    out.print(_looks(told.insight), soft_wrap=True)
    for filters in told.insight.filters:
        if filters.layer in layers:
            out.print()
            _serves(filters)


def _looks(insight: InsightSection) -> str:
    text = f"Heatmaps towards {insight.target}, before and after compression: "
    parts = []
    for name, value, chance in (
        ("cosine", insight.cosine, insight.cosine_chance),
        ("rank correlation", insight.spearman, insight.spearman_chance),
    ):
        if value is not None:
            by_chance = "" if chance is None else f" ({chance:.2f} between different samples)"
            parts.append(f"{name} {value:.2f}{by_chance}")
    return text + (", ".join(parts) or "unknown") + f"; over {len(insight.heatmaps)} samples."


def _serves(filters: FilterRow) -> None:
    from rich.markup import escape
    from rich.text import Text

    from compiler.commands.console import out, table

    listed = table(f"{escape(filters.layer)}: class", "served by channel (share of its relevance)")
    for row in filters.classes[:CLASSES]:
        served = zip(row.channels, row.shares, strict=True)
        listed.add_row(
            Text(row.label), ", ".join(f"{name} ({share:.0%})" for name, share in served)
        )
    out.print(listed)
    if len(filters.classes) > CLASSES:
        out.print(f"and {len(filters.classes) - CLASSES} more classes; --json has all")
