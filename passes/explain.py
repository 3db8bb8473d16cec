"""explain: what the network looks at, before and after compression, by DeepLIFT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from compiler.stages import (
    Dataset,
    FloatArray,
    Insight,
    LabelArray,
    LayerInsight,
    QuantModel,
    Relevance,
)
from hw_targets.errors import LiftFlowError, VerificationError
from passes._graph import predict
from passes._heatmaps import Heatmaps, choose_shown, heatmaps
from passes._relevance import Settings, choose, measure
from passes._score import r_squared, score
from passes._similarity import mean, similarity
from passes._threads import threads_for
from passes._uses import QUANT_NETWORK
from passes.attribute import TOLERANCE, Attribute, prove_complete
from passes.base import Context, Pass
from passes.deeplift import SIGNS

if TYPE_CHECKING:
    from passes._brevitas_network import QuantNetwork
    from passes._twin import Twin

Float64 = NDArray[np.float64]

TOP = 3
"""Channels named for each class."""

TWIN_SAMPLES = 8
"""Samples on which the twin is compared with the quantized network's own units."""

TWIN_TOLERANCE = 1e-5
"""Of the greatest logit: weights and biases of the twin are rounded to float32."""

ONE_TARGET = ("margin", "true", "predicted", SIGNS)
"""Targets that give one heatmap a sample; for others the margin is explained, or the signs."""


@dataclass(frozen=True)
class Explain(Pass[QuantModel, QuantModel]):
    """Heatmaps of the float network and of the compressed one, and which channels serve whom.

    The compressed network is explained as its float twin: the integer weights times their scales,
    the biases, and plain ReLUs. The rounding of activations is left out, since DeepLIFT has no
    rule for it; how often the twin decides otherwise than the quantized network is reported. Both
    networks are compared with the same references, for the same combination of logits: the target
    of `attribute`, as the float network's logits choose it.

    samples: training samples that the channels' relevance to classes is a mean over. shown:
    samples with heatmaps, one of each class before others; 0 passes the model through. batch:
    samples a backward pass.
    """

    name: ClassVar[str] = "explain"
    tools: ClassVar[tuple[str, ...]] = ("torch", "captum", "scipy", "brevitas")
    uses: ClassVar[tuple[str, ...]] = (
        *Attribute.uses,
        "passes.attribute",
        *QUANT_NETWORK,
        "passes._heatmaps",
        "passes._similarity",
        "passes._twin",
    )

    samples: int = 64
    shown: int = 10
    batch: int = 64

    def __post_init__(self) -> None:
        for option, least in (("samples", 1), ("shown", 0), ("batch", 1)):
            count = getattr(self, option)
            if count < least:
                mend = f"use at least {least}"
                raise LiftFlowError(f"{option} is {count}", where=self.name, mend=mend)

    def run(self, model: QuantModel, ctx: Context) -> QuantModel:
        """Raises VerificationError where the twin is not the network, or DeepLIFT not complete."""
        if self.shown == 0:
            ctx.say("no heatmaps asked for", 1.0)
            return model
        from passes._twin import deviation, float_twin

        network = cast("QuantNetwork", model.module)
        try:
            twin = float_twin(network)
        except ValueError as error:
            ctx.say(f"not explained: {error}", 1.0)
            return model
        off = deviation(network, twin, ctx.data.train_x[:TWIN_SAMPLES])
        ctx.prove(
            "the explained network computes what the quantized one does, activations not rounded",
            off <= TWIN_TOLERANCE,
            measured=f"off by {off:.2g}",
            required=f"at most {TWIN_TOLERANCE:g} of the greatest logit",
        )
        try:
            with threads_for(model.network.macs, self.batch):
                insight = self._insight(model, twin, ctx)
        except VerificationError:
            raise
        except LiftFlowError as error:  # as where compression left a constant output
            ctx.say(f"not explained: {error}", 1.0)
            return model
        alike = insight.similarity
        ctx.say(
            f"heatmaps before and after: cosine {mean(alike.cosine):.2f}, "
            f"{alike.cosine_chance:.2f} by chance",
            1.0,
        )
        return replace(model, insight=insight)

    def _insight(self, model: QuantModel, twin: Twin, ctx: Context) -> Insight:
        reference, data = model.relevance.reference, ctx.data
        target = SIGNS if data.regression else "margin"
        if model.relevance.target in ONE_TARGET:
            target = model.relevance.target
        shown = choose_shown(
            data, self.shown, reference, target, model.reference, ctx.rng(self.name)
        )
        ctx.say(f"heatmaps of {len(shown.samples)} samples", 0.0)
        before = heatmaps(model.reference, shown, self.batch, ctx.device)
        after = heatmaps(twin.module, shown, self.batch, ctx.device)
        _prove_heatmaps(before, after, ctx)
        ctx.say(f"relevance of channels to {data.classes or 'no'} classes", 0.5)
        distance = model.relevance.distance
        settings = Settings(
            self.samples, reference, target, self.batch, weights=False, distance=distance
        )
        relevance = measure(twin.module, data, settings, ctx.rng("relevance"), ctx.device)
        prove_complete(relevance, ctx)
        return Insight(
            samples=shown.samples,
            labels=_labels(data, shown.samples),
            images=shown.inputs,
            before=before.contributions,
            after=after.contributions,
            similarity=similarity(before.contributions, after.contributions),
            layers=_layers(relevance, twin),
            agreement=_agreement(model, twin, relevance.samples, ctx),
            measured=relevance.samples,
            target=target,
            reference=reference,
        )


