"""What a network looks at, before and after compression, and why its layers got their bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compiler.stages.samples import FloatArray, LabelArray


@dataclass(frozen=True)
class Similarity:
    """How alike two networks' heatmaps of the same k samples are, -1 to 1.

    cosine, spearman: (k,) cosine and Spearman's rank correlation of a sample's two maps; NaN where
    a map is zero, or all its values are alike. cosine_chance, spearman_chance: mean over the one
    network's map of a sample and the other's of another sample; NaN for a single sample.
    """

    cosine: FloatArray
    spearman: FloatArray
    cosine_chance: float
    spearman_chance: float


@dataclass(frozen=True)
class LayerInsight:
    """Which output channels of a layer of the compressed network serve which classes.

    top: (classes, t) channels of greatest relevance to each class, greatest first; shares:
        (classes, t) their part of the class's relevance in the layer, 0 for a class without
        samples. classes: (classes, out_channels) as in LayerRelevance.
    selectivity: (out_channels,) 1 - H / log(classes) with H the entropy of the channel's shares
        of the classes' relevance, scaled to sum 1: 0 where it serves all classes alike or none,
        1 where it serves one alone.
    """

    classes: FloatArray
    top: LabelArray
    shares: FloatArray
    selectivity: FloatArray


@dataclass(frozen=True)
class BitMargin:
    """What the bits of one layer's weights were weighed by.

    error: modelled error of its weights at the chosen `bits`; less, more: at one bit less and one
    more, None where there was no such width to choose. Units of `Allocation.loss`. relevance: share
    of all layers' summed channel relevance. weights: share of all weights. step: what one bit of
    this layer is of all weight bits.
    """

    bits: int
    error: float
    less: float | None
    more: float | None
    relevance: float
    weights: float
    step: float


@dataclass(frozen=True)
class Insight:
    """What the network looks at, before and after compression.

    The compressed network is explained as its float twin: its integer weights times their scales
    under plain ReLUs, activations not rounded.

    samples: (k,) indices of training samples, one of each class before others; labels: (k,), -1
        of a regression.
    images: (k, *sample) the samples. before, after: (k, *sample) DeepLIFT contributions of their
        values to `target`, against the same `reference`, in both networks.
    agreement: share of `measured` training samples that twin and quantized network class alike;
        of a regression, R^2 between their outputs.
    layers: relevance over the same `measured` samples; none of a regression.
    margins: layer -> why it got its bits; empty as the pass gives it, see `compiler.explain_run`.
    """

    samples: LabelArray
    labels: LabelArray
    images: FloatArray
    before: FloatArray
    after: FloatArray
    similarity: Similarity
    layers: Mapping[str, LayerInsight]
    agreement: float
    measured: int
    target: str
    reference: str
    margins: Mapping[str, BitMargin] = field(default_factory=dict)
