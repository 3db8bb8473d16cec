"""Operations of a network that branches and joins, in the form all later passes take.

Batch norms are folded into the layer before them; everything else keeps its place. What hardware
has no kernels for yet (adds, concatenations, average pooling, groups) is kept: such networks are
attributed, pruned, quantized, retrained and exported.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from passes._canonical import (
    OUTPUTS,
    Block,
    check_end,
    check_max,
    check_norm,
    folded,
    gain_and_shift,
)
from passes._graph import Step
from passes._lower_names import mend_for
from passes._lower_ops import Op, Problem


@dataclass
class Branches:
    """steps: empty where there are problems. tail: a softmax that ends the network.

    misplaced: problems of operations with those before them, which mean nothing where some are
    missing; problems: all others.
    """

    steps: list[Step] = field(default_factory=list)
    blocks: dict[str, Block] = field(default_factory=dict)
    tail: Op | None = None
    problems: list[Problem] = field(default_factory=list)
    misplaced: list[Problem] = field(default_factory=list)


def arrange(ops: Sequence[Op], regression: bool = False) -> Branches:
    """Folds batch norms and checks every operation against what the passes can do.

    regression: the outputs themselves are the answer, see `check_end`.
    """
    result = Branches()
    body = list(ops)
    if body and isinstance(body[-1].module, nn.Softmax | nn.LogSoftmax):
        result.tail = body.pop()
        if regression:
            result.problems.append(_problem(result.tail, "it changes the outputs", OUTPUTS))
    users: dict[str, list[Op]] = defaultdict(list)
    for op in body:
        for source in op.inputs:
            users[source].append(op)
    stands_for: dict[str, str] = {}
    ahead: dict[str, nn.Module] = {}  # norms that the dense layers behind them take in
    for op in body:
        inputs = tuple(stands_for.get(source, source) for source in op.inputs)
        if isinstance(op.module, nn.BatchNorm1d | nn.BatchNorm2d):
            block = result.blocks.get(inputs[0])
            unfit = check_norm(op)
            result.problems += unfit
            if block is not None and len(users[op.inputs[0]]) == 1:
                block.norms.append(op)
                stands_for[op.name] = block.layer.name
                continue
            if unfit:
                continue
            if len(op.in_shape) == 3:
                op = dataclasses.replace(op, module=_alone(op.module))
            elif users[op.name] and all(isinstance(u.module, nn.Linear) for u in users[op.name]):
                ahead[op.name] = op.module
                stands_for[op.name] = inputs[0]
                continue
            else:
                mend = "put it directly after the Conv2d or Linear"
                result.misplaced.append(_problem(op, "it does not follow a layer alone", mend))
                continue
        result.problems += _check(op)
        if isinstance(op.module, nn.Linear) and op.inputs[0] in ahead:
            op = dataclasses.replace(op, module=_taken_in(ahead[op.inputs[0]], op.module))
        if isinstance(op.module, nn.Conv2d | nn.Linear):
            result.blocks[op.name] = Block(op)
        result.steps.append(Step(op.name, op.module, inputs))
    result.misplaced += _check_flow(result.steps, {op.name: op for op in body}, regression)
    if result.problems or result.misplaced:
        result.steps = []
    else:
        result.steps = [
            Step(s.name, folded(result.blocks[s.name]) if s.name in result.blocks else s.module,
                 s.inputs)
            for s in result.steps
        ]  # fmt: skip
    return result


def _alone(norm: nn.Module) -> nn.Conv2d:
    """A norm that no layer is before, as a layer of its own: each channel times a number."""
    gain, shift = gain_and_shift(norm)
    count = len(gain)
    conv = nn.Conv2d(count, count, 1, groups=count)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.copy_(gain.reshape(-1, 1, 1, 1))
        conv.bias.copy_(shift)
    return conv


@torch.no_grad()
def _taken_in(norm: nn.Module, layer: nn.Linear) -> nn.Linear:
    """The layer on what the norm takes."""
    gain, shift = gain_and_shift(norm)
    weight = layer.weight.double()
    bias = 0.0 if layer.bias is None else layer.bias.double()
    result = nn.Linear(layer.in_features, layer.out_features)
    result.weight.copy_(weight * gain)
    result.bias.copy_(weight @ shift + bias)
    return result


def _check(op: Op) -> list[Problem]:
    module = op.module
    if isinstance(module, nn.Linear) and len(op.in_shape) != 1:
        return [_problem(op, f"it is applied to {op.in_shape}", "put a Flatten before it")]
    if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
        return [_problem(op, f"padding with {module.padding_mode} has no kernel", "use zeros")]
    if isinstance(module, nn.MaxPool2d):
        return check_max(op)
    if isinstance(module, nn.AvgPool2d):
        return _check_average(op, module)
    if isinstance(module, nn.Softmax | nn.LogSoftmax):
        return [_problem(op, "it is not at the end", None)]
    return []


def _check_average(op: Op, pool: nn.AvgPool2d) -> list[Problem]:
    """What an average is divided by must be the number of its values."""
    if pool.divisor_override is not None:
        return [_problem(op, "divisor_override has no kernel", "leave it out")]
    if pool.ceil_mode:
        return [_problem(op, "ceil_mode has no kernel", "use ceil_mode=False")]
    return []


def _check_flow(steps: Sequence[Step], ops: Mapping[str, Op], regression: bool) -> list[Problem]:
    """There must be layers, a fit one at the end."""
    if not any(isinstance(step.module, nn.Conv2d | nn.Linear) for step in steps):
        mend = "give a network that ends in Linear"
        return [Problem("forward", "network", "it has no layers", mend)]
    return check_end(ops[steps[-1].name], regression)


def _problem(op: Op, reason: str, mend: str | None) -> Problem:
    kind = type(op.module).__name__
    return Problem(op.name, kind, reason, mend or mend_for(kind))
