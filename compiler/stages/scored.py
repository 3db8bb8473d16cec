"""The float network: what attribution found in it, what was pruned, what was allocated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from compiler.stages.samples import FloatArray, InputFormat, LabelArray
from hw_targets.lanes import TIED, Lanes
from hw_targets.network import NetworkShape
from hw_targets.quantizers import Quantizer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FoldedNorm:
    """What is left to know of the batch norms that were folded into a layer.

    gain: (out_channels,) their weights. scale: (out_channels,) what the layer's weights were
    multiplied with, so that over it they are the weights that were trained.
    """

    gain: FloatArray
    scale: FloatArray

    def without(self, gone: set[int]) -> FoldedNorm:
        """The same without some output channels."""
        channels = sorted(gone)
        return FoldedNorm(np.delete(self.gain, channels), np.delete(self.scale, channels))


@dataclass(frozen=True)
class FloatModel:
    """A float network in eval mode on the CPU.

    Before `prepare` the module is the user's own and `network` is None; after it, `module` is a
    `torch.fx.GraphModule` of plain `torch.nn` modules, batch norms folded, and `network` its shape.
    norms: layer -> the batch norms that were folded into it.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    input: InputFormat
    network: NetworkShape | None = None
    accuracy: float | None = None
    norms: Mapping[str, FoldedNorm] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRelevance:
    """How much one layer's channels and weights matter by one criterion.

    channels: (out_channels,) score of losing the channel; by DeepLIFT the mean over samples of
        |sum over positions of multiplier x (activation - mean activation)|.
    weights: same shape as the layer's weight, importance per unit of |weight|: times |weight| it
        is the score of the weight; by DeepLIFT its mean |contribution|.

    By DeepLIFT alone, means over samples, None or 0 elsewhere:

    noise: (out_channels,) root of the sum of squared multipliers over the positions where the
        activations that the layer's output bits govern are not zero: what the output moves by,
        root mean square, a unit of independent rounding error. Zeros for a layer that governs none.
    peak, rms: greatest and root mean square value of those activations where they are not zero;
        0 for a layer that governs none. classes: (classes, out_channels) channel scores over the
        samples of each true class; zeros for a class without samples, None where samples have no
        classes.
    """

    channels: FloatArray
    weights: FloatArray
    classes: FloatArray | None = None
    noise: FloatArray | None = None
    peak: float = 0.0
    rms: float = 0.0


@dataclass(frozen=True)
class Relevance:
    """All layers' relevance, how it was measured, and how far DeepLIFT's completeness holds.

    samples: 0 for criteria that look at weights only. completeness_delta: greatest |sum of
        contributions - output difference| relative to the greatest |output difference| over the
        samples; 0.0 where the criterion claims no completeness.
    criterion: name in `passes.criteria.CRITERIA`.
    stability: (samples so far, reliability of the ranking of channels) at every count the sums
        were looked at: Spearman's rank correlation of the scores of two disjoint halves of the
        samples, stepped up to all of them by the Spearman-Brown formula, mean over layers.
    inputs: (k, *sample) contributions of the values of the training samples `input_samples` (k,).
    distance: share of the way from a sample to what `reference` names, where its reference lay.
    """

    layers: Mapping[str, LayerRelevance]
    samples: int
    reference: str
    target: str
    completeness_delta: float
    criterion: str = "deeplift"
    stability: tuple[tuple[int, float], ...] = ()
    inputs: FloatArray | None = None
    input_samples: LabelArray | None = None
    distance: float = 1.0


@dataclass(frozen=True)
class PruneReport:
    """What a pruning pass removed. Accuracy is before any retraining, whole test split.

    Here and in all stages, accuracy is `passes._score.score`: of a regression it is R^2.
    """

    macs_before: int
    macs_after: int
    weights_before: int
    weights_after: int
    channels_before: Mapping[str, int]
    channels_after: Mapping[str, int]
    accuracy: float


@dataclass(frozen=True)
class LayerChoice:
    """What the allocator chose for one layer.

    act_bits is the width of the layer's output activation (0 where it gives the logits). lanes:
    those of the units around the matrix-vector unit, where they do not follow it. quantizer: of its
    output, where both are possible.
    """

    weight_bits: int
    act_bits: int
    pe: int
    simd: int
    arithmetic: Literal["lut", "dsp"]
    memory: Literal["auto", "block", "distributed"]
    cycles: int
    """Matrix-vector cycles a frame."""
    lanes: Lanes = TIED
    quantizer: Quantizer = "threshold"


@dataclass(frozen=True)
class Allocation:
    """Bits and folding of every layer, chosen together under the board's budget.

    gap: proven relative optimality gap of the solver (0.0: optimal). interval: modelled clock
    cycles between frames. estimate: resource name (lut, ff, dsp, bram) -> whole design, shell and
    FIFOs included; None where uncalibrated. loss: the objective, modelled error of the output.
    errors: layer -> weight bits offered -> its part of that. multiplier_bits: wider operand of the
    board's multipliers.
    """

    board: str
    clock_mhz: float
    layers: Mapping[str, LayerChoice]
    interval: int
    estimate: Mapping[str, float | None]
    budget: Mapping[str, float]
    loss: float
    gap: float
    mean_weight_bits: float
    errors: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    multiplier_bits: int = 18


@dataclass(frozen=True)
class ScoredModel:
    """A float network with what attribution found, what was pruned and what was allocated.

    reference: the prepared network before any pruning, the teacher of retraining.
    masks: layer name -> boolean keep-mask of its weight, for unstructured pruning.
    norms: as in FloatModel.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    input: InputFormat
    network: NetworkShape
    accuracy: float
    reference: nn.Module
    relevance: Relevance
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    pruned: PruneReport | None = None
    sparsity: float = 0.0
    allocation: Allocation | None = None
    norms: Mapping[str, FoldedNorm] = field(default_factory=dict)
