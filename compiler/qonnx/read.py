"""A QONNX file of any origin as a network of hardware, and as the file that lowering takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from compiler.pricing.source import Widths
from compiler.qonnx import affine, layers, moves, pools, quants
from compiler.qonnx.ending import Ending, Read
from compiler.qonnx.graph import EXPORT, Graph, Quant, attributes
from compiler.qonnx.quants import CLASSED, entered
from compiler.qonnx.value import Value
from compiler.qonnx.walk import LostError, Step, Walk
from hw_targets.errors import LiftFlowError, UnsupportedError
from hw_targets.network import NetworkShape

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
        return Ending(self.path, self.walk, self.output, self.outputs, self.ended).read()

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


def _annotated(graph: Graph, name: str) -> Quant | None:
    """The integers that qonnx's annotation says the input has."""
    notes = graph.model.graph.quantization_annotation
    if not any(note.tensor_name == name for note in notes):
        return None
    kind = graph.model.get_tensor_datatype(name)
    if not kind.is_integer() or kind.name in ("BIPOLAR", "TERNARY"):
        return None
    return Quant(int(kind.bitwidth()), bool(kind.signed()), 1.0)
