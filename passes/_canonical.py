"""Operations in any order a user may write them, as blocks in the one order hardware has.

A block is a Conv2d or Linear with batch norm folded in, then ReLU, then MaxPool2d, then Flatten.
ReLU, max pooling and flatten commute, so their order inside a block is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from passes._graph import pair
from passes._lower_names import mend_for
from passes._lower_ops import Op, Problem
from passes._modules import ClippedReLU


@dataclass
class Block:
    """One layer with weights and what follows it up to the next one."""

    layer: Op
    norms: list[Op] = field(default_factory=list)
    relus: list[Op] = field(default_factory=list)
    pools: list[Op] = field(default_factory=list)
    flatten: Op | None = None


@dataclass
class Chain:
    """first: a flatten before any layer. tail: a softmax that ends the network."""

    first: Op | None = None
    blocks: list[Block] = field(default_factory=list)
    tail: Op | None = None
    problems: list[Problem] = field(default_factory=list)


def arrange(ops: Sequence[Op], regression: bool = False) -> Chain:
    """Groups `ops` into blocks and checks every one of them against what hardware computes.

    regression: the outputs themselves are the answer, see `check_end`.
    """
    chain = Chain()
    for op in ops:
        if chain.tail is not None:
            chain.problems.append(_problem(chain.tail, "it is not at the end"))
            chain.tail = None
        _place(op, chain)
    _check_ends(chain, regression)
    return chain


def _place(op: Op, chain: Chain) -> None:
    module = op.module
    block = chain.blocks[-1] if chain.blocks else None
    if isinstance(module, nn.Conv2d | nn.Linear):
        chain.problems += _check_layer(op)
        if block is not None and not block.relus:
            chain.problems.append(
                _problem(block.layer, "no ReLU before the next layer", "add one or merge the two")
            )
        chain.blocks.append(Block(op))
    elif isinstance(module, nn.Softmax | nn.LogSoftmax):
        chain.tail = op
        if module.dim not in (None, 1, -1):
            chain.problems.append(_problem(op, f"it is over axis {module.dim}", "use axis 1"))
    elif block is None:
        if isinstance(module, nn.Flatten):
            chain.first = op
        else:
            chain.problems.append(
                _problem(op, "it is before the first layer", "do it in the data set")
            )
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        _place_norm(op, block, chain)
    elif isinstance(module, nn.ReLU):
        block.relus.append(op)
    elif isinstance(module, nn.MaxPool2d):
        chain.problems += _check_pool(op)
        block.pools.append(op)
    elif isinstance(module, nn.Flatten):
        block.flatten = op


def _place_norm(op: Op, block: Block, chain: Chain) -> None:
    if block.relus or block.pools or block.flatten is not None:
        mend = "put it directly after the Conv2d or Linear"
        chain.problems.append(_problem(op, "it does not follow a layer with weights", mend))
    else:
        chain.problems += check_norm(op)
        block.norms.append(op)


def check_norm(op: Op) -> list[Problem]:
    """A batch norm without running statistics cannot be folded."""
    if getattr(op.module, "running_mean", None) is not None:
        return []
    mend = "use track_running_stats=True and retrain"
    return [_problem(op, "it has no running statistics", mend)]


def _check_layer(op: Op) -> list[Problem]:
    if isinstance(op.module, nn.Linear):
        if len(op.in_shape) == 1:
            return []
        return [_problem(op, f"it is applied to {op.in_shape}", "put a Flatten before it")]
    assert isinstance(op.module, nn.Conv2d)
    conv, found = op.module, []
    if conv.groups > 1:
        kind = "depthwise" if conv.groups == conv.in_channels else "grouped"
        found.append(_problem(op, f"{kind} convolutions have no kernel", "use groups=1"))
    if conv.dilation != (1, 1):
        found.append(_problem(op, "dilation has no kernel", "use dilation=1"))
    if conv.padding_mode != "zeros":
        found.append(_problem(op, f"padding with {conv.padding_mode} has no kernel", "use zeros"))
    return found


def check_max(op: Op) -> list[Problem]:
    """Max pooling that gives values, of windows without holes."""
    assert isinstance(op.module, nn.MaxPool2d)
    pool, found = op.module, []
    if pair(pool.dilation) != (1, 1):
        found.append(_problem(op, "dilation has no kernel", "use dilation=1"))
    if pool.return_indices:
        found.append(_problem(op, "indices have no use here", "use return_indices=False"))
    return found


def _check_pool(op: Op) -> list[Problem]:
    """Max pooling with whole, square windows beside each other."""
    assert isinstance(op.module, nn.MaxPool2d)
    pool, found = op.module, check_max(op)
    kernel, stride = pair(pool.kernel_size), pair(pool.stride)
    if kernel != stride or kernel[0] != kernel[1]:
        reason = f"kernel {kernel} with stride {stride} has no kernel in hardware"
        found.append(_problem(op, reason, "use a square window with kernel equal to stride"))
    if pair(pool.padding) != (0, 0):
        found.append(_problem(op, "padding has no kernel", "leave it out"))
    if pool.ceil_mode and any(
        size % side for size, side in zip(op.in_shape[-2:], kernel, strict=True)
    ):
        found.append(_problem(op, "ceil_mode has no kernel", "use ceil_mode=False"))
    return found


def _check_ends(chain: Chain, regression: bool) -> None:
    if not chain.blocks:
        if not chain.problems:
            mend = "give a network that ends in Linear"
            chain.problems.append(Problem("forward", "network", "it has no layers", mend))
        return
    last = chain.blocks[-1]
    found = check_end(last.layer, regression)
    behind = [*last.relus, *last.pools, *([last.flatten] if last.flatten else [])]
    if not found and regression:
        found = [_problem(op, "it is behind the last layer", OUTPUTS) for op in behind]
    elif not found and last.relus:
        found = [_problem(last.relus[0], "it is applied to the logits", "leave it out")]
    if chain.tail is not None and regression:
        found.append(_problem(chain.tail, "it changes the outputs", OUTPUTS))
    chain.problems += found


OUTPUTS = "end with the Conv2d or Linear whose outputs are the answer"
"""What is asked of a regression."""


def check_end(op: Op, regression: bool) -> list[Problem]:
    """Classes come from a Linear; the outputs of a regression from a Conv2d as well."""
    if isinstance(op.module, nn.Linear) or (regression and isinstance(op.module, nn.Conv2d)):
        return []
    if regression:
        return [_problem(op, "it gives the outputs", OUTPUTS)]
    return [_problem(op, "it gives the logits", "end with a Linear")]


def _problem(op: Op, reason: str, mend: str | None = None) -> Problem:
    kind = type(op.module).__name__
    return Problem(op.name, kind, reason, mend or mend_for(kind))


def steps(chain: Chain) -> list[tuple[str, nn.Module]]:
    """The modules of a chain without problems in canonical order, batch norms folded."""
    result: list[tuple[str, nn.Module]] = []
    if chain.first is not None:
        result.append((chain.first.name, chain.first.module))
    for block in chain.blocks:
        result.append((block.layer.name, folded(block)))
        if block.relus:
            limits = [op.module.limit for op in block.relus if isinstance(op.module, ClippedReLU)]
            relu = ClippedReLU(min(limits)) if limits else nn.ReLU()
            result.append((block.relus[0].name, relu))
        if block.pools:
            # Pooling by 2 and by 2 again is pooling by 4: windows and dropped borders agree.
            side = 1
            for pool in block.pools:
                assert isinstance(pool.module, nn.MaxPool2d)
                side *= pair(pool.module.kernel_size)[0]
            if side > 1:
                result.append((block.pools[0].name, nn.MaxPool2d(side)))
        if block.flatten is not None:
            result.append((block.flatten.name, nn.Flatten()))
    return result


@torch.no_grad()
def folded(block: Block) -> nn.Conv2d | nn.Linear:
    """The block's layer, always with a bias, its batch norms multiplied in (in double)."""
    source = block.layer.module
    assert isinstance(source, nn.Conv2d | nn.Linear)
    weight = source.weight.double()
    bias = torch.zeros(len(weight)).double() if source.bias is None else source.bias.double()
    for op in block.norms:
        gain, shift = gain_and_shift(op.module)
        weight = weight * gain.reshape(-1, *[1] * (weight.dim() - 1))
        bias = bias * gain + shift
    result = _empty_like(source)
    result.weight.copy_(weight)
    assert result.bias is not None
    result.bias.copy_(bias)
    return result


@torch.no_grad()
def gain_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies each channel with and then adds, in double."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # An affine-free norm has neither weight nor bias, which torch's types do not tell.
    weight: Tensor | None = norm.weight
    bias: Tensor | None = norm.bias
    gain = (norm.running_var.double() + norm.eps).rsqrt()
    gain = gain if weight is None else gain * weight.double()
    shift = -norm.running_mean.double() * gain
    return gain, shift if bias is None else shift + bias.double()


def _empty_like(source: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    if isinstance(source, nn.Linear):
        return nn.Linear(source.in_features, source.out_features)
    sizes = (source.kernel_size, source.stride, source.padding, source.dilation)
    kernel, stride, padding, dilation = map(pair, sizes)
    channels = source.in_channels, source.out_channels
    return nn.Conv2d(*channels, kernel, stride, padding, dilation, source.groups)
