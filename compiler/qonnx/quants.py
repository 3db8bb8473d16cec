"""Quantizers of activations, and the one at the network's input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.qonnx.graph import Quant, attributes
from compiler.qonnx.value import Value
from compiler.qonnx.walk import LAYERS, MOST_BITS, MOVES, Walk
from hw_targets.network import INPUT, Unit, UnitKind


def quant(walk: Walk, node: Any) -> None:
    """Quant and BipolarQuant; a Quant of 1 bit with a sign is a BipolarQuant, as qonnx has it."""
    form = walk.graph.quant(node)
    value = walk.value(node)
    if form.bits not in range(1, MOST_BITS + 1):
        what = f"{form.bits}-bit activations have no kernel"
        walk.complain(node, what, f"use 1 to {MOST_BITS} bits")
        form = replace(form, bits=MOST_BITS)
    if form.scale is None:
        what = "its scale differs from channel to channel, or is computed"
        walk.complain(node, what, "use one constant scale for all activations of a layer")
        form = replace(form, scale=1.0)
    elif form.scale <= 0:
        raise walk.refusal(node, f"its scale is {form.scale:g}", "use a scale above 0")
    if not value.tensor:
        enter(walk, node, value, form)
        return
    walk.upright(node, value)
    if form.bits == 1 and form.signed:
        _bipolar(walk, node, value, form)
        return
    same = (value.bits, value.signed, value.step) == (form.bits, form.signed, form.scale)
    if value.on_grid and same and not form.narrow:
        walk.give(node, replace(value, owned=False))
        return
    if form.signed and _behind_relu(walk, node):
        bits = form.bits - 1
        walk.notes.append(
            f"{node.name}: {form.bits} bits with a sign behind a ReLU are {bits} without"
        )
        form = replace(form, bits=bits, signed=False, narrow=False)
    stored = {
        "signed": int(form.signed),
        "narrow": int(form.narrow),
        "rounding_mode": form.mode,
    }
    parts = [walk.target.constant(each) for each in (form.scale, 0.0, float(form.bits))]
    tensor = walk.target.node("Quant", [value.tensor, *parts], value.shape, **stored)
    assert form.scale is not None
    found = replace(value, tensor=tensor, bits=form.bits, signed=form.signed, step=form.scale)
    _given(walk, node, value, replace(found, offset=0.0))


def _behind_relu(walk: Walk, node: Any) -> bool:
    before = walk.graph.producers.get(node.input[0])
    return before is not None and before.op_type == "Relu"


def _bipolar(walk: Walk, node: Any, value: Value, form: Quant) -> None:
    assert form.scale is not None
    if value.held:
        raise walk.refusal(node, "behind a ReLU it gives 1 alone", "leave the ReLU out")
    scale = walk.target.constant(form.scale)
    tensor = walk.target.node("BipolarQuant", [value.tensor, scale], value.shape)
    if _fits_a_bit(walk, node.output[0]):
        found = replace(value, bits=1, signed=False, step=2 * form.scale, offset=-form.scale)
    else:
        found = replace(value, bits=2, signed=True, step=form.scale, offset=0.0)
    _given(walk, node, value, replace(found, tensor=tensor))


def sign(walk: Walk, node: Any) -> None:
    """-1, 0 and 1: two bits with a sign."""
    value = walk.value(node)
    if not value.tensor:
        enter(walk, node, value, Quant(2, True, 1.0, narrow=True))
        return
    walk.upright(node, value)
    if value.held:
        raise walk.refusal(node, "behind a ReLU it gives no -1", "leave the ReLU out")
    tensor = walk.target.node("Sign", [value.tensor], value.shape)
    found = replace(value, tensor=tensor, bits=2, signed=True, step=1.0, offset=0.0)
    _given(walk, node, value, found)


def _given(walk: Walk, node: Any, before: Value, value: Value) -> None:
    """The unit of a quantizer: the layer's own where it takes the sums of one and has no sign."""
    name = walk.target.name(node.name)
    own = before.owned and before.layer == before.unit and not value.signed
    own = own and node.output[0] != walk.output and not walk.act_bits.get(before.layer)
    own = own and not _ends(walk, node.output[0])
    kind: UnitKind = "relu" if own else "quant"
    unit = Unit(
        name,
        kind,
        (before.unit,),
        f"act_{name}",
        governor=before.layer if own else "",
        signed=value.signed,
        shape=value.shape,
        width=0 if own else value.bits,
    )
    walk.target.unit(unit)
    if own:
        layer = walk.layers[before.layer]
        walk.layers[before.layer] = replace(layer, activation=True)
        walk.act_bits[before.layer] = value.bits
    owner = before.layer if own else ""
    found = replace(value, unit=name, held=False, layer=owner, owned=own, signs=None, bias=None)
    walk.give(node, found)


