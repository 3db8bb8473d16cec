"""Renders report.html: one file, no scripts, no outside resources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from compiler.report import pictures
from compiler.report.insight import TARGETS, reason
from compiler.report.plots import plots
from compiler.report.schema import FilterRow, Report, Verdict
from compiler.report.terminal import rows
from compiler.stages import Insight

SHOWN_CLASSES = 50
"""Classes whose channels are listed, to bound the page; report.json has all."""


def render(report: Report, insight: Insight | None = None) -> str:
    """The report as one self-contained HTML page.

    Args:
        insight: what `report.insight` was made of; without it the page has no pictures.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = plots(report)
    environment.filters["count"] = _count
    environment.filters["percent"] = lambda value: "–" if value is None else f"{value:.1%}"
    environment.filters["score"] = lambda value: (
        f"{value:.1%}" if report.score == "accuracy" else f"R^2 {value:.4f}"
    )
    environment.filters["reason"] = reason
    environment.filters["peak"] = _peak
    environment.filters["selective"] = _selective
    return environment.get_template("template.html.j2").render(
        report=report,
        triples=pictures.triples(insight) if insight else [],
        grids=pictures.grids(insight) if insight else {},
        targets=TARGETS,
        shown_classes=SHOWN_CLASSES,
        summary=rows(report),
        greatest_relevance=max((row.relevance or 0.0 for row in report.layers), default=0.0),
        seconds=sum(row.seconds for row in report.passes),
        slowest=max((row.seconds for row in report.passes), default=0.0),
        slowest_unit=max((row.cycles for row in report.units), default=1),
        slowest_layer=max((row.cycles or 0 for row in report.layers), default=0),
        greatest_luts=max((row.lut or 0.0 for row in report.units), default=0.0),
        board_luts=next((r.available for r in report.resources if r.resource == "LUT"), None),
        plots=drawn,
        tone=_tone(report.verdict),
        sections=_sections(report, drawn),
    )


def _tone(told: Verdict | None) -> str:
    """Good where nothing is open, poor where something failed."""
    states = (told.fits, told.goals, told.exact) if told else (None,)
    return "poor" if False in states else "open" if None in states else "good"


def _sections(report: Report, drawn: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """(id, name, whether it is there) of the page's sections, in their order."""
    return [
        ("resources", "Resources", bool(report.resources)),
        ("layers", "Layers", bool(report.layers)),
        ("channels", "Channels", "channels" in drawn),
        ("bits", "Bits", any(row.margin for row in report.layers)),
        ("front", "Front", bool(report.front)),
        ("looks", "Heatmaps", report.insight is not None),
        ("filters", "Filters", report.insight is not None and bool(report.insight.filters)),
        ("units", "Units", bool(report.units)),
        ("fifos", "FIFOs", bool(report.fifos)),
        ("training", "Training", bool(report.history or report.untrained)),
        ("ledger", "Ledger", True),
        ("passes", "Passes", True),
        ("anew", "Made anew", True),
        ("files", "Files", True),
    ]


def _count(value: float | None, missing: str = "–") -> str:
    return missing if value is None else f"{value:,.0f}"


def _peak(row: FilterRow) -> str:
    """What a grid shows, in words."""
    served = [one for one in row.classes if one.shares and one.shares[0] > 0]
    if not served:
        return "no relevance"
    most = max(served, key=lambda one: one.shares[0])
    return (
        f"{len(row.classes)} classes by {len(row.selectivity)} channels; the greatest share, "
        f"{most.shares[0]:.0%}, is channel {most.channels[0]} for class {most.label}"
    )


def _selective(row: FilterRow) -> list[tuple[int, float]]:
    """(channel, selectivity) of the three most selective channels."""
    return sorted(enumerate(row.selectivity), key=lambda one: -one[1])[:3]
