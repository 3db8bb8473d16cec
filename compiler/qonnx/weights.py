"""Weights of a layer as integers, with the scale of every output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.qonnx.graph import CLEAN, PASSED, WEIGHTED, Graph
from compiler.qonnx.walk import MOST_BITS

TURNS = ("Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten")
"""Operations on weights behind their quantizer that leave every one of them what it is."""

LEAST = -(1 << (MOST_BITS - 1))
"""The least weight that there is; 8 bits have no opposite of it."""


@dataclass(frozen=True)
class Weights:
    """values: integers, outputs first. scale: (outputs,). bits: 1 for -1 and 1. name: the layer's,
    as its weights' tensor tells it, or ""."""

    values: NDArray[np.int64]
    scale: NDArray[np.float64]
    bits: int
    name: str

    @property
    def full(self) -> bool:
        """Do they hold the least value of their bits, which has no opposite?"""
        return self.bits > 1 and bool(self.values.min(initial=0) == -(1 << (self.bits - 1)))

    def turned(self, signs: NDArray[np.float64] | None) -> Weights:
        """The same with some outputs negative. signs: (1,) or (outputs,)."""
        if signs is None or (signs > 0).all():
            return self
        rows = np.broadcast_to(signs, len(self.values)).astype(np.int64)
        values = self.values * rows.reshape(-1, *(1,) * (self.values.ndim - 1))
        return replace(self, values=values, bits=held(values, self.bits))

    def even(self) -> Weights | None:
        """The same with one scale, the finest, if that takes integers of no more than 8 bits."""
        finest = self.scale.min()
        ratios = self.scale / finest
        whole = np.rint(ratios)
        if (whole != ratios).any():
            return None
        rows = whole.astype(np.int64).reshape(-1, *(1,) * (self.values.ndim - 1))
        values = self.values * rows
        bits = held(values, self.bits)
        if bits > MOST_BITS:
            return None
        return replace(self, values=values, scale=np.full_like(self.scale, finest), bits=bits)


def read_weights(graph: Graph, node: Any, outputs_first: Callable[[Any], Any]) -> Weights:
    """The weights that a layer takes.

    outputs_first: turns an array as the layer takes it into one with outputs along the first axis.

    Raises:
        UnsupportedError: they are not constant, not quantized, or have no integers for hardware.
    """
    name, chain = node.input[1], []
    source = graph.producers.get(name)
    while source is not None and source.op_type in (*PASSED, *TURNS):
        chain.append(source)
        name = source.input[0]
        source = graph.producers.get(name)
    if source is not None and source.op_type in WEIGHTED:
        return _quantized(graph, node, source, chain[::-1], outputs_first)
    values = graph.constant(node.input[1])
    if values is None:
        made = graph.producers.get(node.input[1])
        if made is not None and not graph.is_fixed(made.input[0] if made.input else ""):
            raise graph.refusal(node, "its weights are no constants", "multiply by constants alone")
        raise graph.refusal(made or node, "what it makes of constants is not read", CLEAN)
    found = _by_hand(outputs_first(np.asarray(values, np.float64)))
    if found is None:
        raise graph.refusal(
            node, "its weights have no Quant node", "quantize weights and activations"
        )
    return replace(found, name=_stem(name))


def held(values: NDArray[np.int64], bits: int) -> int:
    """The bits given, or as many more as the values need; the least value of bits takes one.

    Not so -128, which 8 bits hold.
    """
    most = int(np.abs(values).max(initial=0))
    if bits == 1 and (np.abs(values) == 1).all():
        return 1
    if values.min(initial=0) == LEAST and values.max(initial=0) < -LEAST:
        return MOST_BITS
    return max(bits, most.bit_length() + 1, 2)


def _quantized(
    graph: Graph, node: Any, source: Any, chain: list[Any], outputs_first: Callable[[Any], Any]
) -> Weights:
    form = graph.quant(source)
    stored, scale = graph.constant(source.output[0]), graph.constant(source.input[1])
    if stored is None or scale is None:
        raise graph.refusal(source, "it quantizes weights that are not constant", CLEAN)
    if form.bits not in range(1, MOST_BITS + 1):
        mend = f"quantize them to 1 to {MOST_BITS} bits"
        raise graph.refusal(node, f"{form.bits}-bit weights have no kernel", mend)
    if (scale <= 0).any():
        raise graph.refusal(source, "its scale is not above 0", "use scales above 0")
    scales = np.broadcast_to(np.asarray(scale, np.float64), stored.shape)
    integers = np.rint(stored.astype(np.float64) / scales)
    for turn in chain:
        integers, scales = (_turn(graph, turn, each) for each in (integers, scales))
    values, rows = outputs_first(integers).astype(np.int64), outputs_first(scales)
    rows = rows.reshape(len(rows), -1)
    if (rows != rows[:, :1]).any():
        raise graph.refusal(
            source, "its scale differs within an output", "use one scale for each output, or one"
        )
    bits = held(values, form.bits + (not form.signed))
    if bits > MOST_BITS:
        what = f"weights of {form.bits} bits without a sign have no kernel"
        raise graph.refusal(source, what, "quantize signed, or to 7 bits")
    return Weights(values, rows[:, 0].copy(), bits, _stem(source.input[0]))


def _turn(graph: Graph, node: Any, values: NDArray[Any]) -> NDArray[Any]:
    from onnx.reference import ReferenceEvaluator

    if node.op_type in PASSED:
        return values
    opsets = {each.domain: each.version for each in graph.model.model.opset_import}
    taken = {node.input[0]: values}
    for name in node.input[1:]:
        constant = graph.constant(name)
        if constant is not None:
            taken[name] = constant
    run = ReferenceEvaluator(node, opsets={"": opsets.get("", 17)}).run(None, taken)
    return np.asarray(run[0])


def _by_hand(values: NDArray[np.float64]) -> Weights | None:
    """Weights without a quantizer that show their integers: whole, or signs times a scale."""
    rows = np.abs(values.reshape(len(values), -1))
    inside = values.min(initial=0) >= LEAST and values.max(initial=0) < -LEAST
    if inside and (values == np.rint(values)).all() and rows.max(initial=0) > 1:
        integers = values.astype(np.int64)
        return Weights(integers, np.ones(len(values)), held(integers, 2), "")
    scale = rows.max(axis=1)
    scale[scale == 0] = 1.0
    if not (np.isin(rows / scale[:, None], (0.0, 1.0))).all():
        return None
    integers = np.sign(values).astype(np.int64)
    return Weights(integers, scale, 2 if (integers == 0).any() else 1, "")


def _stem(name: str) -> str:
    """A layer's name from that of its weights: `fc.weight` is `fc`."""
    stem, dot, last = name.rpartition(".")
    return stem if dot and last == "weight" else ""
