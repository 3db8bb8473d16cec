"""Small QONNX files, node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"


class File:
    """A chain under construction: every method adds a node behind the last one."""

    def __init__(self, *shape: int | str) -> None:
        self.shape, self.nodes, self.tensors = (1, *shape), [], []
        self.last = "x"

    def constant(self, value: Any, name: str = "") -> str:
        name = name or f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def integers(self, *values: int) -> str:
        name = f"i{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def add(self, op: str, *others: str, **attributes: Any) -> File:
        """A node that takes the last tensor and `others`."""
        self.last = self.node(op, self.last, *others, **attributes)
        return self

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node, by its output."""
        output = f"t{len(self.nodes)}"
        name = f"{op.lower()}{len(self.nodes)}"
        domain = DOMAIN if op in ("Quant", "BipolarQuant", "Trunc") else ""
        self.nodes.append(
            helper.make_node(op, list(inputs), [output], name=name, domain=domain, **attributes)
        )
        return output

    def quant(self, bits: float, signed: bool = False, scale: Any = 0.5, zero: float = 0.0) -> File:
        self.last = self.quantized(self.last, bits, signed, scale, zero)
        return self

    def quantized(
        self, source: str, bits: float, signed: bool = True, scale: Any = 0.5, zero: float = 0.0
    ) -> str:
        inputs = (self.constant(scale), self.constant(zero), self.constant(bits))
        kinds = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
        return self.node("Quant", source, *inputs, **kinds)

    def weights(self, *shape: int, bits: float = 4, name: str = "", **kinds: Any) -> str:
        return self.quantized(self.constant(np.ones(shape), name), bits, **kinds)

    def conv(self, out: int, into: int, side: int, bits: float = 4, **attributes: Any) -> File:
        return self.add("Conv", self.weights(out, into, side, side, bits=bits), **attributes)

    def matmul(self, into: int, out: int, bits: float = 4, **kinds: Any) -> File:
        return self.add("MatMul", self.weights(into, out, bits=bits, **kinds))

    def write(self, path: Path) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "made",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            self.tensors,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets), str(path))
        return path


def small() -> File:
    """A convolution with norm, activation and pooling, and two dense layers, bits 3 to 6."""
    file = File(2, 8, 8).quant(6).conv(8, 2, 3, bits=3, pads=[1, 1, 1, 1])
    norms = [file.constant(np.ones(8)) for _ in range(4)]
    file.add("BatchNormalization", *norms).add("Relu").quant(5)
    file.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).add("Flatten", axis=1)
    file.matmul(128, 16, bits=4).add("Add", file.constant(np.ones(16))).add("Relu").quant(4)
    return file.matmul(16, 4, bits=6)
