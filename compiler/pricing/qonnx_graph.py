"""A QONNX file as a graph whose constants and quantizers can be asked for."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import LiftFlowError, UnsupportedError

QUANT = ("Quant", "IntQuant")
WEIGHTED = (*QUANT, "BipolarQuant")
"""Quantizers that weights may have."""
PASSED = ("Identity", "Dropout")
"""Operations that give what they take."""
EXPORT = "export QONNX from Brevitas (brevitas.export.export_qonnx)"
CLEAN = "run qonnx-cleanup on the file first"


@dataclass(frozen=True)
class Quant:
    """A uniform quantizer. scale: None where it is not one constant for all values."""

    bits: int
    signed: bool
    scale: float | None


@dataclass(frozen=True)
class Weights:
    """Weights of a layer: their shape as the layer takes them, their bits, the tensor's name."""

    shape: tuple[int, ...]
    bits: int
    name: str


class Graph:
    """The graph of a file: who makes and who takes each tensor, and what is constant.

    Raises:
        LiftFlowError: the file is not ONNX, is empty, or has no quantizers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = _load(path)
        graph = self.model.graph
        self.constants: dict[str, NDArray[Any]] = {}
        self.shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self.producers: dict[str, Any] = {}
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        for at, node in enumerate(graph.node):
            node.name = node.name or f"{node.op_type}_{at}"
            for name in node.output:
                self.producers[name] = node
            for name in dict.fromkeys(node.input):
                if name:
                    self.consumers[name].append(node)
        self._require_quantizers()

    def refusal(self, node: Any, what: str, mend: str) -> UnsupportedError:
        """An error that names file, node and operation."""
        where = f"{self.path}: node {node.name} ({node.op_type})"
        return UnsupportedError(what, where=where, mend=mend)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a tensor; None where it is not a constant."""
        if name in self.shapes:
            if name not in self.constants:
                self.constants[name] = np.asarray(self.model.get_initializer(name))
            return self.constants[name]
        node = self.producers.get(name)
        if node is not None and node.op_type == "Constant":
            value = attributes(node).get("value")
            if value is not None:
                from onnx import numpy_helper

                return np.asarray(numpy_helper.to_array(value))
        if node is not None and node.op_type in PASSED:
            return self.constant(node.input[0])
        return None

    def is_fixed(self, name: str) -> bool:
        """Whether a tensor depends on no input of the network: a constant, quantized or not."""
        if self.constant(name) is not None:
            return True
        node = self.producers.get(name)
        if node is None or node.op_type not in (*WEIGHTED, *PASSED, "Transpose"):
            return False
        return self.is_fixed(node.input[0])

    def quant(self, node: Any) -> Quant:
        """A Quant node's parameters.

        Raises:
            UnsupportedError: they are not constant, or no uniform integers about zero.
        """
        scale, zero, bits = (self.constant(name) for name in node.input[1:4])
        if bits is None or bits.size != 1 or float(bits.ravel()[0]) % 1:
            raise self.refusal(node, "its bits are not one whole constant", CLEAN)
        if zero is None or np.any(zero != 0):
            raise self.refusal(node, "its zero point is not 0", "quantize symmetrically")
        signed = bool(attributes(node).get("signed", 1))
        single = scale is not None and scale.size == 1
        return Quant(
            int(bits.ravel()[0]),
            signed,
            float(scale.ravel()[0]) if single else None,  # type: ignore[union-attr]
        )

    def weights(self, node: Any) -> Weights:
        """The quantized weights that a layer takes.

        Raises:
            UnsupportedError: they have no quantizer, or one of another kind.
        """
        name, swapped = node.input[1], False
        source = self.producers.get(name)
        while source is not None and source.op_type in (*PASSED, "Transpose"):
            swapped ^= source.op_type == "Transpose"
            name = source.input[0]
            source = self.producers.get(name)
        if source is None or source.op_type not in WEIGHTED:
            raise self.refusal(
                node, "its weights have no Quant node", "quantize weights and activations"
            )
        stored = self.constant(source.input[0])
        if stored is None:
            raise self.refusal(source, "it quantizes weights that are not constant", CLEAN)
        shape = tuple(int(size) for size in (stored.shape[::-1] if swapped else stored.shape))
        if source.op_type == "BipolarQuant":  # -1 and 1
            return Weights(shape, 1, source.input[0])
        quant = self.quant(source)
        if not quant.signed:
            raise self.refusal(source, "weights without sign have no kernel", "quantize signed")
        if quant.bits == 1:
            raise self.refusal(
                source, "weights of -1 and 0 have no kernel", "use BipolarQuant, or 2 to 8 bits"
            )
        return Weights(shape, quant.bits, source.input[0])

    def _require_quantizers(self) -> None:
        kinds = {node.op_type for node in self.model.graph.node}
        if kinds & {*WEIGHTED}:
            return
        if "MultiThreshold" in kinds:
            what, mend = "it is lowered by FINN already", "give the QONNX file before that"
        elif kinds & {"QuantizeLinear", "DequantizeLinear"}:
            what = "its quantizers are QuantizeLinear and DequantizeLinear"
            mend = f"{EXPORT}: their 8 bits hide how many the weights have"
        else:
            what = "it has no quantizers, so that its bits are not known"
            mend = (
                f"{EXPORT}, or describe the PyTorch model in a TOML file and give --weight-bits "
                "and --act-bits"
            )
        raise LiftFlowError(what, where=str(self.path), mend=mend)


def attributes(node: Any) -> Mapping[str, Any]:
    """Attributes of a node by name."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _load(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from qonnx.core.modelwrapper import ModelWrapper

    mend = "give a QONNX file, as brevitas.export.export_qonnx writes it"
    if path.stat().st_size == 0:
        raise LiftFlowError("the file is empty", where=str(path), mend=mend)
    try:
        proto = onnx.load(str(path))
    except DecodeError:
        raise LiftFlowError("not an ONNX file", where=str(path), mend=mend) from None
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise LiftFlowError(f"cannot be read: {error}", where=str(path), mend=mend) from error
    if not proto.graph.node:
        raise LiftFlowError("an ONNX file without nodes", where=str(path), mend=mend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names of domains that it corrects
        return ModelWrapper(proto)
