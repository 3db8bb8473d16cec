"""The verdict of a run in one line: does it fit, does it meet its goals, is it exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compiler.report.schema import Accuracy, Performance, ResourceRow, Verdict
from compiler.stages import SimReport

MARKS = {True: "yes", False: "NO", None: "not known yet"}


def verdict(
    goals: Mapping[str, float | None],
    score: str,
    accuracy: Sequence[Accuracy],
    resources: Sequence[ResourceRow],
    performance: Performance | None,
    sim: SimReport | None,
) -> Verdict:
    """Of a run, as far as it went; measured figures count where there are any."""
    fits, use = _fits(resources, goals.get("share") or 1.0)
    met, reached = _goals(goals, score, accuracy, performance)
    exact = None if sim is None else sim.mismatches == 0
    seen = "" if sim is None else f" ({sim.frames} frames in RTL, {sim.mismatches} differ)"
    text = (
        f"Fits: {MARKS[fits]}{use}. Meets its goals: {MARKS[met]}{reached}. "
        f"Exact: {MARKS[exact]}{seen}."
    )
    return Verdict(fits=fits, goals=met, exact=exact, text=text)


def used(row: ResourceRow) -> float | None:
    """A resource's count by the last step that tells."""
    return next((v for v in (row.placed, row.synthesised, row.estimated) if v is not None), None)


def _fits(resources: Sequence[ResourceRow], share: float) -> tuple[bool | None, str]:
    shares = {
        row.resource: None if (count := used(row)) is None else count / row.available
        for row in resources
        if row.available
    }
    known = {name: value for name, value in shares.items() if value is not None}
    if not known:
        return None, ""
    name, most = max(known.items(), key=lambda item: item[1])
    measured = any(row.placed is not None or row.synthesised is not None for row in resources)
    told = f" ({'' if measured else 'estimated '}{name} {most:.0%} at most, {share:.0%} allowed)"
    if most > share:
        return False, told
    return (True if len(known) == len(shares) else None), told


def _goals(
    goals: Mapping[str, float | None],
    score: str,
    accuracy: Sequence[Accuracy],
    performance: Performance | None,
) -> tuple[bool | None, str]:
    wanted: list[tuple[str, float | None, float]] = []
    if goals.get("accuracy") is not None:
        last = next((r.value for r in reversed(accuracy) if r.stage in ("quantized", "RTL")), None)
        wanted.append((score, last, float(goals["accuracy"] or 0)))
    if goals.get("fps") is not None:
        rate = None
        if performance is not None:
            rate = performance.fps_measured or performance.fps_estimated
        wanted.append(("frames/s", rate, float(goals["fps"] or 0)))
    if performance is not None:
        wanted.append(("MHz", performance.clock_reached_mhz, performance.clock_target_mhz))
    if not wanted:
        return None, ""
    told = ", ".join(
        f"{name} {_figure(value)} of {_figure(least)}" for name, value, least in wanted
    )
    states = [None if value is None else value >= least for _, value, least in wanted]
    met = False if False in states else (None if None in states else True)
    return met, f" ({told})"


def _figure(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
