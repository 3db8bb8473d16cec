"""Zero padding, wherever a network has it, as a convolution's own or as a step before it.

`nn.Conv2d` pads opposite sides alike. What does not stays a `Pad` step, and the convolution behind
it then has no padding of its own.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from passes._graph import pair
from passes._modules import Pad

if TYPE_CHECKING:
    from passes._lower_ops import Op

Sides = tuple[int, int, int, int]
"""(top, left, bottom, right)"""


def sides_of(sizes: Sequence[int], rank: int) -> Sides:
    """Padding of pixels as `F.pad` takes it, the last axis first; rank: axes without the batch."""
    left, right, top, bottom = [*sizes[: 2 * (rank - 1)], 0, 0, 0, 0][:4]
    return (top, left, bottom, right)


def fold_pads(ops: Sequence[Op], name: Callable[[str], str]) -> list[Op]:
    """Every convolution with all the padding before it in numbers: its own, or a `Pad` step.

    name: makes a free name of a wish.
    """
    pads = {op.name: op for op in ops if isinstance(op.module, Pad)}
    result: list[Op] = []
    for op in ops:
        if isinstance(op.module, nn.Conv2d) and op.module.padding_mode == "zeros":
            result += _padded(op, op.module, pads.get(op.inputs[0]), name)
        else:
            result.append(op)
    used = {source for op in result for source in op.inputs}
    return [op for op in result if op.name not in pads or op.name in used or op is result[-1]]


def _padded(op: Op, conv: nn.Conv2d, pad: Op | None, name: Callable[[str], str]) -> list[Op]:
    own = _own_sides(conv)
    before = pad.module.sides if pad is not None and isinstance(pad.module, Pad) else (0,) * 4
    top, left, bottom, right = (one + other for one, other in zip(own, before, strict=True))
    # Its parameters stay those of the network's module; only the padding is another.
    plain = copy.copy(conv)
    if (top, left) == (bottom, right):
        plain.padding = (top, left)
        source = op if pad is None else pad
        return [
            dataclasses.replace(op, module=plain, inputs=source.inputs, in_shape=source.in_shape)
        ]
    plain.padding = (0, 0)
    if pad is not None and not any(own):
        return [dataclasses.replace(op, module=plain)]
    source = op if pad is None else pad
    channels, height, width = source.in_shape
    padded = (channels, top + height + bottom, left + width + right)
    step = dataclasses.replace(
        source,
        name=name(f"{op.name}_pad"),
        module=Pad(top, left, bottom, right),
        inputs=source.inputs,
        out_shape=padded,
    )
    return [step, dataclasses.replace(op, module=plain, inputs=(step.name,), in_shape=padded)]


def _own_sides(conv: nn.Conv2d) -> Sides:
    if conv.padding == "valid":
        return (0, 0, 0, 0)
    if conv.padding == "same":
        sizes = zip(pair(conv.kernel_size), pair(conv.dilation), strict=True)
        height, width = (apart * (size - 1) for size, apart in sizes)
        return (height // 2, width // 2, height - height // 2, width - width // 2)
    top, left = pair(conv.padding)
    return (top, left, top, left)