def _prove_heatmaps(before: Heatmaps, after: Heatmaps, ctx: Context) -> None:
    gap = max(before.gap, after.gap)
    ctx.prove(
        "heatmaps of both networks sum to the difference of the output (DeepLIFT's completeness)",
        gap <= TOLERANCE,
        measured=f"off by {gap:.2g}",
        required=f"at most {TOLERANCE:g} of the greatest difference",
    )


def _agreement(model: QuantModel, twin: Twin, samples: int, ctx: Context) -> float:
    """Share of training samples that the twin classes as the quantized network does.

    Of a regression, R^2 of the twin's outputs, were the quantized network's the ones wanted.
    """
    from passes import _brevitas_exact as exact

    # The samples that relevance is measured on.
    picked, _ = choose(ctx.data, samples, ctx.rng("relevance"))
    seen = ctx.data.train_x[picked]
    network = cast("QuantNetwork", model.module)
    outputs, expected = predict(twin.module, seen, ctx.device), exact.integer_logits(network, seen)
    if ctx.data.regression:
        return r_squared(outputs, expected * exact.logit_step(network))
    return score(outputs, expected.argmax(1))


def _labels(data: Dataset, samples: LabelArray) -> LabelArray:
    if data.regression:
        return np.full(len(samples), -1, dtype=np.int64)
    return data.train_y[samples].astype(np.int64)


def _layers(relevance: Relevance, twin: Twin) -> dict[str, LayerInsight]:
    """None where samples have no classes."""
    found = {}
    for layer, step in twin.layers.items():
        classes = relevance.layers[step].classes
        if classes is not None:
            found[layer] = layer_insight(classes)
    return found


def layer_insight(classes: FloatArray) -> LayerInsight:
    """Which channels serve which classes.

    Args:
        classes: (classes, channels) relevance, 0 or more; zeros for a class without samples.
    """
    shares = _parts(classes.astype(np.float64), axis=1)
    top = np.argsort(-shares, axis=1, kind="stable")[:, :TOP]
    return LayerInsight(
        classes=classes,
        top=top.astype(np.int64),
        shares=np.take_along_axis(shares, top, axis=1).astype(np.float32),
        selectivity=_selectivity(shares).astype(np.float32),
    )


def _selectivity(shares: Float64) -> Float64:
    """(channels,) of (classes, channels) shares of each class's relevance, as in LayerInsight."""
    present = shares[shares.sum(axis=1) > 0]
    if len(present) < 2:
        return np.zeros(shares.shape[1])
    parts = _parts(present, axis=0)
    entropy: Float64 = -(parts * np.log(np.where(parts > 0, parts, 1.0))).sum(axis=0)
    return np.where(parts.sum(axis=0) > 0, 1 - entropy / np.log(len(present)), 0.0)


def _parts(values: Float64, axis: int) -> Float64:
    """values over their sum along `axis`, 0 where that is 0."""
    total = values.sum(axis=axis, keepdims=True)
    result: Float64 = np.zeros_like(values)
    np.divide(values, total, out=result, where=total > 0)
    return result
