"""Write docs/finn-rtl.md: our units beside FINN's, and where ours are not smaller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.finn_rtl.theirs import lanes
from hw_targets.families import load_family
from hw_targets.rtl.mvu import Mvu

DOC = Path(__file__).parents[2] / "docs" / "finn-rtl.md"
PAGE = Path(__file__).with_name("page.md")
Row = Mapping[str, Any]

FEWER = 1.3
"""What multipliers on ECP5 are to be fewer by than products."""


def write_page(rows: Sequence[Row], path: Path = DOC) -> str:
    """The page, also written to `path`; the newest row of a unit and family counts."""
    newest = list({(row["name"], row["family"]): row for row in rows}.values())
    amd = [row for row in newest if row["family"] == "xc7"]
    lattice = [row for row in newest if row["family"] == "ecp5"]
    text = PAGE.read_text()
    for mark, part in {
        "MADE": ", ".join(sorted({f"{row['tool']}, finn-plus {row['finn']}" for row in newest})),
        "XC7": amd_table(amd),
        "XC7-CLAIM": luts_claim(amd),
        "ECP5": lattice_table(lattice),
        "ECP5-CLAIM": multipliers_claim(lattice),
    }.items():
        text = text.replace(f"<!-- {mark} -->", part)
    path.write_text(text)
    return text


def amd_table(rows: Sequence[Row]) -> str:
    """LUT, FF, DSP and block RAM of every unit, ours and FINN's."""
    lines = [
        "| unit | MW x MH | PE x SIMD | bits | ours: LUT | FF | DSP | BRAM | FINN's: LUT | FF | "
        "DSP | BRAM | LUT without weights | rows a DSP, ours | FINN's | LUT, ours of FINN's |",
        "| --- " * 16 + "|",
    ]
    for row in rows:
        unit = Mvu(**row["unit"])
        ours, theirs, alone = row["ours"], row["theirs"], row["theirs_alone"]
        lines.append(
            f"| {_shape(row, unit)} | {_counts(ours)} | {_counts(theirs)} | {alone['lut']:,.0f} | "
            f"{unit.packed_rows} | {min(lanes(unit, load_family('xc7')), unit.pe)} | "
            f"{ours['lut'] / theirs['lut']:.0%} |"
        )
    ours, theirs = _total(rows, "ours"), _total(rows, "theirs")
    alone = _total(rows, "theirs_alone")
    lines.append(
        f"| all | | | | {_counts(ours)} | {_counts(theirs)} | {alone['lut']:,.0f} | | | "
        f"{ours['lut'] / theirs['lut']:.0%} |"
    )
    return "\n".join(lines)


def lattice_table(rows: Sequence[Row]) -> str:
    """Multipliers of every unit: one a product, ours, FINN's; LUTs beside them."""
    lines = [
        "| unit | MW x MH | PE x SIMD | bits | products | ours: multipliers | LUT | FF "
        "| FINN's: multipliers | LUT | FF | products a multiplier, ours | FINN's |",
        "| --- " * 13 + "|",
    ]
    for row in rows:
        unit = Mvu(**row["unit"])
        ours, theirs, products = row["ours"], row["theirs"], unit.pe * unit.simd
        lines.append(
            f"| {_shape(row, unit)} | {products} | {ours['dsp']:g} | {ours['lut']:,.0f} | "
            f"{ours['ff']:,.0f} | {theirs['dsp']:g} | {theirs['lut']:,.0f} | {theirs['ff']:,.0f} | "
            f"{products / ours['dsp']:.2f} | {products / theirs['dsp']:.2f} |"
        )
    ours, theirs = _total(rows, "ours"), _total(rows, "theirs")
    products = sum(row["unit"]["pe"] * row["unit"]["simd"] for row in rows)
    lines.append(
        f"| all | | | | {products} | {ours['dsp']:g} | {ours['lut']:,.0f} | {ours['ff']:,.0f} | "
        f"{theirs['dsp']:g} | {theirs['lut']:,.0f} | {theirs['ff']:,.0f} | "
        f"{products / ours['dsp']:.2f} | {products / theirs['dsp']:.2f} |"
    )
    return "\n".join(lines)


def luts_claim(rows: Sequence[Row]) -> str:
    """Where ours have more LUTs, or more DSPs."""
    with_memory = [r["name"] for r in rows if r["ours"]["lut"] > r["theirs"]["lut"]]
    alone = [r["name"] for r in rows if r["ours"]["lut"] > r["theirs_alone"]["lut"]]
    slices = [r["name"] for r in rows if r["ours"]["dsp"] > r["theirs"]["dsp"]]
    return "\n".join(
        [
            f"- Not more LUTs than FINN's unit with its weights: {_holds(with_memory, rows)}.",
            f"- Not more LUTs, weights and all, than FINN's unit without its weights: "
            f"{_holds(alone, rows)}.",
            f"- Not more DSP slices: {_holds(slices, rows)}.",
        ]
    )


def multipliers_claim(rows: Sequence[Row]) -> str:
    """Where multipliers are not that many times fewer than products."""
    off = [
        r["name"] for r in rows if r["unit"]["pe"] * r["unit"]["simd"] < FEWER * r["ours"]["dsp"]
    ]
    more = [r["name"] for r in rows if r["ours"]["dsp"] > r["theirs"]["dsp"]]
    return "\n".join(
        [
            f"- At least {FEWER} times fewer multipliers than products: {_holds(off, rows)}.",
            f"- Not more multipliers than FINN's: {_holds(more, rows)}.",
        ]
    )


def _holds(off: Sequence[str], rows: Sequence[Row]) -> str:
    """For how many units something holds, and for which it does not."""
    told = f"{len(rows) - len(off)} of {len(rows)} units"
    return f"{told}; not {', '.join(off)}" if off else told


def _shape(row: Row, unit: Mvu) -> str:
    bits = f"{unit.weight_bits}:{unit.act_bits}"
    return f"{row['name']} | {unit.mw} x {unit.mh} | {unit.pe} x {unit.simd} | {bits}"


def _counts(found: Mapping[str, float]) -> str:
    return f"{found['lut']:,.0f} | {found['ff']:,.0f} | {found['dsp']:g} | {found['bram']:g}"


def _total(rows: Iterable[Row], which: str) -> dict[str, float]:
    rows = list(rows)
    return {name: sum(row[which][name] for row in rows) for name in ("lut", "ff", "dsp", "bram")}
