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
from hw_targets.finn_adapter.edges import ROUNDINGS

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
    narrow: bool = False
    mode: str = "ROUND"


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
        self._open: set[str] = set()
        self.shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self.producers: dict[str, Any] = {}
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        named = {node.name for node in graph.node}
        for at, node in enumerate(graph.node):
            if not node.name:
                name = f"{node.op_type}_{at}"
                node.name = name if name not in named else f"{name}_unnamed"
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
        """The value of a tensor; None where it depends on the network's input, or is not told."""
        if name in self.constants:
            return self.constants[name]
        if name in self.shapes:
            self.constants[name] = np.asarray(self.model.get_initializer(name))
        elif name not in self._open and (node := self.producers.get(name)) is not None:
            self._open.add(name)
            self.fold(node)
        return self.constants.get(name)

    def fold(self, node: Any) -> bool:
        """Computes what a node gives, if all that it takes is constant; was it so?"""
        taken = [self.constant(each) for each in node.input if each]
        known = [each for each in taken if each is not None]
        if len(known) == len(taken) and not node.op_type.startswith("Random"):
            self.constants |= _computed(self, node, known)
        return all(name in self.constants for name in node.output)

    def is_fixed(self, name: str) -> bool:
        """Whether a tensor depends on no input of the network: a constant, quantized or not."""
        return self.constant(name) is not None

    def quant(self, node: Any) -> Quant:
        """A Quant node's parameters.

        Raises:
            UnsupportedError: they are not constant, or no uniform integers about zero.
        """
        if node.op_type == "BipolarQuant":
            scale = self.constant(node.input[1])
            return Quant(1, True, _single(scale))
        scale, zero, bits = (self.constant(name) for name in node.input[1:4])
        if bits is None or bits.size != 1 or float(bits.ravel()[0]) % 1:
            raise self.refusal(node, "its bits are not one whole constant", CLEAN)
        if zero is None or np.any(zero != 0):
            raise self.refusal(node, "its zero point is not 0", "quantize symmetrically")
        stored = attributes(node)
        mode = stored.get("rounding_mode", b"ROUND").decode().upper()
        if mode not in ROUNDINGS:
            what = f"it rounds by {mode}, which QONNX does not know"
            raise self.refusal(node, what, f"use one of {', '.join(ROUNDINGS)}")
        kinds = (bool(stored.get("signed", 1)), bool(stored.get("narrow", 0)))
        return Quant(int(bits.ravel()[0]), kinds[0], _single(scale), kinds[1], mode)

    def order(self) -> list[Any]:
        """The nodes between the input and the output, each after all that it takes."""
        found: list[Any] = []
        done: set[str] = set()
        stack = [self.model.graph.output[0].name]
        while stack:
            tensor = stack[-1]
            node = self.producers.get(tensor)
            if tensor in done or node is None:
                stack.pop()
                continue
            missing = [
                name for name in node.input if name and name not in done and name in self.producers
            ]
            if missing and len(stack) <= len(self.producers) * 4:
                stack += reversed(missing)
                continue
            stack.pop()
            done.update(node.output)
            if any(each and self.constant(each) is None for each in node.output):
                found.append(node)
        return found

    def _require_quantizers(self) -> None:
        kinds = {node.op_type for node in self.model.graph.node}
        if kinds & {*WEIGHTED, "Sign"}:
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


def _single(scale: NDArray[Any] | None) -> float | None:
    """The one value that a scale has everywhere, or None."""
    if scale is None or not scale.size or (scale != scale.ravel()[0]).any():
        return None
    return float(scale.ravel()[0])


def _computed(graph: Graph, node: Any, taken: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a node makes of constants: quantizers by qonnx, others by onnx's reference."""
    if node.op_type in QUANT:
        from qonnx.custom_op.general.quant import quant

        form = graph.quant(node)
        values = quant(*taken[:4], form.signed, form.narrow, form.mode)
        return {node.output[0]: np.asarray(values)}
    if node.op_type == "BipolarQuant":
        from qonnx.custom_op.general.bipolar_quant import binary_quant

        return {node.output[0]: np.asarray(binary_quant(*taken[:2]))}
    if node.domain not in ("", "ai.onnx"):
        return {}
    from onnx.reference import ReferenceEvaluator

    opsets = {each.domain: each.version for each in graph.model.model.opset_import}
    named = dict(zip(filter(None, node.input), taken, strict=True))
    try:
        results = ReferenceEvaluator(node, opsets={"": opsets.get("", 17)}).run(None, named)
    except Exception:  # whatever an operation that onnx cannot compute ends in: it is not told
        return {}
    return {name: np.asarray(value) for name, value in zip(node.output, results, strict=False)}


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
