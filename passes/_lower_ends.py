"""Convolutions that give the logits, as the dense layers that they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import nn

from passes._graph import pair

if TYPE_CHECKING:
    from passes._lower_ops import Op


def end_in_dense(ops: Sequence[Op]) -> list[Op]:
    """`ops` with a dense layer at the end where a convolution does the same there.

    A 1 x 1 convolution before global average pooling gives what a dense layer gives after it, since
    both are sums; one whose window is its whole input is a dense layer of the flattened input.
    """
    body = [op for op in ops if not isinstance(op.module, nn.Softmax | nn.LogSoftmax)]
    rest = list(ops[len(body) :])
    at_end = not any(op in body for op in rest)  # a softmax is nowhere but at the end
    if not body or not at_end or not isinstance(body[-1].module, nn.Flatten):
        return list(ops)
    by_name = {op.name: op for op in body}
    sources = [source for op in body for source in op.inputs]
    flatten = body[-1]
    conv, pool = by_name.get(flatten.inputs[0]), None
    if conv is not None and isinstance(conv.module, nn.AdaptiveAvgPool2d):
        conv, pool = by_name.get(conv.inputs[0]), conv
    if conv is None or not isinstance(conv.module, nn.Conv2d) or sources.count(conv.name) > 1:
        return list(ops)
    if not _is_dense(conv, conv.module, pooled=pool is not None):
        return list(ops)
    taken, last = conv.in_shape, conv.inputs
    kept = [op for op in body if op not in (conv, pool, flatten)]
    if pool is not None:
        pixel = (conv.in_shape[0], 1, 1)
        kept.append(dataclasses.replace(pool, inputs=last, in_shape=taken, out_shape=pixel))
        taken, last = pixel, (pool.name,)
    size = (prod(taken),)
    kept.append(dataclasses.replace(flatten, inputs=last, in_shape=taken, out_shape=size))
    dense = dataclasses.replace(
        conv,
        module=_dense(conv.module),
        inputs=(flatten.name,),
        in_shape=size,
        out_shape=(conv.module.out_channels,),
    )
    return [*kept, dense, *(_behind(op, flatten, dense) for op in rest)]


def _is_dense(op: Op, conv: nn.Conv2d, *, pooled: bool) -> bool:
    if conv.groups > 1 or isinstance(conv.padding, str) or any(pair(conv.padding)):
        return False
    kernel = pair(conv.kernel_size)
    if pooled:
        return kernel == (1, 1) and pair(conv.stride) == (1, 1)
    return kernel == op.in_shape[1:] and pair(conv.dilation) == (1, 1)


@torch.no_grad()
def _dense(conv: nn.Conv2d) -> nn.Linear:
    weight = conv.weight.flatten(1)
    dense = nn.Linear(weight.shape[1], len(weight), bias=conv.bias is not None)
    dense.weight.copy_(weight)
    if conv.bias is not None:
        dense.bias.copy_(conv.bias)
    return dense


def _behind(op: Op, flatten: Op, dense: Op) -> Op:
    """A softmax behind the dense layer instead of the flatten."""
    inputs = tuple(dense.name if source == flatten.name else source for source in op.inputs)
    return dataclasses.replace(op, inputs=inputs)
