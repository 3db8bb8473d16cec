"""prepare: the user's module becomes a chain of plain layers that hardware can compute."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from compiler.stages import FloatModel
from hw_targets.errors import UnsupportedError
from passes._canonical import Chain, arrange, steps
from passes._graph import accuracy, build_chain, ir_text, network_shape, predict
from passes._lower_ops import Problem, lower
from passes.base import Context, Pass

# Folding batch norms reorders float32 sums; 1e-4 of the greatest |logit| is a hundred times what
# that was seen to change, and far below what any wrong fold changes.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Prepare(Pass[FloatModel, FloatModel]):
    """Trace the network, make every operation a module of its own, fold batch norms.

    Takes a chain of Conv2d (groups and dilation 1, zero padding), Linear, BatchNorm after either,
    ReLU, MaxPool2d (square, kernel == stride), Flatten, Dropout and Identity, as modules or
    functions, ending in a Linear; everything else is refused by name, all of it at once. Gives a
    `torch.fx.GraphModule` of conv / linear -> relu -> maxpool -> flatten under the user's names.
    """

    name: ClassVar[str] = "prepare"
    tools: ClassVar[tuple[str, ...]] = ("torch",)
    uses: ClassVar[tuple[str, ...]] = ("passes._lower_ops", "passes._canonical", "passes._graph")

    def run(self, model: FloatModel, ctx: Context) -> FloatModel:
        """Raises UnsupportedError naming every layer that cannot be mapped."""
        chain = _chain(model.module, model.input_shape)
        if chain.problems:
            raise _refusal(chain.problems)
        module = build_chain(steps(chain))
        ctx.say("checking against the user's module", 0.5)
        self._prove_equal(model.module, module, chain, ctx)
        if chain.tail is not None:
            ctx.say(f"left out {chain.tail.name}: it does not change the class", None)
        (ctx.workdir / "prepared.txt").write_text(ir_text(module, model.input_shape))
        measured = accuracy(module, ctx.data.test_x, ctx.data.test_y, ctx.device)
        ctx.say(f"accuracy {measured:.2%}", 1.0)
        return dataclasses.replace(
            model,
            module=module,
            network=network_shape(module, model.name, model.input_shape, model.input),
            accuracy=measured,
        )

    def _prove_equal(
        self, user: nn.Module, prepared: nn.Module, chain: Chain, ctx: Context
    ) -> None:
        expected = predict(user, ctx.data.test_x, ctx.device)
        got = predict(prepared, ctx.data.test_x, ctx.device)
        if chain.tail is not None:
            got = chain.tail.module(torch.from_numpy(got)).numpy()
        allowed = TOLERANCE * float(np.abs(expected).max())
        deviation = float(np.abs(got - expected).max())
        ctx.prove(
            "the prepared network gives the user's outputs",
            deviation <= allowed,
            measured=f"{deviation:.2g} on {len(got)} test samples",
            required=f"at most {allowed:.2g} ({TOLERANCE:g} of the greatest output)",
        )
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


def support(module: nn.Module, input_shape: tuple[int, ...]) -> list[Problem]:
    """Everything in `module` that hardware cannot compute; empty when it can be compiled.

    Args:
        input_shape: of one sample, without the batch.
    """
    return _chain(module, input_shape).problems


def _chain(module: nn.Module, input_shape: tuple[int, ...]) -> Chain:
    lowered = lower(module, input_shape)
    if lowered.problems:
        # Operations are missing from the chain, so that of its order only the layers' own
        # problems mean anything.
        own = {op.name for op in lowered.ops}
        chain = arrange(lowered.ops)
        layers = [p for p in chain.problems if p.layer in own and p.kind in ("Conv2d", "MaxPool2d")]
        return Chain(problems=[*lowered.problems, *layers])
    return arrange(lowered.ops)


def _refusal(problems: list[Problem]) -> UnsupportedError:
    count = len({problem.layer for problem in problems})
    what = f"{count} layer{'s' if count > 1 else ''} cannot be mapped"
    return UnsupportedError(f"{what}: {'; '.join(map(str, problems))}")
