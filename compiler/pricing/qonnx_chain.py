"""A QONNX chain as the layers that hardware computes: one walk from the input to the logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from compiler.pricing.qonnx_graph import CLEAN, EXPORT, PASSED, Graph, Quant
from compiler.pricing.qonnx_steps import CLASSED, STEPS, Layer, State
from compiler.pricing.source import Widths
from hw_targets.errors import LiftFlowError
from hw_targets.network import NetworkShape

MENDS = {
    "BipolarQuant": ("1 bit with a sign has no kernel", "quantize to 2 to 8 bits"),
    "Trunc": ("truncation, as of average pooling, has no kernel", "use max pooling"),
    "AveragePool": ("average pooling has no kernel", "use max pooling"),
    "GlobalAveragePool": ("average pooling has no kernel", "use max pooling or a dense layer"),
    "Concat": ("it joins branches, and hardware computes chains", "leave the branches out"),
    "FloatQuant": ("floats of few bits have no kernel", "quantize to integers"),
    "QuantizeLinear": ("its bits are not told", EXPORT),
    "DequantizeLinear": ("its bits are not told", EXPORT),
    "Shape": ("sizes are computed in the graph", CLEAN),
}


def read_qonnx(
    path: Path, input_bits: int | None = None, input_signed: bool = False
) -> tuple[NetworkShape, Widths, tuple[str, ...]]:
    """Shape and bits of the network in a QONNX file, and notes on how it was read.

    A chain of Conv, MatMul or Gemm with quantized weights, each but the last followed by a
    quantizer, with BatchNormalization, Relu, MaxPool, Flatten and scaling by constants between.

    Args:
        input_bits, input_signed: of a network whose input has no quantizer.

    Raises:
        LiftFlowError: not a QONNX file, or something in it that hardware cannot compute: names the
            node, the reason, and what to do.
    """
    try:
        return _read(path, input_bits, input_signed)
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


def _read(
    path: Path, input_bits: int | None, input_signed: bool
) -> tuple[NetworkShape, Widths, tuple[str, ...]]:
    graph = Graph(path)
    entry, end = _ends(graph)
    input_shape = _input_shape(graph, entry)
    given = None if input_bits is None else Quant(input_bits, input_signed, None)
    state = State(graph, entry.name, input_shape, given)
    while state.tensor != end:
        _step(state, _next(state))
    notes = _close(state)
    assert state.input_quant is not None
    shapes = tuple(layer.shape() for layer in state.layers)
    network = NetworkShape(
        path.name.removesuffix(path.suffix).removesuffix(".qonnx"),
        shapes,
        input_shape,
        state.input_quant.bits,
        state.input_quant.signed,
        shapes[-1].out_channels,
    )
    widths = Widths(
        tuple(layer.weight_bits for layer in state.layers),
        tuple(layer.quant.bits if layer.quant else 0 for layer in state.layers),
    )
    return network, widths, tuple(notes)


def _ends(graph: Graph) -> tuple[Any, str]:
    """The network's input and the name of its output."""
    listed = graph.model.graph
    entries = [each for each in listed.input if each.name not in graph.shapes]
    if len(entries) != 1 or len(listed.output) != 1:
        raise LiftFlowError(
            f"{len(entries)} inputs and {len(listed.output)} outputs",
            where=str(graph.path),
            mend="give a network with one of each",
        )
    return entries[0], listed.output[0].name


def _input_shape(graph: Graph, entry: Any) -> tuple[int, ...]:
    sizes = tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)[1:]
    if len(sizes) not in (1, 3) or min(sizes) < 1:
        raise LiftFlowError(
            f"input {entry.name} has no fixed shape (batch, features) or (batch, channels, "
            "height, width)",
            where=str(graph.path),
            mend="export with a fixed shape",
        )
    return sizes


def _next(state: State) -> Any:
    """The one node that takes the stream."""
    graph = state.graph
    takers = graph.consumers[state.tensor]
    shaped = next((node for node in takers if node.op_type == "Shape"), None)
    if shaped is not None:
        raise graph.refusal(shaped, *MENDS["Shape"])
    if len(takers) != 1:
        names = ", ".join(node.name for node in takers) or "none"
        what = f"its output goes to {len(takers)} nodes ({names}), and hardware computes chains"
        source = graph.producers.get(state.tensor)
        if source is not None:
            raise graph.refusal(source, what, "leave the branches out")
        raise LiftFlowError(
            what.replace("its output", f"input {state.tensor}"),
            where=str(graph.path),
            mend="leave the branches out",
        )
    return takers[0]


def _step(state: State, node: Any) -> None:
    """What `node` does to the state, which goes on behind it."""
    graph = state.graph
    if state.ended and node.op_type not in (*CLASSED, "Reshape", "Squeeze", *PASSED):
        raise graph.refusal(node, "it follows the choice of a class", "leave it out")
    if node.op_type not in STEPS:
        unknown = ("no kernel computes it", "leave it out or replace it")
        raise graph.refusal(node, *MENDS.get(node.op_type, unknown))
    others = [name for name in node.input if name and name != state.tensor]
    loose = [name for name in others if not graph.is_fixed(name)]
    if loose:
        source = graph.producers.get(loose[0])
        if source is not None and not _streams(graph, loose[0]):
            unread = ("what it makes of constants is not read", CLEAN)
            raise graph.refusal(source, *MENDS.get(source.op_type, unread))
        raise graph.refusal(
            node,
            "it joins branches, and hardware computes chains",
            "leave the branches out",
        )
    STEPS[node.op_type](state, node)
    state.tensor = node.output[0]


def _streams(graph: Graph, name: str) -> bool:
    """Whether a tensor depends on the network's input."""
    node = graph.producers.get(name)
    if node is None:
        return name not in graph.shapes
    return any(_streams(graph, each) for each in node.input if each)


def _close(state: State) -> list[str]:
    """The last layer gives logits, all others unsigned activations; notes on what that took."""
    path, layers = str(state.graph.path), state.layers
    if not layers:
        raise LiftFlowError("no Conv, MatMul or Gemm in it", where=path, mend="add a layer")
    if state.given is not None and state.input_quant is not state.given:
        raise LiftFlowError("its input has a quantizer", where=path, mend="leave out --input-bits")
    notes: list[str] = []
    last = layers[-1]
    if last.relu or (last.quant and not last.quant.signed) or last.pool > 1:
        raise state.graph.refusal(
            last.node, "the last layer has an activation", "let it give the logits"
        )
    if len(state.shape) == 3 and state.shape[1:] != (1, 1):
        raise state.graph.refusal(
            last.node, "it gives an image, not one value a class", "end in a dense layer"
        )
    if last.quant:
        last.quant = None
        notes.append("the quantizer of the logits is left out: hardware compares their sums")
    for layer in layers[:-1]:
        assert layer.quant is not None
        if layer.quant.signed:
            layer.quant = _upper_half(state.graph, layer, layer.quant)
            notes.append(
                f"{layer.name}: {layer.quant.bits + 1} bits with a sign behind a ReLU are "
                f"{layer.quant.bits} without"
            )
    return notes


def _upper_half(graph: Graph, layer: Layer, quant: Quant) -> Quant:
    """What is left of a signed quantizer beside a ReLU."""
    if not layer.relu:
        raise graph.refusal(
            layer.node, "its activations keep their sign, which has no kernel", "add a Relu"
        )
    if quant.bits < 2:
        raise graph.refusal(layer.node, "1 bit with a sign is nothing", "use 2 bits")
    return replace(quant, bits=quant.bits - 1, signed=False)
