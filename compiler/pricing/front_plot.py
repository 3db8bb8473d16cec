"""The front as a picture: modelled error over frames a second, LUTs as colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compiler.pricing.front import Design

MARKERS = "osD^vP*X"


def draw(designs: Sequence[Design], path: Path) -> None:
    """Writes the picture; its format is what the path ends with."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    luts = [design.use["lut"] for design in designs]
    span = (min(luts), max(luts) if max(luts) > min(luts) else min(luts) + 1.0)
    shade = matplotlib.colors.LogNorm(*span)
    drawn = None
    for number, board in enumerate(dict.fromkeys(design.board for design in designs)):
        chosen = [design for design in designs if design.board == board]
        drawn = axes.scatter(
            [design.fps for design in chosen],
            [design.error for design in chosen],
            c=[design.use["lut"] for design in chosen],
            norm=shade,
            cmap="viridis",
            marker=MARKERS[number % len(MARKERS)],
            s=48,
            edgecolors="black",
            linewidths=0.5,
            label=f"{board}, {chosen[0].clock_mhz:g} MHz",
        )
    axes.set_xscale("log")
    axes.set_xlabel("frames a second")
    axes.set_ylabel("modelled error (less is better)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    if drawn is not None:
        figure.colorbar(drawn, label="LUT, modelled")
    figure.savefig(path)
    plt.close(figure)
