"""Mean and deviation of what layers give: measured, and given back to a network that was pruned.

With batch norms this is known as re-estimating their statistics after pruning (Li et al.,
"EagleEye", ECCV 2020, arXiv 2007.02491). Here norms are folded, so that scale and shift go into
the layer before them, and networks that never had a norm profit as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compiler.stages import FoldedNorm
from passes._graph import layers_of
from passes.base import Context

SAMPLES = 512
"""Training samples, one batch, that statistics are measured on."""

_CONSTANT = 1e-6
"""Deviation below which a channel counts as constant, relative to the wanted one."""


@dataclass(frozen=True)
class Statistics:
    """Of one layer's outputs, over samples and positions. mean, deviation: (out_channels,)."""

    mean: Tensor
    deviation: Tensor

    def without(self, gone: set[int]) -> Statistics:
        """The same without some channels."""
        keep = torch.tensor([i for i in range(len(self.mean)) if i not in gone], dtype=torch.long)
        return Statistics(self.mean[keep], self.deviation[keep])


def statistics_samples(ctx: Context, purpose: str) -> Tensor:
    """SAMPLES training samples, or all there are, drawn for `purpose`, on the run's device."""
    picked = ctx.rng(purpose).permutation(len(ctx.data.train_x))[:SAMPLES]
    return torch.from_numpy(ctx.data.train_x[picked]).to(ctx.device)


def output_statistics(module: nn.Module, samples: Tensor) -> dict[str, Statistics]:
    """Statistics of every layer of a prepared network, over one batch of `samples`."""
    found: dict[str, Statistics] = {}

    def note(name: str, _taken: Tensor, output: Tensor) -> None:
        found[name] = _statistics(output)

    visited(module, samples, note)
    return found


def restore_statistics(
    module: nn.Module, wanted: Mapping[str, Statistics], samples: Tensor
) -> dict[str, Tensor]:
    """Scales and shifts every layer so that its outputs have the `wanted` statistics.

    In place, in one forward pass: each layer is measured on what the layers before it, restored
    already, give for one batch of `samples`. Channels that have become constant, and the logits,
    get the mean only.

    Returns:
        Layer -> (out_channels,) what its weights were multiplied with.
    """
    layers = layers_of(module)
    *_, last = layers
    corrections: dict[str, tuple[Tensor, Tensor]] = {}

    def correct(name: str, _taken: Tensor, output: Tensor) -> Tensor:
        got, goal = _statistics(output), wanted[name]
        constant = torch.tensor(name == last) | (got.deviation <= _CONSTANT * goal.deviation)
        scale = torch.where(constant, 1.0, goal.deviation / got.deviation.clamp_min(1e-30))
        shift = goal.mean - scale * got.mean
        corrections[name] = scale, shift
        shape = (-1, *[1] * (output.dim() - 2))
        return output * scale.reshape(shape) + shift.reshape(shape)

    visited(module, samples, correct)
    with torch.no_grad():
        for name, (scale, shift) in corrections.items():
            layer = layers[name]
            assert layer.bias is not None  # prepare gives every layer one
            layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
            layer.bias.mul_(scale).add_(shift)
    return {name: scale for name, (scale, _) in corrections.items()}


def rescaled(
    norms: Mapping[str, FoldedNorm], scales: Mapping[str, Tensor]
) -> dict[str, FoldedNorm]:
    """The norms of layers whose weights were multiplied with `scales`."""
    return {
        name: FoldedNorm(norm.gain, norm.scale * scales[name].cpu().numpy())
        for name, norm in norms.items()
    }


def _statistics(output: Tensor) -> Statistics:
    flat = output.transpose(0, 1).flatten(1)
    deviation, mean = torch.std_mean(flat, dim=1, correction=0)
    return Statistics(mean, deviation)


@torch.no_grad()
def visited(
    module: nn.Module, samples: Tensor, visit: Callable[[str, Tensor, Tensor], Tensor | None]
) -> None:
    """One forward pass with visit(layer, input, output); what it gives, if anything, replaces the
    output."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        return lambda _module, taken, output: visit(name, taken[0], output)

    handles = [m.register_forward_hook(hook(name)) for name, m in layers_of(module).items()]
    try:
        module(samples)
    finally:
        for handle in handles:
            handle.remove()
