"""Scaling and shifting by constants, ReLUs and clips: what thresholds take in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.qonnx.graph import PASSED, attributes
from compiler.qonnx.value import Value
from compiler.qonnx.walk import SCALES, Walk
from hw_targets.network import LayerShape

Float64 = NDArray[np.float64]
_UNUSABLE = "it scales by a number that is not above 0"


def affine(walk: Walk, node: Any) -> None:
    """Add, Sub, Mul, Div, Neg of one stream and constants; BatchNormalization."""
    (at,) = walk.streams(node)[:1]
    value = walk.value(node, at)
    if not value.tensor:
        _before(walk, node, value)
        return
    if node.op_type == "BatchNormalization":
        _norm(walk, node, value)
        return
    factor, shift = _parts(walk, node, value, at)
    signs = np.ones(1) if value.signs is None else value.signs
    result = value
    if factor is not None:
        if (factor == 0).any():
            raise walk.refusal(node, "it scales by 0", "leave out the channels that it makes 0")
        turned = np.sign(factor)
        size = np.abs(factor)
        if (turned < 0).any() and value.held:
            raise walk.refusal(node, _UNUSABLE, "put it before the ReLU")
        if not (size == 1).all():
            kind = "Div" if node.op_type == "Div" else "Mul"
            constant = walk.target.constant(value.spread(size))
            result = replace(
                result, tensor=walk.target.node(kind, [result.tensor, constant], value.shape)
            )
            result = _scaled(result, 1 / size if kind == "Div" else size)
        signs = signs * turned
    if shift is not None:
        constant = walk.target.constant(value.spread(_all(shift * signs)))
        tensor = walk.target.node("Add", [result.tensor, constant], value.shape)
        result = _shifted(replace(result, tensor=tensor), shift * signs)
    walk.give(node, replace(result, signs=signs if (signs < 0).any() else None))


def relu(walk: Walk, node: Any) -> None:
    value = walk.value(node)
    if not value.tensor:
        _before(walk, node, value)
        return
    walk.upright(node, value)
    if value.on_grid and not value.signed:
        walk.give(node, value)
        return
    tensor = walk.target.node("Relu", [value.tensor], value.shape)
    walk.give(node, replace(value, tensor=tensor, held=True))


def clip(walk: Walk, node: Any) -> None:
    value, stored = walk.value(node), attributes(node)
    if not value.tensor:
        _before(walk, node, value)
        return
    walk.upright(node, value)
    bounds = []
    for index, name in ((1, "min"), (2, "max")):
        bound = walk.constant(node, index)
        found = stored.get(name) if bound is None else float(bound.reshape(-1)[0])
        bounds.append("" if found is None else walk.target.constant(found))
    tensor = walk.target.node("Clip", [value.tensor, *bounds], value.shape)
    # Its bounds need be no multiples of the step: a quantizer has to follow.
    offset = None if value.bits else value.offset
    walk.give(node, replace(value, tensor=tensor, held=True, offset=offset))


def signs_behind(
    walk: Walk, tensor: str, outputs: int, layer: LayerShape, value: Value
) -> Float64 | None:
    """(outputs,) -1 where what follows a layer alone scales its output by a negative number.

    A layer gives the opposite there, so that what is scaled by is above 0. None: nowhere.
    """
    like = Value("", "", (outputs, *layer.out_size) if layer.kind == "conv" else (outputs,),
                 value.axes if layer.kind == "conv" else (0,))  # fmt: skip
    signs = np.ones(outputs)
    node = walk.follower(tensor)
    while node is not None and node.op_type in (*SCALES, *PASSED, "Transpose"):
        if node.op_type in PASSED:
            pass
        elif node.op_type == "Transpose":
            perm = attributes(node).get("perm", range(len(like.axes), -1, -1))
            like = replace(like, axes=tuple(like.axes[at - 1] for at in list(perm)[1:]))
        elif len(walk.streams(node)) != 1:
            break
        elif node.op_type == "BatchNormalization":
            gain = walk.constant(node, 1)
            if gain is not None:
                signs = signs * np.where(gain.reshape(-1) < 0, -1.0, 1.0)
        else:
            factor, _ = _parts(walk, node, like, walk.streams(node)[0])
            if factor is not None:
                signs = signs * np.where(factor < 0, -1.0, 1.0)
        node = walk.follower(node.output[0])
    return signs if (signs < 0).any() else None


def _parts(walk: Walk, node: Any, value: Value, at: int) -> tuple[Float64 | None, Float64 | None]:
    """(factor, shift) by channel of a node of one stream, its input `at`; of Div the divisor."""
    if node.op_type == "Neg":
        return np.array([-1.0]), None
    constant = walk.constant(node, 1 - at)
    if constant is None:
        raise walk.refusal(node, "its constant is not told", "run qonnx-cleanup on the file first")
    try:
        found = value.by_channel(constant)
    except ValueError:
        found = None
    if found is None:
        what = "its constant differs from pixel to pixel, or within a flattened channel"
        raise walk.refusal(node, what, "use one constant for each channel, before flattening")
    if not np.isfinite(found).all():
        raise walk.refusal(node, "its constant is not finite", "correct the file")
    if node.op_type in ("Mul", "Div"):
        if node.op_type == "Div" and at == 1:
            raise walk.refusal(node, "it divides by activations", "multiply by a constant")
        return found, None
    if node.op_type == "Add":
        return None, found
    return (None, -found) if at == 0 else (np.array([-1.0]), found)


def _norm(walk: Walk, node: Any, value: Value) -> None:
    moments = [walk.constant(node, at) for at in range(1, 5)]
    if value.axes[:1] != (0,) or any(each is None for each in moments) or value.order is not None:
        raise walk.refusal(
            node, "its moments are not constants of each channel", "export in evaluation mode"
        )
    gain, shift, mean, variance = (np.asarray(each, np.float64).reshape(-1) for each in moments)
    channels = value.image[0] if value.image else value.channels
    if value.image and value.pixels * value.channels != channels:
        raise walk.refusal(node, "it norms a flattened image", "put it before the flatten")
    if any(len(each) != channels for each in (gain, shift, mean, variance)):
        raise walk.refusal(node, f"its moments are not those of {channels} channels", "correct it")
    epsilon = attributes(node).get("epsilon", 1e-5)
    if (gain == 0).any() or (variance + epsilon <= 0).any():
        raise walk.refusal(node, "it scales by 0", "leave out the channels that it makes 0")
    signs = np.ones(channels) if value.signs is None else np.broadcast_to(value.signs, channels)
    after = signs * np.sign(gain)
    if value.held and (after < 0).any():
        raise walk.refusal(node, _UNUSABLE, "put it before the ReLU")
    moved = (np.abs(gain), shift * after, mean * signs, variance)
    constants = [walk.target.constant(each) for each in moved]
    tensor = walk.target.node(
        "BatchNormalization", [value.tensor, *constants], value.shape, epsilon=epsilon
    )
    factor = np.abs(gain) / np.sqrt(variance + epsilon)
    result = _scaled(replace(value, tensor=tensor), factor)
    result = _shifted(result, moved[1] - moved[2] * factor)
    walk.give(node, replace(result, signs=after if (after < 0).any() else None))


def _before(walk: Walk, node: Any, value: Value) -> None:
    """What stands before the input's quantizer is the host's."""
    walk.before.append(node.name)
    walk.give(node, value)


def _scaled(value: Value, factor: Float64) -> Value:
    even = value.step is not None and bool((factor == factor[0]).all())
    step = value.step * float(factor[0]) if even and value.step is not None else None
    offset = value.offset
    if offset is not None and offset != 0:
        offset = offset * float(factor[0]) if even else None
    bias = None if value.bias is None else value.bias * factor
    return replace(value, step=step, offset=offset, bias=bias)


def _shifted(value: Value, shift: Float64) -> Value:
    value = replace(value, bias=shift if value.bias is None else value.bias + shift)
    if value.offset is None or not (shift == shift[0]).all():
        return replace(value, offset=None)
    return replace(value, offset=value.offset + float(shift[0]))


def _all(values: Float64) -> Float64:
    """One of values that are all the same, or all."""
    return values[:1] if (values == values[0]).all() else values
