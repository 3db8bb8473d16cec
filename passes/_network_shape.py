"""The shape of a prepared network, as hardware sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from torch import nn

from compiler.stages import InputFormat
from hw_targets.network import LayerShape, NetworkShape
from passes._brevitas_structure import graph_structure
from passes._graph import Step, is_chain, output_shapes, pair, users_of, wired_steps
from passes._modules import ClippedReLU


def network_shape(
    module: nn.Module,
    name: str,
    input_shape: tuple[int, ...],
    form: InputFormat,
    regression: bool = False,
) -> NetworkShape:
    """What hardware needs to know of a network whose samples have `input_shape`.

    regression: its outputs are the answer, not the class of the greatest.
    """
    steps = wired_steps(module)
    users, shapes = users_of(steps), output_shapes(module, input_shape)
    layers: list[LayerShape] = []
    for step in steps:
        if isinstance(step.module, nn.Conv2d):
            layer = _conv(step.name, step.module, shapes[step.inputs[0]])
        elif isinstance(step.module, nn.Linear):
            sizes = step.module.in_features, step.module.out_features
            layer = LayerShape(step.name, "dense", *sizes, activation=False)
        else:
            continue
        layers.append(_with_followers(layer, users))
    layers[-1] = dataclasses.replace(layers[-1], answers=regression)
    # These say all that there is; anything else needs its units told one by one.
    kernels = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.Flatten)
    chain = is_chain(module) and all(
        isinstance(step.module, kernels) and _simple(step.module) for step in steps
    )
    chain = chain and _told(layers, [step.module for step in steps])
    return NetworkShape(
        name,
        tuple(layers),
        input_shape,
        form.bits,
        form.signed,
        0 if regression else layers[-1].out_channels,
        () if chain else graph_structure(module, input_shape),
    )


def _told(layers: Sequence[LayerShape], modules: Sequence[nn.Module]) -> bool:
    """Has every layer but the last an activation, and is there none, and no pooling, besides?"""
    relus = sum(isinstance(module, nn.ReLU) for module in modules)
    pools = sum(isinstance(module, nn.MaxPool2d) for module in modules)
    acting = [layer.activation for layer in layers]
    return (
        acting == [True] * (len(layers) - 1) + [False]
        and relus == len(layers) - 1
        and pools == sum(layer.pool > 1 for layer in layers)
    )


def _simple(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and pair(module.dilation) == (1, 1)
    return not isinstance(module, nn.MaxPool2d) or _square(module)


def _square(pool: nn.MaxPool2d) -> bool:
    """Are its windows square, beside each other, and whole?"""
    kernel = pair(pool.kernel_size)
    plain = kernel[0] == kernel[1] and pair(pool.stride) == kernel
    return plain and pair(pool.padding) == (0, 0) and not pool.ceil_mode


def _with_followers(layer: LayerShape, users: Mapping[str, Sequence[Step]]) -> LayerShape:
    """The layer with the activation and pooling that take its output and nothing else."""
    followers = users[layer.name]
    if len(followers) != 1 or not isinstance(followers[0].module, nn.ReLU):
        return layer
    relu = followers[0].module
    limit = relu.limit if isinstance(relu, ClippedReLU) else 0.0
    layer = dataclasses.replace(layer, activation=True, limit=limit)
    followers = users[followers[0].name]
    pool = followers[0].module if len(followers) == 1 else None
    if not isinstance(pool, nn.MaxPool2d) or not _square(pool):
        return layer
    return dataclasses.replace(layer, pool=pair(pool.kernel_size)[0])


def _conv(name: str, module: nn.Conv2d, shape: tuple[int, ...]) -> LayerShape:
    top, left = pair(module.padding)
    return LayerShape(
        name,
        "conv",
        module.in_channels,
        module.out_channels,
        in_size=(shape[1], shape[2]),
        kernel=pair(module.kernel_size),
        stride=pair(module.stride),
        padding=(top, left, top, left),
        activation=False,
        groups=module.groups,
        dilation=pair(module.dilation),
    )
