"""The picture of the way: every stage, and between them the passes. Run as a module, writes it.

The page shows it inline, where it takes the site's colours; by itself it follows the desktop's.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path
from textwrap import wrap

import passes
from compiler.option_help import paragraphs
from compiler.pipeline import stage_types

FILE = Path(__file__).parent.parent / "way.svg"
WIDTH, MARGIN, SPINE = 540, 4, 64
PILL, BOX, GAP, NAME = 28, 30, 10, 140
SIGN = 7.4
"""Width of a sign in pixels, about, of text in boxes."""
TOLD = 58
"""Signs a line, of what is told of a stage."""

STYLE = """\
.way { --ink: var(--md-typeset-color, #1f2933); --line: var(--md-primary-fg-color, #00707a);
  --sheet: var(--md-code-bg-color, #f2f5f6); font-family: system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg.way { --ink: var(--md-typeset-color, #dfe6ea);
  --sheet: var(--md-code-bg-color, #262d35) } }
.way text { fill: var(--ink); font-size: 13px } .way .told { font-size: 12px; opacity: .8 }
.way .stage { fill: var(--line) } .way .named { fill: #fff; font-weight: 600 }
.way .pass { fill: var(--sheet); stroke: var(--line) }
.way .arrow { stroke: var(--line); stroke-width: 2; fill: none }
.way .head { fill: var(--line) }"""


def picture() -> str:
    """The picture as SVG."""
    kinds = {name: passes.load(name) for name in passes.ORDER}
    first = stage_types(kinds["prepare"])[0]
    parts: list[str] = []
    y = _stage(parts, MARGIN, first)
    for given, names in groupby(passes.ORDER, key=lambda name: stage_types(kinds[name])[1]):
        bottom = _passes(parts, y, list(names))
        _arrow(parts, y, bottom)
        y = bottom if given is first else _stage(parts, bottom, given)
    label = "The stages of a compilation, and the passes from each to the next"
    return (
        f'<svg class="way" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + MARGIN}" '
        f'role="img" aria-label="{label}">\n<style>\n{STYLE}\n</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _stage(parts: list[str], y: int, kind: type) -> int:
    """Draws a stage whose upper edge is at `y`; gives its lower edge."""
    told = paragraphs(kind)[0].split(";")[0].split(": ")[0].replace("`", "").rstrip(".")
    parts += [
        f'<rect class="stage" x="{MARGIN}" y="{y}" width="{NAME}" height="{PILL}" rx="14"/>',
        f'<text class="named" x="{MARGIN + NAME // 2}" y="{y + 19}" text-anchor="middle">'
        f"{escape(kind.__name__)}</text>",
    ]
    lines = wrap(told, TOLD)
    first = y + 19 - 7 * (len(lines) - 1)
    parts += [
        f'<text class="told" x="{MARGIN + NAME + 12}" y="{first + 14 * at}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    ]
    return y + PILL


def _passes(parts: list[str], y: int, names: list[str]) -> int:
    """Draws passes to the right of the arrow below `y`; gives where the next stage begins."""
    x, y = SPINE + 2 * GAP, y + GAP + 4
    for name in names:
        width = round(len(name) * SIGN + 22)
        if x + width > WIDTH - MARGIN:
            x, y = SPINE + 2 * GAP, y + BOX + GAP
        parts.append(
            f'<a href="reference/passes.html#{name}">'
            f'<rect class="pass" x="{x}" y="{y}" width="{width}" height="{BOX}" rx="5"/>'
            f'<text x="{x + width // 2}" y="{y + 20}" text-anchor="middle">{name}</text></a>'
        )
        x += width + GAP
    return y + BOX + GAP + 4


def _arrow(parts: list[str], top: int, bottom: int) -> None:
    parts += [
        f'<path class="arrow" d="M{SPINE} {top}V{bottom - 8}"/>',
        f'<path class="head" d="M{SPINE - 6} {bottom - 9}h12l-6 9z"/>',
    ]


if __name__ == "__main__":
    FILE.write_text(picture())
