"""The file that is written: plain QONNX, channels first, nodes numbered as they are executed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets.network import Unit, identifier

OPSET = 17
DOMAIN = "qonnx.custom_op.general"
_QONNX = ("Quant", "BipolarQuant")


class Target:
    """Collects nodes and the network's units. Shapes are without the batch, which is one."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._names: set[str] = set()

    def unit(self, unit: Unit) -> str:
        """Adds a unit; its name."""
        self.units.append(unit)
        return unit.name

    def name(self, wanted: str) -> str:
        """A name that hardware can have and that no other unit has."""
        wanted = wanted.strip("/") or "node"
        wanted = wanted if wanted[0].isalpha() or wanted[0] == "_" else f"n{wanted}"
        name, number = wanted, 1
        while identifier(name) in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(identifier(name))
        return name

    def constant(self, values: Any, kind: type = np.float32) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def node(self, kind: str, inputs: list[str], shape: tuple[int, ...], **stored: Any) -> str:
        """A node; the tensor it gives, of this shape."""
        return self._node(kind, inputs, (1, *shape), stored)

    def weights(self, values: NDArray[Any], scale: NDArray[Any], bits: int) -> str:
        """Integers of `bits` (1: -1 and 1) times a scale of each output, or of all, quantized."""
        wide = max(bits, 2)
        single = (scale == scale[0]).all()
        steps = scale[:1] if single else scale.reshape(-1, *(1,) * (values.ndim - 1))
        steps = steps.reshape(()) if single else steps
        parts = (values * steps, steps, 0.0, float(wide))
        narrow = int(values.min(initial=0) > -(1 << (wide - 1)))
        stored = {"signed": 1, "narrow": narrow, "rounding_mode": "ROUND"}
        return self._node("Quant", [self.constant(each) for each in parts], values.shape, stored)

    def model(self, entry: tuple[int, ...], output: str) -> Any:
        """The graph as a ModelWrapper from `global_in` to the tensor `output`."""
        from onnx import TensorProto, helper
        from qonnx.core.modelwrapper import ModelWrapper

        def info(name: str, shape: tuple[int, ...]) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self._nodes,
            "liftflow",
            [info("global_in", (1, *entry))],
            [info(output, self._shapes[output])],
            self._tensors,
            value_info=[info(*each) for each in self._shapes.items() if each[0] != output],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        made = helper.make_model(graph, producer_name="liftflow", opset_imports=opsets)
        made.ir_version = 8
        return ModelWrapper(made)

    def _node(
        self, kind: str, inputs: list[str], shape: tuple[int, ...], stored: dict[str, Any]
    ) -> str:
        from onnx import helper

        name = f"{kind}_{len(self._nodes)}"
        output = f"{name}_out0"
        domain = DOMAIN if kind in _QONNX else ""
        made = helper.make_node(kind, inputs, [output], name=name, domain=domain, **stored)
        self._nodes.append(made)
        self._shapes[output] = tuple(shape)
        return output
