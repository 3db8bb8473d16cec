"""The insight of a run in the report's words and figures."""

from __future__ import annotations

import math

from compiler.report.schema import (
    FilterRow,
    HeatmapRow,
    InsightSection,
    LayerRow,
    ServedRow,
)
from compiler.stages import FloatArray, Insight, LayerInsight

DIGITS = 4
"""Of figures in report.json."""

TARGETS = {
    "margin": "the margin of the true class's logit over the best other",
    "true": "the logit of the true class",
    "predicted": "the logit of the class predicted before compression",
    "signs": "all outputs together, each with a sign drawn for the sample",
}
"""What heatmaps explain, in words."""


def section(insight: Insight | None) -> InsightSection | None:
    """The report's section on `insight`."""
    if insight is None:
        return None
    alike = insight.similarity
    return InsightSection(
        target=insight.target,
        reference=insight.reference,
        measured=insight.measured,
        agreement=insight.agreement,
        cosine=_mean(alike.cosine),
        cosine_chance=_known(alike.cosine_chance),
        spearman=_mean(alike.spearman),
        spearman_chance=_known(alike.spearman_chance),
        heatmaps=[
            HeatmapRow(
                sample=int(sample),
                label=str(label) if label >= 0 else "",
                cosine=_known(cosine),
                spearman=_known(rank),
            )
            for sample, label, cosine, rank in zip(
                insight.samples, insight.labels, alike.cosine, alike.spearman, strict=True
            )
        ],
        filters=[_filters(name, layer) for name, layer in insight.layers.items()],
    )


def reason(row: LayerRow) -> str:
    """Why the layer got the bits it has, in a sentence; empty where that is not known."""
    if row.margin is None or row.weight_bits is None:
        return ""
    margin = row.margin
    parts = [
        f"one {word} would change the modelled error by {_change(change)} and the network's "
        f"weight bits by {_change(sign * margin.step)}"
        for word, change, sign in (("less", margin.less, -1), ("more", margin.more, 1))
        if change is not None
    ]
    if margin.less is None:
        parts.insert(0, "hardware has no fewer")
    if margin.more is None:
        parts.append("hardware has no more")
    carries = "" if row.relevance is None else f"{row.relevance:.1%} of the relevance on "
    head = f"{row.weight_bits} bits for {carries}{margin.weights:.1%} of the weights"
    return f"{head}: {'; '.join(parts)}."


def _change(share: float) -> str:
    return f"{share:+.2%}".replace("-", "\N{MINUS SIGN}")


def _filters(name: str, layer: LayerInsight) -> FilterRow:
    return FilterRow(
        layer=name,
        selectivity=[round(float(value), DIGITS) for value in layer.selectivity],
        classes=[
            ServedRow(
                label=str(label),
                channels=[int(channel) for channel in top],
                shares=[round(float(share), DIGITS) for share in shares],
            )
            for label, (top, shares) in enumerate(zip(layer.top, layer.shares, strict=True))
        ],
    )


def _mean(values: FloatArray) -> float | None:
    known = [float(value) for value in values if not math.isnan(value)]
    return _known(sum(known) / len(known)) if known else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), DIGITS)
