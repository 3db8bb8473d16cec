"""Makes the tables and plots of docs/compression-results.md from the rows in results/.

python -m benchmarks.compression.tables
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compression.__main__ import RESULTS
from benchmarks.compression.store import Row, read
from hw_targets.errors import LiftFlowError

DOCS = Path(__file__).parents[2] / "docs"
ATTRIBUTION = Path(__file__).parents[1] / "attribution/results.json"

TITLES = {
    "structured": "Filters: accuracy after removing a share of the multiply-accumulates",
    "unstructured": "Weights: accuracy after zeroing a share of the weights",
    "sharing": "Shared values: accuracy with so many values a layer",
    "bits": "Mixed precision: accuracy at so many bits a weight on average",
    "cost": "Mixed precision: what sensitivities over so many samples cost and are worth",
}
COLUMNS = {
    "structured": (("before", "before fine-tuning"), ("after", "after fine-tuning")),
    "unstructured": (("plain", "weights as they were"), ("reconstructed", "weights chosen anew")),
    "sharing": (("before", "without training"),),
    "bits": (("before", "without training"), ("after", "after quantization-aware training")),
    "cost": (("at 2.5", "2.5 bits a weight, no training"), ("at 3", "3 bits, no training")),
}
"""Task -> measured accuracies and what they are called."""
FIGURES = {
    "bits": (("mean", "bits a weight as allocated"),),
    "cost": (("cost", "seconds of processor time to know sensitivities"),),
}
"""Task -> other fields of its rows."""
UNITS = {"sharing": "values a layer", "bits": "bits a weight", "cost": "samples"}
"""Task -> what its levels are, where they are no shares."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    chosen = parser.parse_args()
    try:
        write(chosen.results, chosen.docs)
    except LiftFlowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write(results: Path, docs: Path) -> None:
    """compression-results.md and its plots in `docs`.

    Raises:
        LiftFlowError: `results` holds nothing to show.
    """
    parts = [HEAD]
    for task in TITLES:
        for file in sorted(results.glob(f"{task}-*.jsonl")):
            rows = [row for row in read(file) if "level" in row]
            if rows:
                parts.append(section(task, file.stem.removeprefix(f"{task}-"), rows, docs))
    whole = results / "whole-resnet20.json"
    if whole.is_file():
        parts.append(whole_section(json.loads(whole.read_text())))
    if ATTRIBUTION.is_file():
        parts.append(attribution_section(json.loads(ATTRIBUTION.read_text())))
    if not any(results.glob("*.json*")):
        raise LiftFlowError(
            "no results", where=str(results), mend="run python -m benchmarks.compression first"
        )
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "compression-results.md").write_text("\n".join(parts))


HEAD = """# Compression: results

Made by `python -m benchmarks.compression.tables` from `benchmarks/compression/results`; the rows
there are made by `python -m benchmarks.compression --data FOLDER`. Accuracies in per cent, mean and
standard deviation over the seeds; a seed draws the samples of attribution and statistics and the
order of training. One procedure for all criteria of a table; scores of all of them are ranked over
the whole network unless the method says otherwise, norms such as l1 too.

Forms of criteria and procedures were chosen on the first 2,500 test images, and all figures are
measured on images after them, that nothing was chosen on.
"""


def section(task: str, network: str, rows: Sequence[Row], docs: Path) -> str:
    """Heading, circumstances, a table a measured field, and a plot."""
    done = [row for row in rows if row.get("done")]
    first = done[0] if done else rows[0]
    lines = [f"## {TITLES[task]}: {network}", "", circumstances(first), ""]
    for field, title in COLUMNS[task]:
        if any(row.get(field) is not None for row in rows):
            lines += [f"**{title[0].upper()}{title[1:]}**", "", *table(rows, field), ""]
            lines += [verdict(rows, field), ""]
    for field, title in FIGURES.get(task, ()):
        lines += [f"**{title[0].upper()}{title[1:]}**", "", *table(rows, field, figure=True), ""]
    refused = {row["method"]: row["refused"] for row in rows if "refused" in row}
    lines += [f"`{method}` does not apply: {why}\n" for method, why in sorted(refused.items())]
    picture = plot(task, network, rows, docs)
    lines += [f"![{TITLES[task]}, {network}]({picture})", ""]
    return "\n".join(lines)


def circumstances(row: Row) -> str:
    versions = ", ".join(f"{name} {v}" for name, v in row.get("versions", {}).items())
    return (
        f"{row.get('date', 'unfinished')}, {row.get('cores')} cores, {row.get('threads')} thread; "
        f"{versions}. Float accuracy {100 * row.get('float', float('nan')):.2f} on "
        f"{row.get('tested'):,} test images; {row.get('samples')} samples of attribution, "
        f"{row.get('tuned'):,} images of fine-tuning, {row.get('trained'):,} of quantization-aware "
        f"training, in {row.get('precision', 'float32')}."
    )


def cells(
    rows: Iterable[Row], field: str, factor: float = 100
) -> dict[str, dict[float, list[float]]]:
    """Method -> level -> values, by default in per cent, one a seed."""
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        if row.get("level") is not None and row.get(field) is not None:
            levels = found.setdefault(row["method"], {})
            levels.setdefault(row["level"], []).append(factor * row[field])
    return found


