"""The closing tables on the console."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from compiler.report import HTML_NAME
from compiler.report.schema import InsightSection, Report


def print_report(report: Report, folder: Path, console: Console) -> None:
    """Print accuracy, compression, resources, speed and the paths of the products."""
    console.print()
    console.print(f"[bold]{report.name}[/] on [bold]{report.board}[/] ({report.part})")
    if report.verdict:
        console.print(report.verdict.text, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("figure")
    table.add_column("value")
    for label, text in rows(report):
        table.add_row(label, text)
    console.print(table)
    if report.resources:
        console.print()
        console.print(_resources(report))
    if report.untrained:
        told = f"[yellow]retraining[/] {report.untrained}"
        console.print(told, highlight=False, soft_wrap=True)
    for reason in report.skipped:
        console.print(f"[yellow]skipped:[/] {reason}", highlight=False, soft_wrap=True)
    console.print()
    for name, place in {**report.files, "report": HTML_NAME}.items():
        console.print(f"{name:<11} {_short(folder / place)}", highlight=False, soft_wrap=True)
    failed = [check for check in report.verification if not check.passed]
    console.print(
        f"verified    {len(report.verification) - len(failed)} of {len(report.verification)} "
        "claims hold (verification.json)",
        highlight=False,
    )


def rows(report: Report) -> list[tuple[str, str]]:
    """Label and text of each line of the summary, units written out."""
    lines: list[tuple[str, str]] = []
    if report.accuracy:
        form = ".2%" if report.score == "accuracy" else ".4f"
        steps = ", ".join(f"{row.stage} {row.value:{form}}" for row in report.accuracy)
        lines.append((report.score, steps))
        lines.append(("", f"of {report.accuracy[0].samples} test samples"))
    if report.outputs:
        shape = " x ".join(map(str, report.outputs.shape))
        text = f"{shape} integers, channels last; value = integer x {report.outputs.step:.6g}"
        lines.append(("outputs", text))
    if report.compression:
        size = report.compression
        lines.append(("MACs", _cut(size.macs_before, size.macs_after)))
        if size.weight_bits_after is not None:
            bits = f", {size.mean_weight_bits:.2f} bits a weight"
            lines.append(
                ("weight bits", _cut(size.weight_bits_before, size.weight_bits_after) + bits)
            )
        else:
            lines.append(("weights", _cut(size.weights_before, size.weights_after)))
    if report.performance:
        speed = report.performance
        reached = (
            f"reached {speed.clock_reached_mhz:.1f} MHz"
            if speed.clock_reached_mhz is not None
            else "not placed and routed"
        )
        lines.append(("clock", f"target {speed.clock_target_mhz:g} MHz, {reached}"))
        text = f"estimated {speed.fps_estimated:,.0f}"
        if speed.fps_measured is not None:
            share = speed.interval_bound / (speed.interval_measured or 1)
            text += f", measured in RTL {speed.fps_measured:,.0f} ({share:.1%} of the bound)"
        for who, rate in speed.fps_vendor.items():
            text += f", {who} {rate:,.0f}"
        lines.append(("frames / s", text))
        lines.append(("latency", _latency(report)))
    if report.power_w is not None:
        lines.append(("power", f"{report.power_w:.3f} W on the chip, Vivado's estimate"))
    elif report.performance and report.performance.clock_reached_mhz is not None:
        lines.append(("power", "not reported by this flow"))
    if report.insight:
        lines.append(("looks at", _alike(report.insight)))
    return lines


def _alike(insight: InsightSection) -> str:
    """How alike heatmaps before and after compression are."""
    figures = (
        ("cosine", insight.cosine, insight.cosine_chance),
        ("rank correlation", insight.spearman, insight.spearman_chance),
    )
    parts = [
        f"{name} {value:.2f}" + ("" if chance is None else f" against {chance:.2f} by chance")
        for name, value, chance in figures
        if value is not None
    ]
    return "heatmaps before and after compression: " + (", ".join(parts) or "unknown")


def _latency(report: Report) -> str:
    speed = report.performance
    assert speed is not None
    parts = []
    for label, cycles in (
        ("estimated", speed.latency_estimated),
        ("measured in RTL", speed.latency_measured),
    ):
        if cycles is not None:
            parts.append(f"{label} {cycles / speed.clock_target_mhz:,.1f} µs ({cycles:,} cycles)")
    return ", ".join(parts) or "unknown"


def _cut(before: int, after: int) -> str:
    return f"{before:,} -> {after:,} ({1 - after / before:.1%} less)"


def _resources(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("resource")
    for title in ("estimated", "synthesised", "placed", "on board", "used"):
        table.add_column(title, justify="right")
    for row in report.resources:
        measured = [
            value for value in (row.placed, row.synthesised, row.estimated) if value is not None
        ]
        used = f"{measured[0] / row.available:.1%}" if measured and row.available else "unknown"
        table.add_row(
            row.resource,
            _count(row.estimated, "uncalibrated"),
            _count(row.synthesised, "-"),
            _count(row.placed, "-"),
            _count(row.available, "-"),
            used,
        )
    return table


def _count(value: float | None, missing: str) -> str:
    return missing if value is None else f"{value:,.0f}"


def _short(path: Path) -> str:
    """Relative to the working directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
