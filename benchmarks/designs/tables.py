"""docs/cost-networks.md, from the measured designs and the cost model as it is now."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.designs import store
from benchmarks.designs.finn import finn_resources
from benchmarks.designs.networks import NETWORKS
from benchmarks.designs.outdated import outdated
from benchmarks.designs.store import Row, kernels_of, newest
from hw_targets.cost.latency import latency_cycles
from hw_targets.cost.model import Estimate, estimate_units
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.threshold import Threshold

DOC = Path(__file__).parents[2] / "docs" / "cost-networks.md"
TEXT = Path(__file__).with_name("page.md")
FAMILIES = ("ecp5", "xc7")
GOALS = {"lut": 8.0, "bram": 3.0, "dsp": 0.0}
"""Largest error aimed at, in percent."""


def write_page(folder: Path = store.DATA, doc: Path = DOC) -> str:
    """Write the page; returns its text."""
    text = page(folder, outdated(NETWORKS, folder))
    doc.write_text(text)
    return text


def page(folder: Path = store.DATA, old: Sequence[str] = ()) -> str:
    """The page's text: `page.md` with the tables put where it names them.

    old: rows made of RTL that has changed since, as `outdated` names them.
    """
    cycles = newest(store.load(store.CYCLES, folder))
    whole = newest(store.load(store.SYNTHESIS, folder))
    units = newest(store.load(store.UNITS, folder))
    parts = {"NETWORKS": network_table(), "CYCLES": cycle_table(cycles.values())}
    for family in FAMILIES:
        rows = [whole[net.name, family] for net in NETWORKS if (net.name, family) in whole]
        apart = [units[net.name, family] for net in NETWORKS if (net.name, family) in units]
        parts[f"LUTS {family}"] = lut_table(rows)
        parts[f"BLOCKS {family}"] = block_table(rows)
        parts[f"GOALS {family}"] = goals(rows)
        parts[f"UNKNOWN {family}"] = unknowns(rows)
        parts[f"UNITS {family}"] = unit_table(apart, whole)
        parts[f"KINDS {family}"] = kind_table(apart)
    measured = [*cycles.values(), *whole.values(), *units.values()]
    parts["MADE"] = "; ".join(
        sorted({f"{row['tool']}, {row['date']}, {row['cores']} cores" for row in measured})
    )
    parts["OUTDATED"] = (
        f"The RTL has changed since these were made: {', '.join(old)}." if old else ""
    )
    text = TEXT.read_text()
    for name, table in parts.items():
        text = text.replace(f"<!-- {name} -->", table)
    return re.sub(r"\n{3,}", "\n\n", text)


def network_table() -> str:
    """What is built: layers, bits, folding."""
    lines = [
        "| network | what | weights | bits of weights | bits of activations | PE x SIMD | DSP |"
    ]
    lines += ["| --- " * 7 + "|"]
    for net in NETWORKS:
        folds = net.choices
        hard = [i + 1 for i, fold in enumerate(folds) if fold.arithmetic == "dsp"]
        lines.append(
            f"| {net.name} | {net.about} | {net.shape.weights:,} | "
            f"{_listed(f.weight_bits for f in folds)} | "
            f"{_listed([net.shape.input_bits, *(f.act_bits for f in folds if f.act_bits)])} | "
            f"{', '.join(f'{f.pe}x{f.simd}' for f in folds)} | "
            f"{'layer ' + _listed(hard) if hard else ''} |"
        )
    return "\n".join(lines)


def lut_table(rows: Sequence[Row]) -> str:
    """LUTs measured, estimated before and after the FIFOs were sized, and FINN's."""
    finns = finn_resources([_kernels(row["built"]) for row in rows])
    lines = ["| network | LUT | planned | error | built | error | 90 % | holds | FINN's | error |"]
    lines += ["| --- " * 10 + "|"]
    for row, finn in zip(rows, finns, strict=True):
        found = row["resources"]["lut"]
        planned, built = _estimate(row, "planned"), _estimate(row, "built")
        interval = built.intervals()["lut"]
        between = "to".join(f" {end:,.0f} " for end in interval).strip() if interval else ""
        lines.append(
            f"| {row['network']} | {found:,.0f} | {_count(planned.lut)} | "
            f"{_error(planned.lut, found)} | {_count(built.lut)} | {_error(built.lut, found)} | "
            f"{between} | {_holds(built, 'lut', found)} | {_count(finn['lut'])} | "
            f"{_error(finn['lut'], found)} |"
        )
    return "\n".join(lines)


