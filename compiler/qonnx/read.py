"""A QONNX file of any origin as a network of hardware, and as the file that lowering takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from compiler.pricing.source import Widths
from compiler.qonnx import affine, layers, moves, pools, quants
from compiler.qonnx.graph import EXPORT, Graph, Quant, attributes
from compiler.qonnx.quants import CLASSED, entered
from compiler.qonnx.value import Value
from compiler.qonnx.walk import LostError, Step, Walk
from hw_targets.errors import LiftFlowError, UnsupportedError
from hw_targets.network import LayerShape, NetworkShape

STEPS: dict[str, Step] = {
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant"), quants.quant),
    "Sign": quants.sign,
    "Conv": layers.conv,
    **dict.fromkeys(("Gemm", "MatMul"), layers.dense),
    "Relu": affine.relu,
    "Clip": affine.clip,
    **dict.fromkeys(("Neg", "BatchNormalization"), affine.affine),
    "Add": moves.added,
    **dict.fromkeys(("Sub", "Mul", "Div"), moves.scaled),
    "Concat": moves.concat,
    **dict.fromkeys(("MaxPool", "GlobalMaxPool"), pools.max_pool),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), pools.average),
    **dict.fromkeys(("Resize", "Upsample"), pools.resize),
    "Pad": pools.pad,
    "Slice": pools.strided,
    "Transpose": moves.transpose,
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), moves.reshape),
    **dict.fromkeys(("Identity", "Dropout"), moves.same),
    "Cast": moves.cast,
}
"""Operation -> what it does to the walk. Each raises UnsupportedError for what has no kernel."""

MENDS = {
    "Trunc": (
        "it cuts bits off without rounding, as TruncAvgPool2d does, which no kernel computes",
        "use AveragePool and a Quant node behind it",
    ),
    "FloatQuant": ("floats of few bits have no kernel", "quantize to integers"),
    "QuantizeLinear": ("its bits are not told", EXPORT),
    "DequantizeLinear": ("its bits are not told", EXPORT),
    "MultiThreshold": ("it is lowered by FINN already", "give the QONNX file before that"),
    "Sigmoid": ("no kernel computes it", "use Relu and a quantizer; at the end leave it out"),
    "Tanh": ("no kernel computes it", "use Clip and a quantizer"),
    "ConvTranspose": ("no kernel computes it", "use Resize (nearest) and Conv"),
    "DepthToSpace": ("no kernel computes it", "use Resize (nearest) and Conv"),
    **dict.fromkeys(
        ("LeakyRelu", "PRelu", "Elu", "Selu", "HardSigmoid", "HardSwish", "Gelu", "Softplus"),
        ("no kernel computes it", "use Relu and a quantizer"),
    ),
}
UNKNOWN = ("no kernel computes it", "leave it out or replace it")


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


def read_qonnx(
    path: Path, input_bits: int | None = None, input_signed: bool = False
) -> tuple[NetworkShape, Widths, tuple[str, ...]]:
    """Shape and bits of the network in a QONNX file, and notes on how it was read.

    Raises: as `read`.
    """
    given = None if input_bits is None else Quant(input_bits, input_signed, 1.0)
    found = read(path, given)
    return found.network, found.widths, found.notes


def read(path: Path, given: Quant | None = None, outputs: bool = False) -> Read:
    """The network in a QONNX file.

    Args:
        given: the quantizer of an input that has none.
        outputs: its outputs are the answer, not the class of the greatest. Images always are.

    Raises:
        LiftFlowError: not a QONNX file, or things in it that hardware cannot compute: names every
            node, the reason, and what to do.
    """
    try:
        return _Reader(path, given, outputs).run()
    except LiftFlowError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError) as error:
        # Of nodes without the inputs, attributes or element types that their operation has.
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise LiftFlowError(
            f"is damaged ({told[:200]})",
            where=str(path),
            mend="export it again; onnx.checker.check_model may name the node",
        ) from error


class _Reader:
    def __init__(self, path: Path, given: Quant | None, outputs: bool) -> None:
        self.path, self.outputs = path, outputs
        self.graph = Graph(path)
        self.entry = self._ends()
        self.walk = Walk(self.graph, given)
        self.ended = False
        self.output = self.walk.output
        """The file's tensor of the outputs, before a class is chosen."""

    def run(self) -> Read:
        self._enter()
        for node in self.walk.nodes:
            if self.graph.fold(node):
                continue
            try:
                self._step(node)
            except LostError:
                pass
            except UnsupportedError as error:
                self.walk.problems.setdefault(node.name, error)
            for name in node.output:
                self.walk.values.setdefault(name, None)
        self._refuse()
        return self._close()

    def _ends(self) -> Any:
        """The network's input."""
        listed = self.graph.model.graph
        entries = [each for each in listed.input if each.name not in self.graph.shapes]
        if len(entries) != 1 or len(listed.output) != 1:
            raise LiftFlowError(
                f"{len(entries)} inputs and {len(listed.output)} outputs",
                where=str(self.path),
                mend="give a network with one of each",
            )
        return entries[0]

    def _enter(self) -> None:
        """The value at the input. A batch that is no number, or more than one, is one here."""
        walk, name = self.walk, self.entry.name
        batch, *sizes = (dim.dim_value for dim in self.entry.type.tensor_type.shape.dim or [0])
        if len(sizes) not in (1, 2, 3) or min(sizes) < 1:
            raise LiftFlowError(
                f"input {name} has no fixed shape (batch, features), (batch, channels, length) or "
                "(batch, channels, height, width)",
                where=str(self.path),
                mend="export with a fixed shape; the batch may stay open",
            )
        walk.batch = batch
        rank = len(sizes)
        last = rank > 1 and self._channels_last(name, rank)
        order = (rank - 1, *range(rank - 1)) if last else tuple(range(rank))
        # order: file's axis of each axis of the samples.
        shape = tuple(sizes[axis] for axis in order)
        walk.entry_shape = shape
        of_image = {1: (0,), 2: (0, 2), 3: (0, 1, 2)}[rank]
        axes = tuple(of_image[order.index(axis)] for axis in range(rank))
        full = (shape[0], 1, shape[1]) if rank == 2 else shape
        value = Value("", "", full, axes, bits=0)
        quantized = self._quantized(name)
        if quantized and walk.given is not None:
            mend = "leave out --input-bits"
            raise LiftFlowError("its input has a quantizer", where=str(self.path), mend=mend)
        given = walk.given or _annotated(self.graph, name)
        if given is not None and not quantized:
            walk.begin = (name, value)
            value = entered(walk, value, given)
        walk.values[name] = value
        if last:
            walk.notes.append(
                f"samples are channels first here, {shape}: the file's input has them last"
            )

    def _quantized(self, name: str) -> bool:
        """Does a quantizer come before anything else than scaling?"""
        nodes = self.graph.consumers[name]
        while len(nodes) == 1:
            kind = nodes[0].op_type
            if kind in ("Quant", "IntQuant", "BipolarQuant", "Sign"):
                return True
            if kind in ("Conv", "Gemm", "MatMul"):
                return False
            nodes = self.graph.consumers[nodes[0].output[0]]
        return any(n.op_type in ("Quant", "IntQuant", "BipolarQuant") for n in nodes)

    def _channels_last(self, name: str, rank: int) -> bool:
        """Is the first to turn the input a move of its last axis to where channels stand?"""
        while (node := self.walk.follower(name)) is not None:
            if node.op_type == "Transpose":
                perm = list(attributes(node).get("perm", ()))
                return perm == [0, rank, *range(1, rank)]
            if node.op_type in ("Conv", "Gemm", "MatMul", "Reshape", "Flatten"):
                return False
            name = node.output[0]
        return False

    def _step(self, node: Any) -> None:
        walk, kind = self.walk, node.op_type
        if kind == "Shape" and walk.values.get(node.input[0]) is not None:
            value = walk.value(node)
            self.graph.constants[node.output[0]] = np.array(value.file_shape, np.int64)
            return
        if kind in CLASSED and self._final(node):
            value = walk.value(node)
            walk.give(node, value)
            self.output = self.output if self.ended else node.input[0]
            self.ended = True
            return
        if self.ended and kind not in ("Reshape", "Squeeze", "Identity", "Cast", "Flatten"):
            raise walk.refusal(node, "it follows the choice of a class", "leave it out")
        if kind not in STEPS:
            raise walk.refusal(node, *MENDS.get(kind, UNKNOWN))
        if self.ended:
            walk.give(node, walk.value(node))
            return
        STEPS[kind](walk, node)

    def _final(self, node: Any) -> bool:
        """Does nothing with hardware of its own follow?"""
        return not any(
            each.op_type in ("Conv", "Gemm", "MatMul")
            for name in node.output
            for each in self.graph.consumers[name]
        )

    def _refuse(self) -> None:
        """All problems in one line."""
        problems = list(self.walk.problems.values())
        if not problems:
            return
        if len(problems) == 1:
            raise problems[0]
        where = f"{self.path}: "
        told = "; ".join(str(each).removeprefix(where) for each in problems)
        raise UnsupportedError(
            f"{len(problems)} nodes have no hardware: {told}",
            where=str(self.path),
            mend="mend them all, in the network that the file was made of",
        )

    def _close(self) -> Read:
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
        if regression and self.ended:
            what = "it chooses a class, and its outputs are asked for"
            raise LiftFlowError(what, where=where, mend="end before the choice")
        if regression and end.pixels > 1 and not self.outputs:
            walk.notes.append("it gives an image: its outputs are the answer, not a class")
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


def _annotated(graph: Graph, name: str) -> Quant | None:
    """The integers that qonnx's annotation says the input has."""
    notes = graph.model.graph.quantization_annotation
    if not any(note.tensor_name == name for note in notes):
        return None
    kind = graph.model.get_tensor_datatype(name)
    if not kind.is_integer() or kind.name in ("BIPOLAR", "TERNARY"):
        return None
    return Quant(int(kind.bitwidth()), bool(kind.signed()), 1.0)
