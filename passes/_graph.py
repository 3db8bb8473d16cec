"""The chain of layers that travels from `prepare` on: built, walked, measured and printed here.

A chain is a `torch.fx.GraphModule` that calls plain `torch.nn` modules one after another: Conv2d
or Linear, then ReLU, then MaxPool2d, and one Flatten before the first Linear.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from compiler.stages import FloatArray, InputFormat, LabelArray
from hw_targets.network import LayerShape, NetworkShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

Steps = list[tuple[str, nn.Module]]
"""(name, module) in the order of execution."""

BATCH = 256


def build_chain(steps: Sequence[tuple[str, nn.Module]]) -> fx.GraphModule:
    """A graph module in eval mode that calls `steps` in order; names must be identifiers."""
    root = nn.Module()
    graph = fx.Graph()
    value = graph.placeholder("x")
    for name, module in steps:
        root.add_module(name, module)
        value = graph.call_module(name, (value,))
    graph.output(value)
    graph.lint()  # type: ignore[no-untyped-call]
    # No class name of its own: pickling would lose it, and with it the digest.
    result = fx.GraphModule(root, graph)
    result.eval()
    return result


def steps_of(module: nn.Module) -> Steps:
    """(name, module) of every call in a graph made by `build_chain`."""
    if not isinstance(module, fx.GraphModule):
        raise TypeError(f"expected a prepared GraphModule, got {type(module).__name__}")
    return [
        (str(node.target), module.get_submodule(str(node.target)))
        for node in module.graph.nodes
        if node.op == "call_module"
    ]


def layers_of(module: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers with weights, by name, in order."""
    return {
        name: step for name, step in steps_of(module) if isinstance(step, nn.Conv2d | nn.Linear)
    }


def network_shape(
    module: nn.Module, name: str, input_shape: tuple[int, ...], form: InputFormat
) -> NetworkShape:
    """What hardware needs to know of a chain whose samples have `input_shape`."""
    size = (input_shape[1], input_shape[2]) if len(input_shape) == 3 else (1, 1)
    layers: list[LayerShape] = []
    for step_name, step in steps_of(module):
        if isinstance(step, nn.Conv2d):
            layers.append(_conv(step_name, step, size))
            size = layers[-1].out_size
        elif isinstance(step, nn.Linear):
            layers.append(
                LayerShape(
                    step_name, "dense", step.in_features, step.out_features, activation=False
                )
            )
            size = (1, 1)
        elif isinstance(step, nn.ReLU):
            layers[-1] = dataclasses.replace(layers[-1], activation=True)
        elif isinstance(step, nn.MaxPool2d):
            side = int(pair(step.kernel_size)[0])
            layers[-1] = dataclasses.replace(layers[-1], pool=side)
            size = (size[0] // side, size[1] // side)
    return NetworkShape(
        name, tuple(layers), input_shape, form.bits, form.signed, layers[-1].out_channels
    )


def predict(module: nn.Module, samples: FloatArray, device: str = "cpu") -> NDArray[np.float32]:
    """Outputs of `module` for all `samples`, (count, classes), in batches on `device`."""
    model = placed(module, device)
    with torch.no_grad():
        parts = [
            model(torch.from_numpy(samples[at : at + BATCH]).to(device)).cpu()
            for at in range(0, len(samples), BATCH)
        ]
    outputs: NDArray[np.float32] = torch.cat(parts).numpy()
    return outputs


def accuracy(
    module: nn.Module, samples: FloatArray, labels: LabelArray, device: str = "cpu"
) -> float:
    """Share of `samples` whose greatest output is that of their label, 0 to 1."""
    return float((predict(module, samples, device).argmax(1) == labels).mean())


def placed(module: nn.Module, device: str) -> nn.Module:
    """`module` in eval mode on `device`: itself on the CPU, a copy elsewhere."""
    if torch.device(device).type == "cpu":
        return module.eval()
    return copy.deepcopy(module).eval().to(device)


def ir_text(module: nn.Module, input_shape: tuple[int, ...]) -> str:
    """One line a step: name, module, shape of its output without the batch."""
    value: Tensor = torch.zeros(1, *input_shape)
    lines = [f"x -> {tuple(input_shape)}"]
    with torch.no_grad():
        for name, step in steps_of(module):
            value = step(value)
            lines.append(f"{name}: {step} -> {tuple(value.shape[1:])}")
    return "\n".join(lines) + "\n"


def _conv(name: str, module: nn.Conv2d, size: tuple[int, int]) -> LayerShape:
    return LayerShape(
        name,
        "conv",
        module.in_channels,
        module.out_channels,
        in_size=size,
        kernel=pair(module.kernel_size),
        stride=pair(module.stride),
        padding=pair(module.padding),
        activation=False,
    )


def pair(value: Any) -> tuple[int, int]:
    """(height, width) of a size that torch takes as one number or as two."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
