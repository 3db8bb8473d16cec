"""Pooling, upsampling and padding of images."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from compiler.qonnx.graph import attributes
from compiler.qonnx.value import Value
from compiler.qonnx.walk import Walk, both, pads_itself, same_pads, sides
from hw_targets.network import Unit
from hw_targets.rtl.reduce import Reduce

Four = tuple[int, int, int, int]


def max_pool(walk: Walk, node: Any) -> None:
    value, stored = _image(walk, node), attributes(node)
    planes = len(value.axes) - 1
    if node.op_type == "GlobalMaxPool":
        kernel = stride = (value.shape[1], value.shape[2])
        pads: Four = (0, 0, 0, 0)
    else:
        kernel, stride, pads = _window(walk, node, value, planes)
    if any(step != 1 for step in stored.get("dilations", ())):
        raise walk.refusal(node, "its window is dilated", "leave the dilation out")
    walk.upright(node, value)
    size = _size(value, kernel, stride, pads)
    if any(pads) and (value.signed or not value.on_grid):
        raise walk.refusal(
            node, "it pads values that may be negative", "put a ReLU and its quantizer before it"
        )
    shape = (value.channels, *size)
    options = {"kernel_shape": list(kernel), "strides": list(stride), "pads": list(pads)}
    tensor = walk.target.node("MaxPool", [value.tensor], shape, **options)
    layer = walk.layers.get(value.layer)
    square = len({*kernel, *stride}) == 1 and not any(pads) and kernel[0] > 1
    own = bool(value.owned and layer and layer.activation and layer.pool == 1 and square)
    if own and layer is not None:
        walk.layers[layer.name] = replace(layer, pool=kernel[0])
    name = walk.target.name(node.name)
    numbers = (*kernel, *stride, *pads)
    walk.target.unit(Unit(name, "max", (value.unit,), numbers=numbers, shape=shape))
    found = replace(value, tensor=tensor, unit=name, shape=shape, owned=False)
    walk.give(node, replace(found, layer=value.layer if not value.bits else ""))


def average(walk: Walk, node: Any) -> None:
    """AveragePool, GlobalAveragePool, and ReduceMean over an image."""
    value, stored = _image(walk, node, any_axes=node.op_type == "ReduceMean"), attributes(node)
    value = walk.settled(node, value, shifted=True)
    planes = len(value.axes) - 1
    axes = value.axes
    if node.op_type == "AveragePool":
        kernel, stride, pads = _window(walk, node, value, planes)
        if stored.get("ceil_mode", 0):
            raise walk.refusal(node, "it has ceil_mode", "leave it out")
        if any(pads) and not stored.get("count_include_pad", 0):
            what = "its windows at the border hold fewer pixels"
            raise walk.refusal(node, what, "use count_include_pad=True")
        if pads[:2] != pads[2:] or (any(pads) and value.offset != 0):
            what = "its padding is uneven, or pads values that have no 0"
            raise walk.refusal(node, what, "leave the padding out")
        whole = kernel == value.shape[1:] and not any(pads)
    else:
        kernel, whole = (value.shape[1], value.shape[2]), True
        if node.op_type == "ReduceMean":
            axes = _kept(walk, node, value)
    taps = prod(kernel)
    name = walk.target.name(node.name)
    if whole:
        shape: tuple[int, ...] = (value.channels, 1, 1)
        tensor = walk.target.node("GlobalAveragePool", [value.tensor], shape)
        numbers: tuple[int, ...] = kernel
    else:
        shape = (value.channels, *_size(value, kernel, stride, pads))
        options = {
            "kernel_shape": list(kernel), "strides": list(stride), "pads": list(pads),
            "count_include_pad": 1,
        }  # fmt: skip
        tensor = walk.target.node("AveragePool", [value.tensor], shape, **options)
        numbers = (*kernel, *stride, *pads[:2], 0, 1)
    walk.target.unit(Unit(name, "average", (value.unit,), numbers=numbers, shape=shape))
    bits = Reduce(value.channels, taps, 1, 1, value.bits, value.signed, "sum").out_bits
    assert value.step is not None
    walk.give(
        node,
        replace(
            value, tensor=tensor, unit=name, shape=shape, axes=axes, bits=bits,
            step=value.step / taps, layer="", owned=False,
        ),
    )  # fmt: skip


def resize(walk: Walk, node: Any) -> None:
    """Nearest upsampling by whole numbers, however Resize or Upsample says it."""
    value, stored = _image(walk, node), attributes(node)
    walk.upright(node, value)
    factors = _factors(walk, node, value)
    mode = stored.get("mode", b"nearest")
    form = stored.get("coordinate_transformation_mode", b"half_pixel").decode()
    nearest = stored.get("nearest_mode", b"round_prefer_floor").decode()
    if node.op_type == "Upsample":
        form, nearest = "asymmetric", "floor"
    right = mode == b"nearest" and all(_repeats(factor, form, nearest) for factor in factors)
    if not right:
        raise walk.refusal(
            node, "it is no repetition of pixels by whole numbers", 'use mode="nearest"'
        )
    down, across = 1 if len(value.axes) == 2 else int(factors[0]), int(factors[-1])
    shape = (value.channels, value.shape[1] * down, value.shape[2] * across)
    scales = walk.target.constant([1.0, 1.0, down, across])
    tensor = walk.target.node(
        "Resize", [value.tensor, "", scales], shape, mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )  # fmt: skip
    name = walk.target.name(node.name)
    walk.target.unit(Unit(name, "upsample", (value.unit,), numbers=(down, across), shape=shape))
    walk.give(node, replace(value, tensor=tensor, unit=name, shape=shape, owned=False))


def pad(walk: Walk, node: Any) -> None:
    """Zeros around an image, or beside its channels."""
    value, stored = walk.value(node), attributes(node)
    value = walk.settled(node, value)
    given = walk.constant(node, 1)
    pads = stored.get("pads") if given is None else given.astype(int).reshape(-1).tolist()
    fill = walk.constant(node, 2)
    filled = stored.get("value", 0.0) if fill is None else fill.reshape(-1)[0]
    axes = walk.constant(node, 3)
    ranks = list(range(len(value.axes) + 1)) if axes is None else axes.astype(int).tolist()
    wrong = pads is None or len(pads) != 2 * len(ranks) or min(pads) < 0 or bool(filled)
    if wrong or len(value.shape) != 3 or stored.get("mode", b"constant") != b"constant":
        what = "it does more than to put zeros around an image"
        raise walk.refusal(node, what, "pad with zeros")
    before, after = [0, 0, 0], [0, 0, 0]
    assert pads is not None
    for place, rank in enumerate(ranks):
        rank = rank % (len(value.axes) + 1)
        low, high = int(pads[place]), int(pads[place + len(ranks)])
        if rank == 0:
            if low or high:
                raise walk.refusal(node, "it pads the batch", "pad images alone")
            continue
        before[value.axes[rank - 1]], after[value.axes[rank - 1]] = low, high
    if any((*before[1:], *after[1:])) and (before[0] or after[0]):
        what = "it pads an image and its channels at once"
        raise walk.refusal(node, what, "pad them one after another")
    shape = tuple(b + side + a for b, side, a in zip(before, value.shape, after, strict=True))
    if shape == value.shape:
        walk.give(node, value)
        return
    tensor = walk.target.node(
        "Pad", [value.tensor, walk.target.constant([0, *before, 0, *after], np.int64)], shape
    )
    name = walk.target.name(node.name)
    if before[0] or after[0]:
        unit = Unit(name, "shortcut", (value.unit,), numbers=(1, before[0], after[0]), shape=shape)
    else:
        numbers = (before[1], before[2], after[1], after[2])
        unit = Unit(name, "pad", (value.unit,), numbers=numbers, shape=shape)
    walk.target.unit(unit)
    walk.give(node, replace(value, tensor=tensor, unit=name, shape=shape, layer="", owned=False))


def strided(walk: Walk, node: Any) -> None:
    """x[:, :, ::s, ::s], of signals x[:, :, ::s]: every s-th pixel, as shortcuts have it.

    One node for each axis or for both.
    """
    value, stored = _image(walk, node), attributes(node)
    starts, ends, axes, steps = (walk.constant(node, at) for at in range(1, 5))
    if starts is None or ends is None or "starts" in stored:
        raise walk.refusal(node, "it takes part of a tensor", "use x[:, :, ::s, ::s]")
    ranks = range(len(starts)) if axes is None else [int(at) for at in axes]
    by = [1] * len(starts) if steps is None else [int(step) for step in steps]
    stride, limit = [1, 1], value.file_shape
    for start, end, rank, step in zip(starts, ends, ranks, by, strict=True):
        rank %= len(limit)
        whole = start == 0 and end >= limit[rank] and step >= 1
        if not whole or (step > 1 and (rank == 0 or value.axes[rank - 1] == 0)):
            raise walk.refusal(node, "it takes part of a tensor", "use x[:, :, ::s, ::s]")
        if step > 1:
            stride[value.axes[rank - 1] - 1] = step
    for side in (0, 1):
        if value.shape[1 + side] == 1:  # as rows of a signal: any step takes the one pixel
            stride[side] = max(stride)
    walk.upright(node, value)
    follower = walk.follower(node.output[0])
    if stride == [1, 1]:
        walk.give(node, value)
        return
    if stride[0] == 1 or stride[1] == 1:
        pending = walk.strides.get(node.input[0])
        if pending is None and follower is not None and follower.op_type == "Slice":
            walk.strides[node.output[0]] = stride
            walk.give(node, value)
            return
        if pending is not None:
            stride = [max(pair) for pair in zip(stride, pending, strict=True)]
    if stride[0] != stride[1]:
        raise walk.refusal(node, "it skips rows and columns unevenly", "use x[:, :, ::s, ::s]")
    step = stride[0]
    tensor, shape = value.tensor, value.shape
    for axis in (1, 2):
        shape = (*shape[:axis], -(-shape[axis] // step), *shape[axis + 1 :])
        parts = [walk.target.constant([n], np.int64) for n in (0, 2**31 - 1, axis + 1, step)]
        tensor = walk.target.node("Slice", [tensor, *parts], shape)
    name = walk.target.name(node.name)
    walk.target.unit(Unit(name, "shortcut", (value.unit,), numbers=(step, 0, 0), shape=shape))
    walk.give(node, replace(value, tensor=tensor, unit=name, shape=shape, owned=False))


def _image(walk: Walk, node: Any, any_axes: bool = False) -> Value:
    value = walk.value(node)
    if not value.tensor:
        walk.settled(node, value)
    usual = value.axes in ((0, 1, 2), (0, 2)) or any_axes
    if len(value.shape) != 3 or not usual:
        raise walk.refusal(node, "it takes no image, channels first", "give it one")
    return value


def _window(
    walk: Walk, node: Any, value: Value, planes: int
) -> tuple[tuple[int, int], tuple[int, int], Four]:
    """(kernel, stride, padding) of a pool; `ceil_mode` as padding below and to the right."""
    stored = attributes(node)
    kernel = both(stored["kernel_shape"], 0, planes)
    kernel = kernel if planes == 2 else (1, kernel[1])
    stride = both(stored.get("strides"), 1, planes)
    pads = sides(stored.get("pads"), planes)
    if pads_itself(node):
        top, left, bottom, right = same_pads(
            pads_itself(node), value.shape[1:], kernel, stride, (1, 1)
        )
        pads = (top, left, bottom, right)
    if node.op_type == "MaxPool" and stored.get("ceil_mode", 0):
        pads = (*pads[:2], *_over(value, kernel, stride, pads))
    if min(kernel) < 1 or min(_size(value, kernel, stride, pads)) < 1:
        raise walk.refusal(node, "its window is larger than the image", "pool less")
    return kernel, stride, pads


def _over(
    value: Value, kernel: tuple[int, int], stride: tuple[int, int], pads: Four
) -> tuple[int, int]:
    """Padding below and to the right where the last windows may reach beyond the border."""
    found = []
    for axis in (0, 1):
        size, before, after = value.shape[1 + axis], pads[axis], pads[2 + axis]
        count = -(-(size + before + after - kernel[axis]) // stride[axis]) + 1
        if (count - 1) * stride[axis] >= size + before:
            count -= 1  # a window that begins in the padding is none
        found.append(max(after, (count - 1) * stride[axis] + kernel[axis] - size - before))
    return (found[0], found[1])


def _size(
    value: Value, kernel: tuple[int, int], stride: tuple[int, int], pads: Four
) -> tuple[int, int]:
    height, width = (
        (value.shape[1 + at] + pads[at] + pads[2 + at] - kernel[at]) // stride[at] + 1
        for at in (0, 1)
    )
    return (height, width)


def _kept(walk: Walk, node: Any, value: Value) -> tuple[int, ...]:
    """The file's axes behind a mean over all pixels."""
    stored = attributes(node)
    given = walk.constant(node, 1)
    axes = stored.get("axes") if given is None else given.astype(int).reshape(-1).tolist()
    rank = len(value.axes) + 1
    over = sorted(axis % rank for axis in axes or ())
    wanted = sorted(1 + at for at, axis in enumerate(value.axes) if axis > 0)
    if over != wanted:
        raise walk.refusal(node, "it is no mean over all pixels", "use GlobalAveragePool")
    return value.axes if stored.get("keepdims", 1) else (0,)


def _factors(walk: Walk, node: Any, value: Value) -> list[float]:
    """How often each side of the image comes."""
    sizes = walk.constant(node, 3) if node.op_type == "Resize" else None
    scales = walk.constant(node, 2 if node.op_type == "Resize" and len(node.input) > 2 else 1)
    if scales is None or not scales.size:
        stored = attributes(node).get("scales")
        scales = None if stored is None else np.asarray(stored)
    if sizes is not None and sizes.size:
        scales = sizes / np.asarray(value.file_shape)
    if scales is None or len(scales) != len(value.axes) + 1 or (scales[:2] != 1).any():
        raise walk.refusal(node, "its factors are not told, or scale channels", "scale images")
    return [float(scale) for scale in scales[2:]]


def _repeats(factor: float, form: str, nearest: str) -> bool:
    """Does every pixel come `factor` times? Formulas: the ONNX operator Resize."""
    if factor != int(factor) or factor < 1:
        return False
    x = np.arange(4 * int(factor))
    if form in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        at = (x + 0.5) / factor - 0.5
    elif form == "asymmetric":
        at = x / factor
    else:
        return factor == 1
    roundings = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
    }
    found = roundings.get(nearest)
    return found is not None and bool((np.clip(found, 0, 3) == x // factor).all())
