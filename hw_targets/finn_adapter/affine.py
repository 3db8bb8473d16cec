"""The exact integers of a QONNX chain: weights, thresholds and the final bias, in float64.

FINN's streamlining moves scales through the graph in float32 and divides thresholds several times;
a threshold can then end on the wrong side of an integer. Here thresholds come from the file's own
scales in one float64 expression. Nodes are read in the graph's order, which is a chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import UnsupportedError

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


GRID_TOLERANCE = 0.1
"""How far the float32 bias may lie off a multiple of the accumulator's step."""


@dataclass(frozen=True)
class Affine:
    """One matrix-vector layer of the file.

    step: (out,) float value of one accumulator count. bias: (out,) float. out_scale: of the
    activation after it, None for the last layer. out_bits: width of that activation.
    """

    step: Float64
    bias: Float64
    out_scale: float | None
    out_bits: int

    def thresholds(self) -> Float64:
        """(out, 2**bits - 1) accumulator values at which the activation goes up by one.

        Halves are reached (round half up); a settled network has no accumulator on one.
        """
        if self.out_scale is None:
            raise ValueError("the last layer has no activation")
        edges = (np.arange(1, 2**self.out_bits) - 0.5) * self.out_scale
        found: Float64 = (edges[None, :] - self.bias[:, None]) / self.step[:, None]
        return found

    def integer_bias(self) -> Int64:
        """(out,) bias in accumulator counts. Raises UnsupportedError if it is none."""
        counts = self.bias / self.step
        if np.abs(counts - np.round(counts)).max(initial=0.0) > GRID_TOLERANCE:
            raise UnsupportedError(
                "the last layer's bias is not a whole number of accumulator steps",
                where="lower-finn",
                mend="quantize the network with LiftFlow's quantize pass",
            )
        return np.round(counts).astype(np.int64)


def read(model: Any) -> tuple[Affine, ...]:
    """The layers of a QONNX model (a ModelWrapper, before any lowering)."""
    layers: list[Affine] = []
    scale: float | None = None
    pending: tuple[Float64, Float64] | None = None
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            if scale is None or pending is not None:
                raise UnsupportedError(f"no quantizer before {node.name}", where="lower-finn")
            quant = model.find_producer(node.input[1])
            weight_scale = _constant(model, quant.input[1])
            out = model.get_tensor_shape(node.output[0])[1]
            step = np.broadcast_to((scale * weight_scale).reshape(-1), (out,)).copy()
            bias = _constant(model, node.input[2]) if len(node.input) > 2 else np.zeros(out)
            pending = (step, bias.reshape(-1))
        elif node.op_type == "Quant" and model.get_initializer(node.input[0]) is None:
            scale = float(_constant(model, node.input[1]).reshape(()))
            bits = int(_constant(model, node.input[3]).reshape(()))
            if pending is not None:
                layers.append(Affine(*pending, scale, bits))
                pending = None
    if pending is None:
        raise UnsupportedError("the network ends in an activation", where="lower-finn")
    layers.append(Affine(*pending, None, 0))
    return tuple(layers)


def _constant(model: Any, tensor: str) -> Float64:
    values = model.get_initializer(tensor)
    if values is None:
        raise UnsupportedError(f"tensor {tensor} is not constant", where="lower-finn")
    return np.asarray(values, dtype=np.float64)
