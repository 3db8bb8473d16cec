"""Renders report.html: one file, no scripts, no outside resources."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from compiler.report.schema import Report
from compiler.report.terminal import rows


def render(report: Report) -> str:
    """The report as one self-contained HTML page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = _count
    environment.filters["percent"] = lambda value: "–" if value is None else f"{value:.1%}"
    return environment.get_template("template.html.j2").render(
        report=report,
        summary=rows(report),
        greatest_relevance=max((row.relevance or 0.0 for row in report.layers), default=0.0),
        seconds=sum(row.seconds for row in report.passes),
        slowest=max((row.seconds for row in report.passes), default=0.0),
        slowest_unit=max((row.cycles for row in report.units), default=1),
    )


def _count(value: float | None, missing: str = "–") -> str:
    return missing if value is None else f"{value:,.0f}"
