"""Graph rewrites of our own, where QONNX and FINN have none: small, and by pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import UnsupportedError

EXACT_FLOAT32 = 2.0**24
"""Up to here float32 has every integer."""


def take_integers(model: Any, bits: int, signed: bool) -> Any:
    """Drop the quantizer at the input, keep its scale: the host sends integers.

    On the QONNX graph, before FINN turns quantizers into thresholds: `InputFormat.encode` does the
    rounding on the host, in float64.
    """
    from onnx import helper
    from qonnx.core.datatype import DataType

    entry = model.graph.input[0].name
    quant = model.find_consumer(entry)
    if quant is None or quant.op_type != "Quant":
        raise UnsupportedError("the graph does not begin with a quantizer", where="lower-finn")
    place = list(model.graph.node).index(quant)
    scale = helper.make_node("Mul", [entry, quant.input[1]], [quant.output[0]])
    model.graph.node.remove(quant)
    model.graph.node.insert(place, scale)
    model.set_tensor_datatype(entry, DataType[f"{'INT' if signed else 'UINT'}{bits}"])
    return model


def flatten_channels_last(model: Any) -> Any:
    """Flatten height, width, channel instead of channel, height, width.

    Transpose (NHWC to NCHW) -> Flatten -> MatMul becomes Flatten -> MatMul with the rows of the
    weight matrix permuted: a stream carries channels innermost.
    """
    for flatten in list(model.graph.node):
        if flatten.op_type not in ("Flatten", "Reshape"):
            continue
        transpose = model.find_producer(flatten.input[0])
        if transpose is None or transpose.op_type != "Transpose":
            continue
        matmul = model.find_consumer(flatten.output[0])
        _, channels, height, width = model.get_tensor_shape(flatten.input[0])
        weight = model.get_initializer(matmul.input[1])
        rows = weight.reshape(channels, height, width, -1).transpose(1, 2, 0, 3)
        model.set_initializer(matmul.input[1], rows.reshape(weight.shape))
        flatten.input[0] = transpose.input[0]
        model.graph.node.remove(transpose)
    return model


def drop_leading_flatten(model: Any) -> Any:
    """A flatten at the input is nothing to a stream: the graph takes the flat frame."""
    entry = model.graph.input[0].name
    first = model.find_consumer(entry)
    if first is not None and first.op_type in ("Flatten", "Reshape"):
        shape = model.get_tensor_shape(first.output[0])
        datatype = model.get_tensor_datatype(entry)
        after = model.find_consumer(first.output[0])
        after.input[0] = entry
        model.graph.node.remove(first)
        model.set_tensor_shape(entry, shape)
        model.set_tensor_datatype(entry, datatype)
    return model


def set_thresholds(model: Any, node: Any, exact: NDArray[np.float64]) -> float:
    """Put exact thresholds, rounded up, into a MultiThreshold.

    Returns how far FINN's own were off, relative to 1 + |T|. Thresholds that no accumulator
    reaches are clipped to where float32, the tensors' type, still holds every integer.
    """
    before = np.broadcast_to(model.get_initializer(node.input[1]), exact.shape)
    before, exact = (np.clip(each, -EXACT_FLOAT32, EXACT_FLOAT32) for each in (before, exact))
    off = float((np.abs(before - exact) / (1 + np.abs(exact))).max(initial=0.0))
    model.set_initializer(node.input[1], np.ceil(exact).astype(np.float32))
    return off
