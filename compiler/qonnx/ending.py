"""The end of a QONNX file: what its outputs are, and whether hardware gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from compiler.pricing.source import Widths
from compiler.qonnx.graph import Quant
from compiler.qonnx.value import Value
from compiler.qonnx.walk import Walk
from hw_targets import grid
from hw_targets.errors import LiftFlowError
from hw_targets.finn_adapter.logits import ranked
from hw_targets.network import LayerShape, NetworkShape


@dataclass(frozen=True)
class Read:
    """What a file holds.

    entry: the quantizer of its input. kind: "BipolarQuant" or "Sign" where that gives signs alone.
    begin, end: the file's tensors that the input's quantizer takes, and that the outputs are.
    step: of a regression, the value of one count of its outputs; else 0. model: what lowering
    takes, a ModelWrapper.
    """

    network: NetworkShape
    widths: Widths
    notes: tuple[str, ...]
    entry: Quant
    kind: str
    begin: tuple[str, Value]
    end: tuple[str, Value]
    step: float
    model: Any


@dataclass(frozen=True)
class Ending:
    """What a walk has come to.

    output: the file's tensor of the outputs, before a class is chosen. outputs: they are the
    answer, not the class of the greatest. chosen: the file chooses a class itself.
    """

    path: Path
    walk: Walk
    output: str
    outputs: bool
    chosen: bool

    def read(self) -> Read:
        """What the walk found.

        Raises:
            LiftFlowError: the outputs have no hardware; says why.
        """
        walk = self.walk
        end = walk.values.get(walk.output)
        where = str(self.path)
        if not walk.layers:
            raise LiftFlowError("no Conv, MatMul or Gemm in it", where=where, mend="add a layer")
        if end is None:
            raise LiftFlowError(
                f"nothing computes its output {walk.output}", where=where, mend="export it again"
            )
        if (end.offset is None and end.bits) or (end.offset and self.outputs and end.bits):
            raise LiftFlowError(
                "constants are added to its quantized outputs",
                where=where, mend="put them before the quantizer",
            )  # fmt: skip
        last = [*walk.layers][-1]
        quantized = end.bits > 0
        if end.order is not None:
            raise LiftFlowError(
                "its output is an image flattened channels last", where=where, mend="end before it"
            )
        self._require_end(end, last, quantized)
        regression = self.outputs or end.pixels > 1
        if regression and self.chosen:
            what = "it chooses a class, and its outputs are asked for"
            raise LiftFlowError(what, where=where, mend="end before the choice")
        if regression and end.pixels > 1 and not self.outputs:
            walk.notes.append("it gives an image: its outputs are the answer, not a class")
        if not quantized and end.bias is not None:
            self._settle_bias(end, last, regression)
        network = self._network(end, last, quantized, regression)
        if walk.before:
            walk.notes.append(
                f"left to whoever gives it samples: {', '.join(walk.before)}, in front of the "
                "input's quantizer"
            )
        if walk.entry_kind:
            signs = "-1, 0 or 1" if walk.entry_kind == "Sign" else "-1 or 1"
            assert walk.entry is not None
            walk.notes.append(f"samples are {signs} times {walk.entry.scale:g}, in two bits")
        assert walk.entry is not None
        widths = Widths(
            tuple(walk.weight_bits[name] for name in walk.layers),
            tuple(walk.act_bits.get(name, 0) for name in walk.layers),
            tuple(walk.full.values()) if any(walk.full.values()) else (),
        )
        return Read(
            network, widths, tuple(walk.notes), walk.entry, walk.entry_kind,
            walk.begin, (self.output, end), (end.step or 0.0) if regression else 0.0,
            walk.target.model(walk.entry_shape, end.tensor),
        )  # fmt: skip

    def _require_end(self, end: Value, last: str, quantized: bool) -> None:
        where = str(self.path)
        if end.signs is not None and (end.signs < 0).any():
            raise LiftFlowError(
                "its outputs are scaled by a number that is not above 0",
                where=where, mend="fold the scaling into the last layer's weights",
            )  # fmt: skip
        if end.held or (not quantized and end.layer != last):
            raise LiftFlowError(
                "the last layer has an activation or pooling, and no quantizer behind it",
                where=where, mend="let it give the logits, or quantize what it gives",
            )  # fmt: skip
        if end.step is None:
            raise LiftFlowError(
                "its outputs have a scale for each channel",
                where=where, mend="give the last layer one weight scale, and norm before it",
            )  # fmt: skip

    def _settle_bias(self, end: Value, last: str, regression: bool) -> None:
        """Of a class the order of the bias's fractions decides; outputs need whole numbers."""
        assert end.bias is not None
        assert end.step is not None
        counts = np.broadcast_to(end.bias / end.step, (end.channels,))
        if not regression:
            shift = ranked(counts)[1]
            self.walk.layers[last] = replace(self.walk.layers[last], rank_bits=shift)
        elif grid.distance(counts) > grid.tolerance(counts):
            node = self.walk.last_layer
            raise self.walk.refusal(
                node,
                f"its outputs are the answer, and their bias is no multiple of {end.step:.6g}, the "
                "step of its sums",
                "quantize the bias with that scale, or put a quantizer behind it",
            )

    def _network(self, end: Value, last: str, quantized: bool, regression: bool) -> NetworkShape:
        walk = self.walk
        assert walk.entry is not None
        if regression:
            shape = walk.layers[last]
            given = (shape.out_channels, *(shape.out_size if shape.kind == "conv" else ()))
            if prod(given) != prod(end.shape) or given[0] != end.channels:
                raise LiftFlowError(
                    "what follows the last layer changes the shape of its outputs",
                    where=str(self.path), mend="end with the last layer, or its quantizer",
                )  # fmt: skip
            if not quantized:
                walk.layers[last] = replace(shape, answers=True)
        shapes = tuple(walk.layers.values())
        name = self.path.name.removesuffix(self.path.suffix).removesuffix(".qonnx")
        chain = not quantized and _is_chain(walk, shapes)
        return NetworkShape(
            name,
            shapes,
            walk.entry_shape,
            walk.entry.bits,
            walk.entry.signed,
            0 if regression else end.channels * end.pixels,
            () if chain else tuple(walk.target.units),
            foreign=True,
            quantized_end=quantized,
        )


def _is_chain(walk: Walk, shapes: Sequence[LayerShape]) -> bool:
    """Do layers, each with its ReLU and square pooling, tell all that there is?"""
    kinds = [unit.kind for unit in walk.target.units]
    acting = [shape.activation for shape in shapes]
    plain = all(shape.groups == 1 and shape.dilation == (1, 1) for shape in shapes)
    return (
        {*kinds} <= {"layer", "relu", "max", "flatten"}
        and acting == [True] * (len(shapes) - 1) + [False]
        and kinds.count("relu") == len(shapes) - 1
        and kinds.count("max") == sum(shape.pool > 1 for shape in shapes)
        and plain
        and walk.target.units[-1].kind == "layer"
        and len(walk.entry_shape) != 2
    )
