"""The quantized network, in Brevitas, in QONNX and as a graph of FINN's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compiler.stages.insight import Insight
from compiler.stages.samples import InputFormat, LabelArray
from compiler.stages.scored import Allocation, Relevance
from hw_targets.network import NetworkShape

if TYPE_CHECKING:
    from torch import nn


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
class QuantModel:
    """A Brevitas network: QuantConv2d / QuantLinear / QuantReLU under the allocated widths.

    accuracy is on the whole test split. history is empty until retraining. untrained: how that
    failed, where it did and left the network as it was.
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
    untrained: str = ""
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
