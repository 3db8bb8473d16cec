"""Operations of a network that branches and joins, in the form all later passes take.

Batch norms are folded into the layer before them; everything else keeps its place. What hardware
has no kernels for yet (adds, concatenations, average pooling, groups) is kept: such networks are
attributed, pruned, quantized, retrained and exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from hw_targets.network import INPUT
from passes._canonical import Block, check_max, check_norm, folded
from passes._graph import Step
from passes._lower_ops import Op, Problem, mend_for
from passes._modules import Add, Clip, Concat, Pad, Shortcut, Unsqueeze, Upsample

_KEEPS_QUANTIZED = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    Shortcut,
    Pad,
    Unsqueeze,
    Upsample,
    Concat,
)
"""Modules whose output is as quantized as their inputs are."""


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


def arrange(ops: Sequence[Op]) -> Branches:
    """Folds batch norms and checks every operation against what the passes can do."""
    result = Branches()
    body = list(ops)
    if body and isinstance(body[-1].module, nn.Softmax | nn.LogSoftmax):
        result.tail = body.pop()
    takers: dict[str, int] = {}
    for op in body:
        for source in op.inputs:
            takers[source] = takers.get(source, 0) + 1
    stands_for: dict[str, str] = {}
    for op in body:
        inputs = tuple(stands_for.get(source, source) for source in op.inputs)
        if isinstance(op.module, nn.BatchNorm1d | nn.BatchNorm2d):
            block = result.blocks.get(inputs[0])
            if block is None or takers[op.inputs[0]] > 1:
                mend = "put it directly after the Conv2d or Linear"
                result.misplaced.append(_problem(op, "it does not follow a layer alone", mend))
                continue
            result.problems += check_norm(op)
            block.norms.append(op)
            stands_for[op.name] = block.layer.name
            continue
        result.problems += _check(op)
        if isinstance(op.module, nn.Conv2d | nn.Linear):
            result.blocks[op.name] = Block(op)
        result.steps.append(Step(op.name, op.module, inputs))
    result.misplaced += _check_flow(result.steps, {op.name: op for op in body})
    if result.problems or result.misplaced:
        result.steps = []
    else:
        result.steps = [
            Step(s.name, folded(result.blocks[s.name]) if s.name in result.blocks else s.module,
                 s.inputs)
            for s in result.steps
        ]  # fmt: skip
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


def _check_flow(steps: Sequence[Step], ops: Mapping[str, Op]) -> list[Problem]:
    """Layers must take activations, and the network must end in a dense layer."""
    if not any(isinstance(step.module, nn.Conv2d | nn.Linear) for step in steps):
        mend = "give a network that ends in Linear"
        return [Problem("forward", "network", "it has no layers", mend)]
    found = []
    quantized = {INPUT}
    for step in steps:
        ready = all(source in quantized for source in step.inputs)
        if isinstance(step.module, nn.ReLU | Clip | Add) or (
            isinstance(step.module, _KEEPS_QUANTIZED) and ready
        ):
            quantized.add(step.name)
        elif isinstance(step.module, nn.Conv2d | nn.Linear) and not ready:
            mend = "add one or merge the two"
            found.append(_problem(ops[step.name], "no ReLU before this layer", mend))
    if not isinstance(steps[-1].module, nn.Linear):
        found.append(_problem(ops[steps[-1].name], "it gives the logits", "end with a Linear"))
    return found


def _problem(op: Op, reason: str, mend: str | None) -> Problem:
    kind = type(op.module).__name__
    return Problem(op.name, kind, reason, mend or mend_for(kind))
