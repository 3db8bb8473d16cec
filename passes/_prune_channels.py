"""Takes channels out of a chain, with whatever is coupled to them, and keeps the mean they gave."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import Tensor, nn

from compiler.stages import Relevance
from passes._graph import layers_of


class DeepLiftImportance:
    """Torch-Pruning importance: a group of coupled layers -> a score a channel of its root.

    The relevances of all layers whose output channels the group removes together are added.
    """

    def __init__(self, relevance: Relevance, module: nn.Module) -> None:
        self.relevance = relevance
        self.names: dict[nn.Module, str] = {m: name for name, m in layers_of(module).items()}

    def __call__(self, group: Any) -> Tensor:
        total: Tensor | None = None
        for dep, indices in group:
            if dep.handler in _OUTPUTS and dep.target.module in self.names:
                channels = self.relevance.layers[self.names[dep.target.module]].channels
                scores = torch.from_numpy(channels)[tp._helpers.to_plain_idxs(indices)]
                total = scores if total is None else total + scores
        assert total is not None  # the root itself is such a layer
        return total


_OUTPUTS: tuple[Callable[..., Any], ...] = (
    tp.prune_conv_out_channels,
    tp.prune_linear_out_channels,
)
_INPUTS: tuple[Callable[..., Any], ...] = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


class ChannelGroups:
    """The dependency graph of a chain: groups of channels that can only go together."""

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        self.module = module
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            self.graph: Any = tp.DependencyGraph().build_dependency(module, example)
        self.layers = layers_of(module)

    def scores(self, importance: DeepLiftImportance) -> dict[str, Tensor]:
        """Root layer -> score of each of its channels, for all layers but the last."""
        *inner, _ = self.layers
        return {
            name: importance(self._group(name, range(len(self.layers[name].weight))))
            for name in inner
        }

    def remove(self, name: str, channels: Sequence[int], means: Mapping[str, Tensor]) -> None:
        """Takes `channels` of layer `name` out; consumers get their mean effect in the bias.

        means: layer -> mean over samples of its input, (in_channels, height, width) or (inputs,).
        """
        group = self._group(name, channels)
        consumers = {module: layer for layer, module in self.layers.items()}
        for dep, indices in group:
            if dep.handler in _INPUTS:
                inputs = tp._helpers.to_plain_idxs(indices)
                _fold_mean(dep.target.module, inputs, means[consumers[dep.target.module]])
        group.prune()

    def _group(self, name: str, channels: Sequence[int]) -> Any:
        layer = self.layers[name]
        prune = _OUTPUTS[0] if isinstance(layer, nn.Conv2d) else _OUTPUTS[1]
        return self.graph.get_pruning_group(layer, prune, list(channels))


@torch.no_grad()
def mean_inputs(module: nn.Module, samples: Tensor, batch: int = 256) -> dict[str, Tensor]:
    """Layer -> mean over `samples` of what it takes, without the batch axis, on the CPU."""
    sums: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            part = args[0].sum(0, dtype=torch.double)
            sums[name] = sums[name] + part if name in sums else part

        return hook

    handles = [m.register_forward_pre_hook(recorder(n)) for n, m in layers_of(module).items()]
    try:
        for part in torch.split(samples, batch):
            module(part)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (total / len(samples)).float().cpu() for name, total in sums.items()}


@torch.no_grad()
def _fold_mean(layer: nn.Conv2d | nn.Linear, inputs: list[int], mean: Tensor) -> None:
    """Adds to the bias what `inputs`, about to go, gave the layer's outputs on average."""
    assert layer.bias is not None  # prepare gives every layer one
    weight = layer.weight[:, inputs]
    if isinstance(layer, nn.Linear):
        layer.bias.add_(weight @ mean[inputs])
    else:
        assert not isinstance(layer.padding, str)
        # Over all positions: at the border the padding gives less than inside.
        effect = F.conv2d(mean[None, inputs], weight, stride=layer.stride, padding=layer.padding)
        layer.bias.add_(effect.mean((0, 2, 3)))
