"""Convolutions and dense layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.qonnx.affine import signs_behind
from compiler.qonnx.graph import attributes
from compiler.qonnx.quants import flattened
from compiler.qonnx.value import Value
from compiler.qonnx.walk import Walk, both, pads_itself, same_pads, sides
from compiler.qonnx.weights import Weights, read_weights
from hw_targets.network import LayerShape, Unit

SPECIAL = "use a scale of 1 for it"


def conv(walk: Walk, node: Any) -> None:
    stored, value = attributes(node), walk.value(node)
    planes = len(value.axes) - 1
    if value.axes not in ((0, 1, 2), (0, 2)) or len(value.shape) != 3:
        if not value.tensor:
            walk.settled(node, value)
        raise walk.refusal(
            node, "it is not a convolution of images or signals, channels first", "use Conv2d"
        )
    weights = read_weights(walk.graph, node, lambda array: array)
    if weights.values.ndim != planes + 2:
        raise walk.refusal(node, "its weights are not those of its image", "use Conv2d")
    if planes == 1:
        weights = replace(weights, values=weights.values[:, :, None])
    outputs, inputs, *kernel_sides = weights.values.shape
    kernel = (kernel_sides[0], kernel_sides[1])
    stride = both(stored.get("strides"), 1, planes)
    dilation = both(stored.get("dilations"), 1, planes)
    groups = int(stored.get("group", 1))
    padding = sides(stored.get("pads"), planes)
    if pads_itself(node):
        padding = same_pads(pads_itself(node), value.shape[1:], kernel, stride, dilation)[:4]  # type: ignore[assignment]
        if planes == 1:
            padding = (0, padding[1], 0, padding[3])
    value = walk.settled(node, value, shifted=not any(padding))
    name = walk.target.name(weights.name or node.name)
    layer = LayerShape(
        name, "conv", value.channels, outputs, (value.shape[1], value.shape[2]), kernel, stride,
        padding, activation=False, groups=groups, dilation=dilation,
    )  # fmt: skip
    if inputs * groups != value.channels or outputs % groups or min(layer.out_size) < 1:
        raise walk.refusal(
            node,
            f"{inputs * groups} channels and a kernel of {kernel[0]} x {kernel[1]} do not fit "
            f"images of {' x '.join(map(str, value.shape))}",
            "correct the file",
        )
    if min(padding) < 0:
        raise walk.refusal(node, "its padding is negative", "cut the image before")
    shape = (outputs, *layer.out_size)
    options = {
        "kernel_shape": list(kernel), "strides": list(stride), "dilations": list(dilation),
        "pads": list(padding), "group": groups,
    }  # fmt: skip
    _layer(walk, node, value, layer, weights, walk.constant(node, 2), shape, "Conv", options)


def dense(walk: Walk, node: Any) -> None:
    stored = attributes(node)
    streams = walk.streams(node)
    if streams == [1]:
        raise walk.refusal(
            node, "its features are the second factor", "put them first, the weights second"
        )
    if streams != [0]:
        for at in streams:
            walk.value(node, at)  # what was refused before is not refused again
        raise walk.refusal(node, "it multiplies activations", "multiply by constants alone")
    value, gemm = walk.value(node), node.op_type == "Gemm"
    turned = bool(gemm and stored.get("transB", 0))
    weights = read_weights(walk.graph, node, lambda a: a if turned or a.ndim < 2 else a.T)
    if (gemm and stored.get("transA", 0)) or weights.values.ndim != 2:
        raise walk.refusal(
            node, "it is not a product of features with a matrix", "use a Linear layer"
        )
    if gemm and stored.get("alpha", 1.0) != 1.0:
        raise walk.refusal(node, "it scales its products by alpha", SPECIAL)
    bias = walk.constant(node, 2)
    if bias is not None:
        bias = bias * np.float32(stored.get("beta", 1.0))
    outputs, inputs = weights.values.shape
    if value.axes[-1] == 0 and value.channels == inputs and value.pixels > 1:
        _pointwise(walk, node, value, weights)
        return
    if value.tensor and len(value.shape) == 3 and value.pixels == 1 and len(value.axes) == 1:
        value = flattened(walk, value, f"{node.name}/flatten")
    if value.tensor and (value.shape != (inputs,) or len(value.axes) != 1):
        raise walk.refusal(
            node,
            f"it takes {inputs} features and gets {' x '.join(map(str, value.file_shape[1:]))}",
            "flatten images before it",
        )
    value = walk.settled(node, value, shifted=True)
    if value.order is not None:
        turned_values = np.empty_like(weights.values)
        turned_values[:, value.order] = weights.values
        weights = replace(weights, values=turned_values)
    name = walk.target.name(weights.name or node.name)
    layer = LayerShape(name, "dense", inputs, outputs, activation=False)
    _layer(walk, node, value, layer, weights, bias, (outputs,), "Gemm", {"transB": 1})


def _pointwise(walk: Walk, node: Any, value: Value, weights: Weights) -> None:
    """A product with the channels of every pixel, which stand last: a convolution of 1 x 1."""
    value = walk.settled(node, value, shifted=True)
    name = walk.target.name(weights.name or node.name)
    outputs, inputs = weights.values.shape
    size = (value.shape[1], value.shape[2])
    layer = LayerShape(name, "conv", inputs, outputs, size, activation=False)
    weights = replace(weights, values=weights.values[:, :, None, None])
    options = {
        "kernel_shape": [1, 1], "strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1,
    }  # fmt: skip
    _layer(walk, node, value, layer, weights, None, (outputs, *size), "Conv", options)


def _layer(
    walk: Walk, node: Any, value: Value, layer: LayerShape, weights: Weights,
    bias: NDArray[Any] | None, shape: tuple[int, ...], kind: str, options: dict[str, Any],
) -> None:  # fmt: skip
    """bias: of every output, or one for all."""
    signs = signs_behind(walk, node.output[0], len(weights.values), layer, value)
    weights = weights.turned(signs)
    if walk.last_layer is node and (weights.scale != weights.scale[0]).any():
        weights = weights.even() or weights
    if weights.bits > 8:
        raise walk.refusal(
            node, "its weights have no opposites of 8 bits", "quantize them narrow, without -128"
        )
    inputs = [value.tensor, walk.target.weights(weights.values, weights.scale, weights.bits)]
    added = None
    if bias is not None:
        flat = np.asarray(bias, np.float64).reshape(-1)
        if flat.size not in (1, len(weights.values)):
            raise walk.refusal(node, "its bias is not one for each output", "correct the file")
        every = np.broadcast_to(flat, len(weights.values))
        added = every * (1 if signs is None else signs)
        inputs.append(walk.target.constant(added))
    tensor = walk.target.node(kind, inputs, shape, **options)
    walk.target.unit(Unit(layer.name, "layer", (value.unit,), shape=shape))
    walk.layers[layer.name] = layer
    walk.weight_bits[layer.name] = weights.bits
    walk.full[layer.name] = value.bits if weights.full else 0
    even = (weights.scale == weights.scale[0]).all()
    assert value.step is not None
    walk.give(
        node,
        Value(
            tensor, layer.name, shape, value.axes if kind == "Conv" else (0,),
            step=value.step * float(weights.scale[0]) if even else None,
            layer=layer.name, owned=True, signs=signs, bias=added,
        ),
    )  # fmt: skip
