"""What joins branches, and what turns, flattens or passes tensors on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from compiler.qonnx.affine import affine
from compiler.qonnx.graph import attributes
from compiler.qonnx.quants import flattened
from compiler.qonnx.value import Value
from compiler.qonnx.walk import MOST_BITS, Walk
from hw_targets.network import Unit

SAME_STEP = 1e-9


def added(walk: Walk, node: Any) -> None:
    """A constant, or another branch."""
    if len(walk.streams(node)) < 2:
        affine(walk, node)
        return
    left, right = _arms(walk, node, shifted=True)
    tensor = walk.target.node("Add", [left.tensor, right.tensor], left.shape)
    name = walk.target.name(node.name)
    walk.target.unit(Unit(name, "add", (left.unit, right.unit), shape=left.shape))
    offset = None
    if left.offset is not None and right.offset is not None:
        offset = left.offset + right.offset
    walk.give(
        node,
        replace(
            left, tensor=tensor, unit=name, bits=left.bits + 1, offset=offset, layer="", owned=False
        ),
    )


def scaled(walk: Walk, node: Any) -> None:
    if len(walk.streams(node)) > 1:
        joins = "subtracts" if node.op_type == "Sub" else "multiplies"
        mend = "add branches, and scale by constants alone"
        raise walk.refusal(node, f"it {joins} activations", mend)
    affine(walk, node)


def concat(walk: Walk, node: Any) -> None:
    if len(walk.streams(node)) != len(node.input):
        raise walk.refusal(node, "it joins a constant", "concatenate branches alone")
    if len(node.input) == 1:
        walk.give(node, walk.value(node))
        return
    parts = _arms(walk, node, shifted=False)
    axis = attributes(node)["axis"] % (len(parts[0].axes) + 1)
    if axis == 0 or parts[0].axes[axis - 1] != 0:
        raise walk.refusal(node, "it is not along the channels", "use axis 1")
    if any(part.image and prod(part.image[1:]) > 1 for part in parts):
        what = "it joins flattened images"
        raise walk.refusal(node, what, "concatenate before the flatten")
    shape = (sum(part.channels for part in parts), *parts[0].shape[1:])
    tensor = walk.target.node("Concat", [part.tensor for part in parts], shape, axis=1)
    name = walk.target.name(node.name)
    walk.target.unit(Unit(name, "concat", tuple(part.unit for part in parts), shape=shape))
    found = replace(parts[0], tensor=tensor, unit=name, shape=shape, layer="", owned=False)
    walk.give(node, replace(found, image=()))


def _arms(walk: Walk, node: Any, shifted: bool) -> list[Value]:
    """What a join takes, as integers of one step and one format."""
    parts = [walk.settled(node, walk.value(node, at), shifted) for at in range(len(node.input))]
    first = parts[0]
    for part in parts[1:]:
        shapes = (first.shape, part.shape) if node.op_type == "Add" else (
            first.shape[1:], part.shape[1:])  # fmt: skip
        turned = part.axes != first.axes or not _same_order(part, first)
        if shapes[0] != shapes[1] or turned:
            raise walk.refusal(node, "its arms differ in shape or order", "give it arms alike")
    steps = [part.step for part in parts if part.step is not None]
    step = min(steps)
    ratios = [each / step for each in steps]
    whole = [round(ratio) for ratio in ratios]
    if any(abs(r - w) > SAME_STEP * w for r, w in zip(ratios, whole, strict=True)):
        raise walk.refusal(
            node,
            f"its arms have scales of {' and '.join(f'{each:.6g}' for each in steps)}",
            "quantize all arms with one scale",
        )
    signed = any(part.signed for part in parts)
    needed = [
        part.bits + (signed and not part.signed) + (ratio - 1).bit_length()
        for part, ratio in zip(parts, whole, strict=True)
    ]
    bits = max(needed)
    if bits > MOST_BITS and any(
        (part.bits, part.signed) != (bits, signed) or ratio > 1
        for part, ratio in zip(parts, whole, strict=True)
    ):
        what = f"its arms take {bits} bits in one format"
        raise walk.refusal(node, what, "quantize all arms with one scale and one width")
    found = []
    for at, (part, ratio) in enumerate(zip(parts, whole, strict=True)):
        if (part.bits, part.signed) != (bits, signed) or ratio > 1:
            if part.offset != 0:
                what = "its arms differ in format, and one of them is shifted"
                raise walk.refusal(node, what, "quantize all arms alike")
            part = walk.requantized(f"{node.name}/{at}", part, bits, signed, step)
        found.append(part)
    return found


def _same_order(one: Value, other: Value) -> bool:
    if one.order is None or other.order is None:
        return one.order is other.order
    return bool((one.order == other.order).all())


def transpose(walk: Walk, node: Any) -> None:
    value = walk.value(node)
    rank = len(value.axes) + 1
    perm = [int(at) for at in attributes(node).get("perm", range(rank - 1, -1, -1))]
    if len(perm) != rank or perm[0] != 0:
        raise walk.refusal(node, "it moves the batch", "leave it out")
    walk.give(node, replace(value, axes=tuple(value.axes[at - 1] for at in perm[1:])))


def reshape(walk: Walk, node: Any) -> None:
    """Flatten, Reshape, Squeeze and Unsqueeze: flattening, or sides of one that come and go."""
    value = walk.value(node)
    target = _wanted(walk, node, value)
    old = value.file_shape
    if target[0] != 1 or prod(target) != prod(old):
        what = f"it makes {' x '.join(map(str, target))} of {' x '.join(map(str, old))}"
        raise walk.refusal(node, what, "flatten everything but the batch")
    if target == old:
        walk.give(node, value)
        return
    if len(target) == 2:
        if not value.tensor:
            walk.give(node, value.flat("", ""))
        else:
            walk.upright(node, value)
            walk.give(node, flattened(walk, value, node.name))
        return
    if [n for n in target if n > 1] != [n for n in old if n > 1] or len(value.shape) == 1:
        what = f"it makes {' x '.join(map(str, target))} of {' x '.join(map(str, old))}"
        raise walk.refusal(node, what, "flatten, or keep the image")
    walk.give(node, replace(value, axes=_axes(walk, node, value, target[1:])))


def _wanted(walk: Walk, node: Any, value: Value) -> tuple[int, ...]:
    """The file's shape behind a node, batch of one included."""
    stored, old = attributes(node), value.file_shape
    given = walk.constant(node, 1)
    if node.op_type == "Flatten":
        axis = stored.get("axis", 1) % (len(old) + 1)
        return (prod(old[:axis]), prod(old[axis:]))
    if node.op_type == "Reshape":
        if given is None:
            given_attribute = stored.get("shape")
            if given_attribute is None:
                raise walk.refusal(node, "its shape is not told", "give a constant shape")
            target = [int(n) for n in given_attribute]
        else:
            target = [int(n) for n in given.reshape(-1)]
        if not stored.get("allowzero", 0):
            target = [old[at] if n == 0 and at < len(old) else n for at, n in enumerate(target)]
        rest = prod(n for n in target if n != -1)
        if target.count(-1) == 1 and rest and prod(old) % rest == 0:
            target[target.index(-1)] = prod(old) // rest
        batch = walk.batch
        if batch > 1 and target and target[0] == batch:
            target[0] = 1
        elif batch > 1 and prod(target) == prod(old) and target[0] != 1:
            target = [1, *target[1:]]
        return tuple(target)
    listed = stored.get("axes") if given is None else [int(n) for n in given.reshape(-1)]
    if node.op_type == "Squeeze":
        if listed is None:
            listed = [at for at, n in enumerate(old) if at and n == 1]
        gone = {axis % len(old) for axis in listed}
        if 0 in gone or any(old[axis] != 1 for axis in gone):
            raise walk.refusal(node, "it leaves out the batch", "name the axes of images")
        return tuple(n for at, n in enumerate(old) if at not in gone)
    rank = len(old) + len(listed or ())
    new = sorted(axis % rank for axis in listed or ())
    sizes = list(old)
    for axis in new:
        sizes.insert(axis, 1)
    return tuple(sizes)


def _axes(walk: Walk, node: Any, value: Value, target: Sequence[int]) -> tuple[int, ...]:
    """Which axis each side is, where only sides of one have come or gone."""
    free = [at for at, n in enumerate(value.shape) if n == 1]
    solid = iter([axis for axis in value.axes if value.shape[axis] > 1])
    axes: list[int] = []
    for n in target:
        if n > 1:
            axes.append(next(solid))
        elif free:
            # A side of one goes where images have it: the channels' first, then rows.
            axes.append(free.pop(0))
        else:
            raise walk.refusal(node, "it has more sides than an image", "keep the image")
    return tuple(axes)


def same(walk: Walk, node: Any) -> None:
    walk.give(node, walk.value(node))


def cast(walk: Walk, node: Any) -> None:
    """To floats, which they are."""
    if attributes(node).get("to") not in (1, 11):
        raise walk.refusal(node, "it casts to another type than floats", "leave it out")
    same(walk, node)
