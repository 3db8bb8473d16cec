"""The typed artifacts that travel from pass to pass. Values only: no behaviour, no globals.

Every stage is a frozen dataclass of modules, arrays, tuples and paths, so that the pipeline can
digest it, store it and read it back. Paths point into the folder of the pass that made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hw_targets.lanes import TIED, Lanes
from hw_targets.network import NetworkShape

if TYPE_CHECKING:
    from torch import nn

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.int64]
TargetArray = LabelArray | FloatArray
"""Class of every sample, or of a regression the outputs that every sample should give."""


@dataclass(frozen=True)
class Dataset:
    """Samples as the user's network takes them: float32, channels first, without batch axis.

    `train` feeds attribution, calibration and retraining; `test` is only ever measured on.

    train_y, test_y: (samples,) class indices; or with `classes` 0, which is a regression, the
    outputs wanted: (samples, *outputs) float32, outputs as the network gives them, channels first.
    """

    name: str
    train_x: FloatArray
    train_y: TargetArray
    test_x: FloatArray
    test_y: TargetArray
    classes: int

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return tuple(self.train_x.shape[1:])

    @property
    def regression(self) -> bool:
        """Are the network's outputs themselves what is asked for?"""
        return self.classes == 0


def streamed(values: NDArray[Any]) -> NDArray[Any]:
    """(samples, ...) channels first as (samples, elements) in hardware's order: channels last."""
    return np.moveaxis(values, 1, -1).reshape(len(values), -1)


@dataclass(frozen=True)
class InputFormat:
    """How the host turns a float sample into integers: round(x / scale), clipped to the range."""

    bits: int
    signed: bool
    scale: float

    @property
    def limits(self) -> tuple[int, int]:
        """(least, greatest) integer."""
        if self.signed:
            return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        return (0, 2**self.bits - 1)

    def encode(self, samples: FloatArray) -> NDArray[np.int64]:
        """Integers the accelerator takes, same shape as `samples`, rounding half to even."""
        low, high = self.limits
        scaled = np.round(samples.astype(np.float64) / self.scale)
        return np.clip(scaled, low, high).astype(np.int64)

    def stream(self, samples: FloatArray) -> NDArray[np.int64]:
        """Encoded samples in the order hardware takes them, (samples, elements): channels last."""
        return streamed(self.encode(samples))


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
    those of the units around the matrix-vector unit, where they do not follow it.
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


@dataclass(frozen=True)
class Epoch:
    """One epoch of retraining: mean loss and accuracy on the training split held out."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Codebook:
    """Shared weight values of a layer: `values` on the layer's integer grid, ascending."""

    values: NDArray[np.int64]
    indices: NDArray[np.int64]

    @property
    def index_bits(self) -> int:
        """Bits that tell which entry a weight has."""
        return max(0, len(self.values) - 1).bit_length()

    def stored_bits(self, width: int) -> int:
        """Bits of all indices and of the entries, each `width` bits wide."""
        return self.indices.size * self.index_bits + len(self.values) * width


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


@dataclass(frozen=True)
class QuantModel:
    """A Brevitas network: QuantConv2d / QuantLinear / QuantReLU under the allocated widths.

    accuracy is on the whole test split. history is empty until retraining.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    input: InputFormat
    network: NetworkShape
    allocation: Allocation
    reference: nn.Module
    relevance: Relevance
    masks: Mapping[str, NDArray[np.bool_]]
    accuracy: float
    codebooks: Mapping[str, Codebook] = field(default_factory=dict)
    history: tuple[Epoch, ...] = ()
    insight: Insight | None = None


@dataclass(frozen=True)
class QonnxModel:
    """A QONNX file that computes what the Brevitas network computes.

    predictions: the quantized network's class of every test sample, (samples,); of a regression
        its outputs, (samples, outputs) integers in the order hardware gives them, channels last.
    step: of a regression, the value of one count of these integers; 0.0 where classes come out.
    """

    name: str
    path: Path
    input: InputFormat
    network: NetworkShape
    allocation: Allocation
    accuracy: float
    predictions: LabelArray
    step: float = 0.0


@dataclass(frozen=True)
class DataflowModel:
    """A FINN graph of hardware nodes; after `fold` their PE, SIMD and memories are set.

    folding: FINN's own folding configuration (node name -> attributes), empty before `fold`.
    predictions, step: as in QonnxModel.
    """

    name: str
    path: Path
    input: InputFormat
    network: NetworkShape
    allocation: Allocation
    predictions: LabelArray
    folding: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    step: float = 0.0


@dataclass(frozen=True)
class SimReport:
    """What RTL simulation measured over the whole test split.

    interval: clock cycles between frames in steady state; bound: the slowest unit's cycles;
    latency: cycles from the first beat in to the last one out, pipeline empty. fifo_held: most
    words of each FIFO when none was ever full, and frames came as fast as they can leave.
    """

    frames: int
    mismatches: int
    accuracy: float
    interval: int
    bound: int
    latency: int
    fifo_depths: Mapping[str, int]
    fifo_held: Mapping[str, int]
    stalled_frames: int


@dataclass(frozen=True)
class RtlDesign:
    """A self-contained folder of RTL: sources, memories, top, manifest.json with its digest.

    predictions, step: as in QonnxModel.
    """

    name: str
    folder: Path
    digest: str
    input: InputFormat
    network: NetworkShape
    allocation: Allocation
    predictions: LabelArray
    units: tuple[UnitReport, ...]
    latency_estimate: int
    """Modelled clock cycles from a frame's first beat to its label."""
    finn: Path
    """The folded FINN graph the RTL was made from."""
    folding: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """FINN's folding configuration of that graph."""
    sim: SimReport | None = None
    step: float = 0.0


@dataclass(frozen=True)
class UnitReport:
    """One hardware unit of the design: its kernel, cycles and modelled resources."""

    name: str
    kernel: str
    cycles: int
    resources: Mapping[str, float | None]


@dataclass(frozen=True)
class Resources:
    """Counts of one step of the flow; None where the step does not tell.

    uram: what Vivado made of UltraRAM by itself; no kernel asks for any.
    """

    lut: float | None = None
    ff: float | None = None
    dsp: float | None = None
    bram: float | None = None
    uram: float | None = None


@dataclass(frozen=True)
class Implementation:
    """What the tools made of the RTL.

    bitstream: file, or None with `skipped` saying what it needs. plan: folder of the build plan.
    clock_mhz: what the timing report reached, None where nothing was placed and routed. power_w:
    of the whole chip, as Vivado estimates it after routing; None where the flow has no such report.
    vendor_fps: frames a second by "FINN's estimate", "FINN's simulation", as far as it left them.
    flow: the tools, "open" (Yosys, nextpnr), "finn" or "vivado-rtl".
    """

    name: str
    design: RtlDesign
    board: str
    estimated: Resources
    synthesised: Resources
    placed: Resources
    budget: Resources
    clock_target_mhz: float
    clock_mhz: float | None
    bitstream: Path | None
    plan: Path
    skipped: str | None = None
    shell_frames: int = 0
    """Test samples sent through the whole simulated shell, every one answered as the model does."""
    baud: int | None = None
    """Rate of the shell's serial line; None on boards that have no serial shell of ours."""
    power_w: float | None = None
    vendor_fps: Mapping[str, float] = field(default_factory=dict)
    flow: Literal["open", "finn", "vivado-rtl"] = "open"


@dataclass(frozen=True)
class Deployment:
    """What goes to the board: folder with bitstream (or build plan), driver and README."""

    name: str
    folder: Path
    implementation: Implementation
    files: tuple[str, ...]