def _ends(walk: Walk, tensor: str) -> bool:
    """Does nothing but moves, and what leaves the class as it is, come behind a tensor?"""
    stack = [tensor]
    while stack:
        name = stack.pop()
        for node in walk.graph.consumers[name]:
            if node.op_type not in (*MOVES, *CLASSED):
                return False
            stack += node.output
    return True


def _fits_a_bit(walk: Walk, tensor: str) -> bool:
    """May -1 and 1 be a bit: do layers without padding alone take it?"""
    if tensor == walk.output:
        return False
    for node in walk.graph.consumers[tensor]:
        stored = attributes(node)
        padded = any(stored.get("pads", ())) or stored.get("auto_pad", b"") in SAME
        if padded or node.op_type not in (*LAYERS, *MOVES):
            return False
        if node.op_type in MOVES and not all(_fits_a_bit(walk, out) for out in node.output if out):
            return False
    return True


def enter(walk: Walk, node: Any, value: Value, form: Quant) -> None:
    """The quantizer of the network's input: the integers that the accelerator takes."""
    assert form.scale is not None
    if value.signs is not None or value.unit:
        raise walk.refusal(node, "it takes no input of the network", "correct the file")
    kind = node.op_type if node.op_type == "Sign" else ""
    if form.bits == 1 and form.signed:
        kind, form = "BipolarQuant", replace(form, bits=2, narrow=True)
    if walk.entry is not None and (walk.entry, walk.entry_kind) != (form, kind):
        what = "the input has another quantizer, unlike it"
        raise walk.refusal(node, what, "quantize the input once")
    if walk.entry is None:
        walk.begin = (node.input[0], value)
    walk.give(node, entered(walk, value, form, kind))


def entered(walk: Walk, value: Value, form: Quant, kind: str = "") -> Value:
    """The input behind its quantizer. value: before it, perhaps flattened already."""
    assert form.scale is not None
    first = walk.entry is None
    walk.entry, walk.entry_kind = form, kind
    shape = walk.entry_shape
    signal = len(shape) == 2
    if first:
        stored = {"signed": int(form.signed), "narrow": 0, "rounding_mode": "ROUND"}
        parts = [walk.target.constant(each) for each in (form.scale, 0.0, float(form.bits))]
        tensor = walk.target.node("Quant", ["global_in", *parts], shape, **stored)
        unit = INPUT
        if signal:
            axes = walk.target.constant([2], np.int64)
            tensor = walk.target.node("Unsqueeze", [tensor, axes], (shape[0], 1, shape[1]))
            unit = walk.target.name("unsqueeze")
            walk.target.unit(Unit(unit, "unsqueeze", (INPUT,), shape=(shape[0], 1, shape[1])))
        walk.start = (tensor, unit)
    tensor, unit = walk.start
    found = replace(
        value, tensor=tensor, unit=unit, bits=form.bits, signed=form.signed, step=form.scale,
        offset=0.0, held=False, signs=None,
    )  # fmt: skip
    if value.image:
        found = flattened(walk, replace(found, shape=value.image, order=None, image=()), "flatten")
        found = replace(found, order=value.order)
    return found


def flattened(walk: Walk, value: Value, wanted: str) -> Value:
    """The value behind a Flatten; what is flat stays as it is."""
    if len(value.shape) == 1:
        return value
    count = int(np.prod(value.shape))
    tensor = walk.target.node("Flatten", [value.tensor], (count,), axis=1)
    name = walk.target.name(wanted)
    walk.target.unit(Unit(name, "flatten", (value.unit,), shape=(count,)))
    return value.flat(tensor, name)


SAME = (b"SAME_UPPER", b"SAME_LOWER")
CLASSED = ("Softmax", "LogSoftmax", "ArgMax", "TopK")
"""What may follow the logits: it leaves the class as it is."""
