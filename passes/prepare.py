"""prepare: the user's module becomes a network of plain layers, batch norms folded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from compiler.stages import FloatModel, FoldedNorm
from hw_targets.errors import UnsupportedError
from passes import _branches, _kernels
from passes._brevitas_structure import graph_structure
from passes._canonical import Block, Chain, arrange, steps
from passes._graph import accuracy, build_chain, build_graph, ir_text, predict
from passes._lower_ops import Lowered, Op, Problem, lower
from passes._network_shape import network_shape
from passes._score import told
from passes.base import Context, Pass

# Folding batch norms reorders float32 sums; 1e-4 of the greatest |logit| is a hundred times what
# that was seen to change, and far below what any wrong fold changes.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Prepare(Pass[FloatModel, FloatModel]):
    """Trace the network, make every operation a module of its own, fold batch norms.

    Takes convolutions of one and two dimensions (zero padding of any form, dilation, groups),
    Linear, BatchNorm, ReLU, ReLU6, Hardtanh, max and average pooling, nearest upsampling by whole
    factors, residual adds, concatenation, option-A shortcuts, Flatten, Dropout and Identity, as
    modules or functions, ending in a Linear or in a convolution that is one, a regression in any
    convolution; everything else is refused by name, all of it at once. A layer used twice becomes
    two, each with its own copy of the weights. Signals, (channels, length), become images one
    pixel high inside.

    Gives a `torch.fx.GraphModule` under the user's names. A chain that hardware can compute comes
    as conv / linear -> relu -> maxpool -> flatten; `support` tells what in a network hardware
    cannot compute.
    """

    name: ClassVar[str] = "prepare"
    tools: ClassVar[tuple[str, ...]] = ("torch",)
    uses: ClassVar[tuple[str, ...]] = (
        "passes._lower_ops",
        "passes._lower_ends",
        "passes._lower_modules",
        "passes._lower_names",
        "passes._lower_pads",
        "passes._canonical",
        "passes._branches",
        "passes._kernels",
        "passes._modules",
        "passes._graph",
        "passes._network_shape",
        "passes._score",
        "passes._brevitas_structure",
    )

    def run(self, model: FloatModel, ctx: Context) -> FloatModel:
        """Raises UnsupportedError naming every layer that cannot be mapped."""
        lowered = lower(model.module, model.input_shape)
        module, tail, norms = _prepared(lowered, ctx.data.regression)
        if lowered.copies:
            ctx.say(f"used more than once, weights copied: {', '.join(lowered.copies)}", None)
        ctx.say("checking against the user's module", 0.5)
        self._prove_equal(model.module, module, tail, ctx)
        if tail is not None:
            ctx.say(f"left out {tail.name}: it does not change the class", None)
        (ctx.workdir / "prepared.txt").write_text(ir_text(module, model.input_shape))
        measured = accuracy(module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        ctx.say(told(measured, ctx.data.regression), 1.0)
        return dataclasses.replace(
            model,
            module=module,
            network=network_shape(
                module, model.name, model.input_shape, model.input, ctx.data.regression
            ),
            accuracy=measured,
            norms=norms,
        )

    def _prove_equal(
        self, user: nn.Module, prepared: nn.Module, tail: Op | None, ctx: Context
    ) -> None:
        expected = predict(user, ctx.data.test_x, ctx.device)
        got = predict(prepared, ctx.data.test_x, ctx.device)
        if tail is not None:
            got = tail.module(torch.from_numpy(got)).numpy()
        allowed = TOLERANCE * float(np.abs(expected).max())
        deviation = float(np.abs(got - expected).max())
        ctx.prove(
            "the prepared network gives the user's outputs",
            deviation <= allowed,
            measured=f"{deviation:.2g} on {len(got)} test samples",
            required=f"at most {allowed:.2g} ({TOLERANCE:g} of the greatest output)",
        )
        if ctx.data.regression:
            return
        # Two outputs closer than the tolerance have no order to keep.
        best = np.sort(expected, axis=1)
        clear = best[:, -1] - best[:, -2] > 2 * allowed
        differing = int(((got.argmax(1) != expected.argmax(1)) & clear).sum())
        ctx.prove(
            "the prepared network gives the user's classes",
            differing == 0,
            measured=f"{differing} of {len(got)} test samples differ",
            required="0",
        )


def support(
    module: nn.Module, input_shape: tuple[int, ...], regression: bool = False
) -> list[Problem]:
    """Everything in `module` that hardware cannot compute; empty when it can be compiled.

    Args:
        input_shape: of one sample, without the batch.
        regression: the outputs themselves are the answer, not the class of the greatest.
    """
    lowered = lower(module, input_shape)
    if _chain(lowered, regression) is not None:
        return []
    branches = _branches.arrange(lowered.ops, regression)
    problems = _unmapped(lowered, branches)
    if problems:
        return problems
    return _kernels.problems(graph_structure(build_graph(branches.steps), input_shape))


def require_support(
    module: nn.Module, input_shape: tuple[int, ...], regression: bool = False
) -> None:
    """Raises UnsupportedError naming every layer that hardware cannot compute."""
    problems = support(module, input_shape, regression)
    if problems:
        raise refusal(problems)


def prepared_network(
    module: nn.Module, input_shape: tuple[int, ...], regression: bool = False
) -> tuple[nn.Module, Op | None, dict[str, FoldedNorm]]:
    """The prepared network, a softmax left out, and the norms that were folded, by layer.

    Raises:
        UnsupportedError: names every layer that cannot be mapped.
    """
    return _prepared(lower(module, input_shape), regression)


def _prepared(
    lowered: Lowered, regression: bool
) -> tuple[nn.Module, Op | None, dict[str, FoldedNorm]]:
    chain = _chain(lowered, regression)
    if chain is not None:
        gains = {block.layer.name: _folded_norm(block) for block in chain.blocks if block.norms}
        return build_chain(steps(chain)), chain.tail, gains
    branches = _branches.arrange(lowered.ops, regression)
    problems = _unmapped(lowered, branches)
    if problems:
        raise refusal(problems)
    gains = {name: _folded_norm(block) for name, block in branches.blocks.items() if block.norms}
    return build_graph(branches.steps), branches.tail, gains


def _chain(lowered: Lowered, regression: bool) -> Chain | None:
    """The network as a chain of layers, None where it is none."""
    if not lowered.plain:
        return None
    chain = arrange(lowered.ops, regression)
    return None if chain.problems else chain


def _unmapped(lowered: Lowered, branches: _branches.Branches) -> list[Problem]:
    problems = [*lowered.problems, *branches.problems]
    return problems if lowered.problems else [*problems, *branches.misplaced]


def _folded_norm(block: Block) -> FoldedNorm:
    """The norms that follow a layer, as one."""
    outputs = block.layer.out_shape[0]
    gain, scale = np.ones(outputs), np.ones(outputs)
    for op in block.norms:
        norm = op.module
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        assert norm.running_var is not None
        # An affine-free norm has no weight, which torch's types do not tell.
        weight: torch.Tensor | None = norm.weight
        if weight is not None:
            gain *= weight.detach().double().cpu().numpy()
            scale *= weight.detach().double().cpu().numpy()
        scale /= np.sqrt(norm.running_var.double().cpu().numpy() + norm.eps)
    return FoldedNorm(gain.astype(np.float32), scale.astype(np.float32))


def refusal(problems: list[Problem]) -> UnsupportedError:
    """All problems in one line."""
    count = len({problem.layer for problem in problems})
    what = f"{count} layer{'s' if count > 1 else ''} cannot be mapped"
    return UnsupportedError(f"{what}: {'; '.join(map(str, problems))}")