def block_table(rows: Sequence[Row]) -> str:
    """Registers, multipliers and block RAMs measured, estimated, and FINN's."""
    finns = finn_resources([_kernels(row["built"]) for row in rows])
    lines = [
        "| network | FF | built | error | holds | DSP | built | FINN's | BRAM | planned | built | "
        "holds | FINN's |",
        "| --- " * 13 + "|",
    ]
    for row, finn in zip(rows, finns, strict=True):
        found = row["resources"]
        planned, built = _estimate(row, "planned"), _estimate(row, "built")
        cells = [
            row["network"],
            *(f"{found['ff']:,.0f}", _count(built.ff), _error(built.ff, found["ff"])),
            _holds(built, "ff", found["ff"]),
            *(f"{found['dsp']:g}", _count(built.dsp), _count(finn["dsp"])),
            *(f"{found['bram']:g}", _count(planned.bram), _count(built.bram)),
            *(_holds(built, "bram", found["bram"]), _count(finn["bram"])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def goals(rows: Sequence[Row]) -> str:
    """For how many networks the estimates are near enough, planned and built."""
    lines = ["| aim | planned | mean error | worst | built | mean error | worst |"]
    lines += ["| --- " * 7 + "|"]
    for name, most in GOALS.items():
        cells = [f"{name.upper()} {f'within {most:g} %' if most else 'exact'}"]
        for which in ("planned", "built"):
            errors = []
            for row in rows:
                value, found = _estimate(row, which).as_dict()[name], row["resources"][name]
                if value is not None:
                    errors.append(100 * abs(value - found) / max(found, 1.0))
            near = sum(error <= most + 1e-9 for error in errors)
            known = errors or [float("nan")]
            cells += [
                f"{near} of {len(errors)}",
                f"{sum(known) / len(known):.1f} %",
                f"{max(known):.1f} %",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    held = [_holds(_estimate(row, "built"), "lut", row["resources"]["lut"]) for row in rows]
    known_count = sum(each != "unknown" for each in held)
    lines += ["", f"The 90 % interval holds the LUTs of {held.count('yes')} of {known_count}."]
    return "\n".join(lines)


def unknowns(rows: Sequence[Row]) -> str:
    """What is not calibrated, and why; empty where everything is."""
    said = []
    for row in rows:
        value = _estimate(row, "built")
        if not value.calibrated:
            said.append(f"{row['network']}: {value.why}")
    return "\n".join(["Not calibrated:", "", *(f"- {line}" for line in said)]) if said else ""


def unit_table(rows: Sequence[Row], whole: dict[tuple[str, str], Row]) -> str:
    """Where the error of LUTs comes from: units priced apart, and what flattening saves."""
    lines = [
        "| network | units' sum | flattened | flattening | estimate | of units | "
        "thresholds aside | units that are furthest off |",
        "| --- " * 8 + "|",
    ]
    for row in rows:
        flat = whole.get((row["network"], row["family"]))
        flattened = flat["resources"]["lut"] if flat else None
        total = sum(unit["lut"] for unit in row["units"].values())
        value = _estimate(row, "built").lut
        off: dict[str, float] = {}
        without = without_model = 0.0
        for name, kernel in kernels_of(row["built"]):
            modelled, found = estimate_units([kernel], row["family"]).lut, row["units"][name]["lut"]
            if modelled is not None:
                off[name] = modelled - found
                if not isinstance(kernel, Threshold):
                    without_model += modelled
                    without += found
        far = sorted(off, key=lambda name: -abs(off[name]))[:3]
        listed = ", ".join(f"{name} {off[name]:+.0f}" for name in far)
        lines.append(
            f"| {row['network']} | {total:,.0f} | {_count(flattened)} | "
            f"{_error(flattened, total)} | {_count(value)} | {_error(value, total)} | "
            f"{_error(without_model, without)} | {listed} |"
        )
    return "\n".join(lines)


def kind_table(rows: Sequence[Row]) -> str:
    """LUTs and registers of all networks by kernel, each unit synthesised within its borders."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * 6)
    for row in rows:
        for name, kernel in kernels_of(row["built"]):
            value = estimate_units([kernel], row["family"])
            if value.lut is None or value.ff is None:
                continue
            found, total = row["units"][name], sums[type(kernel).__name__]
            for place, number in enumerate((1, found["lut"], value.lut, found["ff"], value.ff)):
                total[place] += number
            total[5] += _holds(value, "lut", found["lut"]) == "yes"
    lines = ["| kernel | units | LUT | estimate | error | in 90 % | FF | estimate | error |"]
    lines += ["| --- " * 9 + "|"]
    for kind, (count, lut, lut_model, ff, ff_model, held) in sorted(sums.items()):
        lines.append(
            f"| {kind} | {count:.0f} | {lut:,.0f} | {lut_model:,.0f} | {_error(lut_model, lut)} | "
            f"{held / count:.0%} | {ff:,.0f} | {ff_model:,.0f} | {_error(ff_model, ff)} |"
        )
    return "\n".join(lines)


def cycle_table(rows: Iterable[Row]) -> str:
    """Interval and latency in simulation beside the model."""
    lines = [
        "| network | interval | model | error | deep FIFOs | depth 2 | latency | planned | built | "
        "error | FIFOs above depth 2 |",
        "| --- " * 11 + "|",
    ]
    for row in rows:
        units = _kernels(row["planned"])
        before, interval = latency_cycles(units), max(unit.cycles for unit in units)
        built = latency_cycles(_kernels(row["kernels"]))
        deep = [f"{name} {depth}" for name, depth in row["depths"].items() if depth > 2]
        least = row["interval_least"]
        lines.append(
            f"| {row['network']} | {row['interval']:,g} | {interval:,} | "
            f"{_error(interval, row['interval'], 2)} | {row['interval_deep']:,g} | "
            f"{'stuck' if least is None else f'{least:,}'} | {row['latency']:,} | {before:,} | "
            f"{built:,} | {_error(built, row['latency'], 2)} | {', '.join(deep)} |"
        )
    return "\n".join(lines)


def _kernels(listed: list[list[object]]) -> list[Kernel]:
    return [kernel for _, kernel in kernels_of(listed)]


def _estimate(row: Row, which: str) -> Estimate:
    return estimate_units(_kernels(row[which]), row["family"])


def _holds(value: Estimate, name: str, found: float) -> str:
    """Whether a measured count lies in its interval."""
    interval = value.intervals()[name]
    if interval is None:
        return "unknown"
    return "yes" if interval[0] <= found <= interval[1] else "no"


def _count(value: float | None) -> str:
    return "uncalibrated" if value is None else f"{value:,.0f}"


def _error(value: float | None, found: float, digits: int = 1) -> str:
    if value is None:
        return ""
    return f"{100 * (value - found) / max(found, 1.0):+.{digits}f} %"


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