def table(rows: Sequence[Row], field: str, *, figure: bool = False) -> list[str]:
    """Markdown. Of accuracies best method first, the best of a column in bold; else by name."""
    found = cells(rows, field, 1 if figure else 100)
    levels = sorted({level for by_level in found.values() for level in by_level})
    means = {
        m: {level: statistics.fmean(v) for level, v in by_level.items()}
        for m, by_level in found.items()
    }
    best = {
        level: max(by_level[level] for by_level in means.values() if level in by_level)
        for level in levels
    }
    if figure:
        order, best = sorted(means), {}
    else:
        order = sorted(means, key=lambda method: -statistics.fmean(means[method].values()))
    lines = [
        "| method | " + " | ".join(f"{level:g}" for level in levels) + " | seeds |",
        "| --- |" + " --- |" * (len(levels) + 1),
    ]
    for method in order:
        texts = [_cell(found[method].get(at), best.get(at), 1 + figure) for at in levels]
        seeds = max(len(values) for values in found[method].values())
        lines.append(f"| {method} | {' | '.join(texts)} | {seeds} |")
    return lines


def verdict(rows: Sequence[Row], field: str) -> str:
    """Where `deeplift` is ahead of the best method that does not use DeepLIFT, and where not.

    Level: means differ by no more than the greater of both standard deviations.
    """
    found = cells(rows, field)
    ours = found.get("deeplift", {})
    others = {m: by_level for m, by_level in found.items() if not m.startswith("deeplift")}
    told = []
    for level, values in sorted(ours.items()):
        rivals = {m: by_level[level] for m, by_level in others.items() if level in by_level}
        if not rivals:
            continue
        rival = max(rivals, key=lambda method: statistics.fmean(rivals[method]))
        gap = statistics.fmean(values) - statistics.fmean(rivals[rival])
        both = [values, rivals[rival]]
        spread = max(statistics.stdev(v) if len(v) > 1 else 0.0 for v in both)
        word = "level with" if abs(gap) <= spread else "ahead of" if gap > 0 else "behind"
        told.append(f"{word} {rival} at {level:g} ({gap:+.1f})")
    seeds = max((len(values) for values in ours.values()), default=0)
    text = "DeepLIFT against the best without it: " + ", ".join(told) + "."
    return text + (" One seed only: no spread is known." if seeds == 1 else "") if told else ""


def _cell(values: Sequence[float] | None, best: float | None, digits: int) -> str:
    if not values:
        return ""
    mean = statistics.fmean(values)
    text = f"{mean:.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    return f"**{text}**" if mean == best else text


def plot(task: str, network: str, rows: Sequence[Row], docs: Path) -> str:
    """Writes an SVG of all fields of the task; its path relative to `docs`."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = f"{task}-{network}"
    from matplotlib import pyplot

    fields = [(f, t) for f, t in COLUMNS[task] if any(row.get(f) is not None for row in rows)]
    figure, axes = pyplot.subplots(
        1, len(fields), figsize=(6.2 * len(fields), 4.2), squeeze=False, sharey=True
    )
    for axis, (field, title) in zip(axes[0], fields, strict=True):
        found = cells(rows, field)
        for at, (method, by_level) in enumerate(sorted(found.items(), key=lambda m: m[0])):
            levels = sorted(by_level)
            means = [statistics.fmean(by_level[level]) for level in levels]
            spread = [
                statistics.stdev(by_level[level]) if len(by_level[level]) > 1 else 0.0
                for level in levels
            ]
            leading = method == "deeplift"
            axis.errorbar(
                levels,
                means,
                spread,
                label=method,
                marker="o" if leading else "osv^D*"[at % 6],
                linewidth=2.4 if leading else 1.0,
                color="black" if leading else None,
                capsize=2,
            )
        axis.set_title(title)
        axis.set_xlabel(UNITS.get(task, "share"))
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("accuracy, %")
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    folder = docs / "compression"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{task}-{network}.svg"
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return file.relative_to(docs).as_posix()


def whole_section(found: dict[str, Any]) -> str:
    accuracies = ", ".join(f"{k} {100 * v:.2f}" for k, v in found["accuracy"].items())
    bits = ", ".join(f"{name} {w}/{a}" for name, (w, a) in found["bits"].items())
    versions = ", ".join(f"{name} {v}" for name, v in found["versions"].items())
    return f"""## The whole way: {found["network"]} to exact QONNX

`python -m benchmarks.compression.whole --data FOLDER`, {found["date"]}, {found["cores"]} cores,
{found["threads"]} thread; {versions}. {100 * found["macs_removed"]:.1f} % of multiply-accumulates
removed, {found["mean_weight_bits"]:.2f} bits a weight on average. Accuracy on {found["tested"]:,}
test images: {accuracies}.

Bits of weights and of activations: {bits}.
"""


def attribution_section(found: dict[str, Any]) -> str:
    seconds = found["median_seconds"]
    peaks = ", ".join(f"{mib:,.0f} MiB at {n}" for n, mib in found["peak_mebibytes"].items())
    versions = ", ".join(f"{name} {v}" for name, v in found["versions"].items())
    equal = "equal to the last bit" if found["bit_identical"] else "NOT equal"
    return f"""## Attribution in one pass

`python -m benchmarks.attribution --data FOLDER`, {found["date"]}, {found["machine"]["cores"]}
cores, {found["machine"]["threads"]} thread; {versions}. DeepLIFT contributions of all
{found["layers"]} layers of {found["network"]}, {found["samples"]} samples in batches of
{found["batch"]}, medians of {found["repeats"]}: {seconds["single_pass"]:.2f} s in one pass,
{seconds["per_layer"]:.1f} s by Captum layer by layer: {found["speedup"]:.1f} times as long, results
{equal}.
Peak memory of a process that scores so many samples: {peaks}.
"""


if __name__ == "__main__":
    sys.exit(main())
