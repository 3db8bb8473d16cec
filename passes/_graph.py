"""The network that travels from `prepare` on: built, walked, measured and printed here.

It is a `torch.fx.GraphModule` whose every step calls a plain `torch.nn` module or one of
`passes._modules`. In a chain they come one after another: Conv2d or Linear, then ReLU, then
MaxPool2d, and one Flatten before the first Linear. Other networks branch and join.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from compiler.stages import FloatArray, TargetArray
from hw_targets.network import INPUT
from passes._modules import Add, Clip, Upsample
from passes._score import score

if TYPE_CHECKING:
    from numpy.typing import NDArray

Steps = list[tuple[str, nn.Module]]
"""(name, module) in the order of execution."""

BATCH = 256


@dataclass(frozen=True)
class Step:
    """One module call. inputs: names of the steps whose outputs it takes, `INPUT` for the input."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]


def build_graph(steps: Sequence[Step]) -> fx.GraphModule:
    """A graph module in eval mode that calls `steps` in order and gives the last one's output.

    Names must be identifiers, none of them `INPUT`.
    """
    root = nn.Module()
    graph = fx.Graph()
    values = {INPUT: graph.placeholder(INPUT)}
    for step in steps:
        root.add_module(step.name, step.module)
        values[step.name] = graph.call_module(
            step.name, tuple(values[source] for source in step.inputs)
        )
    graph.output(values[steps[-1].name])
    graph.lint()  # type: ignore[no-untyped-call]
    # No class name of its own: pickling would lose it, and with it the digest.
    result = fx.GraphModule(root, graph)
    result.eval()
    return result


def build_chain(steps: Sequence[tuple[str, nn.Module]]) -> fx.GraphModule:
    """A graph module that calls `steps` one after another."""
    names = [INPUT, *(name for name, _ in steps)]
    return build_graph(
        [
            Step(name, module, (before,))
            for (name, module), before in zip(steps, names, strict=False)
        ]
    )


def wired_steps(module: nn.Module) -> list[Step]:
    """The steps of a graph made by `build_graph`, in the order of execution."""
    if not isinstance(module, fx.GraphModule):
        raise TypeError(f"expected a prepared GraphModule, got {type(module).__name__}")
    names = {node: INPUT for node in module.graph.nodes if node.op == "placeholder"}
    found = []
    for node in module.graph.nodes:
        if node.op == "call_module":
            names[node] = str(node.target)
            inputs = tuple(names[source] for source in node.args)
            found.append(Step(names[node], module.get_submodule(names[node]), inputs))
    return found


def is_chain(module: nn.Module) -> bool:
    """Does every step take the output of the one before, and nothing else?"""
    before = INPUT
    for step in wired_steps(module):
        if step.inputs != (before,):
            return False
        before = step.name
    return True


def users_of(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """Step or `INPUT` -> the steps that take its output."""
    users: dict[str, list[Step]] = {INPUT: [], **{step.name: [] for step in steps}}
    for step in steps:
        for source in step.inputs:
            users[source].append(step)
    return users


def steps_of(module: nn.Module) -> Steps:
    """(name, module) of every call in a graph made by `build_graph`."""
    return [(step.name, step.module) for step in wired_steps(module)]


def output_shapes(module: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Step or `INPUT` -> shape of its output, without the batch."""
    values: dict[str, Tensor] = {INPUT: torch.zeros(1, *input_shape)}
    with torch.no_grad():
        for step in wired_steps(module):
            values[step.name] = step.module(*(values[source] for source in step.inputs))
    return {name: tuple(value.shape[1:]) for name, value in values.items()}


def layers_of(module: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers with weights, by name, in order."""
    return {
        name: step for name, step in steps_of(module) if isinstance(step, nn.Conv2d | nn.Linear)
    }


def activation_sources(module: nn.Module) -> dict[str, str]:
    """ReLU or `Clip` -> the last layer whose output reaches it through adds and pools alone.

    It is the layer whose choice of activation bits governs the ReLU. A ReLU that no layer reaches
    so, as one of a sum of activations, is left out.
    """
    reached: dict[str, str] = {}
    found: dict[str, str] = {}
    order = {step.name: at for at, step in enumerate(wired_steps(module))}
    for step in wired_steps(module):
        sources = [reached[source] for source in step.inputs if source in reached]
        if isinstance(step.module, nn.Conv2d | nn.Linear):
            reached[step.name] = step.name
        elif isinstance(step.module, nn.ReLU | Clip):
            if sources:
                found[step.name] = max(sources, key=order.__getitem__)
        elif isinstance(step.module, Add | nn.MaxPool2d | nn.AvgPool2d | Upsample) and sources:
            reached[step.name] = max(sources, key=order.__getitem__)
    return found


def predict(module: nn.Module, samples: FloatArray, device: str = "cpu") -> NDArray[np.float32]:
    """Outputs of `module` for all `samples`, (count, *outputs), in batches on `device`."""
    model = placed(module, device)
    with torch.no_grad():
        parts = [
            model(torch.from_numpy(samples[at : at + BATCH]).to(device)).cpu()
            for at in range(0, len(samples), BATCH)
        ]
    outputs: NDArray[np.float32] = torch.cat(parts).numpy()
    return outputs


def accuracy(
    module: nn.Module, samples: FloatArray, wanted: TargetArray, device: str = "cpu"
) -> float:
    """Share of `samples` whose greatest output is that of their label, or R^2 of a regression."""
    return score(predict(module, samples, device), wanted)


def placed(module: nn.Module, device: str) -> nn.Module:
    """`module` in eval mode on `device`: itself on the CPU, a copy elsewhere."""
    if torch.device(device).type == "cpu":
        return module.eval()
    return copy.deepcopy(module).eval().to(device)


def ir_text(module: nn.Module, input_shape: tuple[int, ...]) -> str:
    """One line a step: name, what it takes (where not the step before), module, output shape."""
    shapes = output_shapes(module, input_shape)
    lines, before = [f"{INPUT} -> {tuple(input_shape)}"], INPUT
    for step in wired_steps(module):
        taken = "" if step.inputs == (before,) else f"({', '.join(step.inputs)})"
        lines.append(f"{step.name}{taken}: {step.module} -> {shapes[step.name]}")
        before = step.name
    return "\n".join(lines) + "\n"


def pair(value: Any) -> tuple[int, int]:
    """(height, width) of a size that torch takes as one number or as two."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
