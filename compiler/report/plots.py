"""Plots of the report as SVG by Matplotlib, in the page's own ink: dark where the page is."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING

from compiler.report.schema import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's own text colour, `currentColor` in the SVG."""
BEFORE, AFTER, MARK = "#98a5b5", "#2f7de1", "#d9731a"
MOST_LAYERS = 60
"""Layers drawn: more are not readable."""
WIDTH = 11.0
"""Inches of a plot that fills the page."""


def plots(report: Report) -> dict[str, str]:
    """Name -> inline SVG of each plot that the run has figures for."""
    drawn = {
        "network": _network(report),
        "channels": _channels(report),
        "front": _front(report),
        "training": _training(report),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _network(report: Report) -> str:
    """Layers from left to right: channels before and after, bits, cycles; the slowest marked."""
    layers = report.layers[:MOST_LAYERS]
    if not layers:
        return ""
    slowest = max((row.cycles or 0 for row in layers), default=0)

    def draw(figure: Figure) -> None:
        cycles = slowest > 0
        axes = figure.subplots(2 if cycles else 1, 1, sharex=True, squeeze=False)[:, 0]
        places = range(len(layers))
        axes[0].bar(places, [r.channels_before for r in layers], color=BEFORE, label="removed")
        axes[0].bar(places, [r.channels_after for r in layers], color=AFTER, label="kept")
        for place, row in enumerate(layers):
            if row.weight_bits:
                told = f"{row.weight_bits} bit" + (f"\n{row.pe}×{row.simd}" if row.pe else "")
                axes[0].annotate(
                    told, (place, row.channels_before), ha="center", va="bottom", fontsize=8
                )
        axes[0].set_ylabel("channels")
        axes[0].margins(y=0.25)
        axes[0].legend(frameon=False, loc="upper left", ncols=2, fontsize=8)
        if cycles:
            tones = [MARK if row.cycles == slowest else AFTER for row in layers]
            axes[1].bar(places, [row.cycles or 0 for row in layers], color=tones)
            axes[1].set_ylabel("cycles a frame")
        turned = 60 if len(layers) > 12 else 0
        axes[-1].set_xticks(list(places), [row.name for row in layers], rotation=turned)

    return _svg(draw, 3.6)


def _channels(report: Report) -> str:
    """A panel a layer: its channels by falling relevance, before pruning and kept."""
    layers = [row for row in report.layers if row.scores_before][:MOST_LAYERS]
    if not layers:
        return ""
    across = min(4, len(layers))
    down = -(-len(layers) // across)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, row in zip(panels, layers, strict=False):
            before, after = (
                sorted(scores, reverse=True) for scores in (row.scores_before, row.scores_after)
            )
            axes.fill_between(
                range(len(before)), before, step="mid", color=BEFORE, label="before pruning"
            )
            axes.step(range(len(after)), after, where="mid", color=AFTER, label="kept")
            axes.set_title(row.name, fontsize=9)
            axes.set_ylim(bottom=0)
            axes.tick_params(labelsize=7)
            axes.xaxis.get_major_locator().set_params(integer=True)
        panels[0].legend(frameon=False, fontsize=7)
        for axes in panels[len(layers) :]:
            axes.set_visible(False)

    return _svg(draw, 1.7 * down + 0.3)


def _front(report: Report) -> str:
    """Modelled error over frames a second; the chosen design marked."""
    if not report.front:
        return ""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        others = [row for row in report.front if not row.chosen]
        shown = axes.scatter(
            [row.fps for row in others],
            [row.error for row in others],
            c=[row.lut for row in others],
            cmap="viridis",
        )
        bar = figure.colorbar(shown, ax=axes)
        bar.set_label("LUT, modelled", color=INK)
        bar.ax.tick_params(colors=INK)
        for row in report.front:
            if row.chosen:
                axes.plot(row.fps, row.error, "*", color=MARK, markersize=16, label="chosen")
        axes.set_xscale("log")
        axes.set_xlabel("frames a second")
        axes.set_ylabel("modelled error")
        axes.legend(frameon=False)

    return _svg(draw, 3.2)


def _training(report: Report) -> str:
    if len(report.history) < 2:
        return ""

    def draw(figure: Figure) -> None:
        loss, score = figure.subplots(1, 2)
        epochs = [row["epoch"] for row in report.history]
        for axes, key, name in ((loss, "loss", "loss"), (score, "accuracy", report.score)):
            axes.plot(epochs, [row[key] for row in report.history], color=AFTER)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)

    return _svg(draw, 2.4)


def _svg(draw: Callable[[Figure], None], height: float) -> str:
    """The drawing as SVG to be put into a page: no fixed size, no ids that another one has."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": draw.__qualname__,
        "font.family": "sans-serif",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        stream = StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    return re.sub(
        r'<svg ([^>]*?)width="[^"]*pt"([^>]*?)height="[^"]*pt"',
        r'<svg aria-hidden="true" \1\2',
        text,
        count=1,
    )
