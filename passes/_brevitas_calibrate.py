"""First scales of a quantized network: least squared error on weights and on seen activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from passes._brevitas_exact import activation_scale, weight_scale
from passes._threads import threads_for

if TYPE_CHECKING:
    from passes._brevitas_network import QuantNetwork

CLIPS = torch.linspace(0.15, 1.0, 52)
"""Shares of the greatest magnitude tried as the range's end."""


def calibrate_weights(network: QuantNetwork) -> None:
    """Set every weight scale to the one of least squared error, channel by channel."""
    with torch.no_grad():
        for shape in network.network.layers:
            weight = network.layer(shape.name).weight.detach()
            parameter = weight_scale(network, shape.name)
            rows = weight.reshape(parameter.numel(), -1)
            limit = 2 ** (network.widths[shape.name][0] - 1) - 1
            scale = _best_scales(rows, -limit, limit)
            parameter.copy_(scale.reshape(parameter.shape))


def calibrate_activations(network: QuantNetwork, samples: torch.Tensor, seed: int) -> None:
    """Set every activation scale from what `samples` (batch, *input) make the layers give.

    Layer by layer, so that each sees what the quantized layers before it really send. Of each
    layer at most 100000 positive values, drawn with `seed`, are looked at.
    """
    rng = np.random.default_rng(seed)

    def before(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        values = torch.relu(args[0].detach()).flatten()
        values = values[values > 0]
        if len(values) > 100_000:
            values = values[torch.from_numpy(rng.choice(len(values), 100_000, replace=False))]
        parameter = scales[module]
        if len(values):
            parameter.copy_(_best_scales(values[None], 0, levels[module])[0])

    scales, levels, hooks = {}, {}, []
    for shape in network.network.layers:
        if shape.activation:
            module = network.activation(shape.name)
            scales[module] = activation_scale(network, shape.name)
            levels[module] = 2 ** network.widths[shape.name][1] - 1
            hooks.append(module.register_forward_pre_hook(before))
    try:
        with torch.no_grad(), threads_for(network.network.macs, len(samples)):
            network.eval()(samples)
    finally:
        for hook in hooks:
            hook.remove()


def _best_scales(rows: torch.Tensor, least: int, greatest: int) -> torch.Tensor:
    """(rows,) scales of least squared quantization error; rows of zeros get their mean scale."""
    top = rows.abs().amax(dim=1)
    best = torch.full_like(top, torch.inf)
    scales = torch.ones_like(top)
    for clip in CLIPS.tolist():
        scale = (top * clip / greatest).clamp_min(1e-12)[:, None]
        error = (torch.round(rows / scale).clamp(least, greatest) * scale - rows).square().mean(1)
        better = error < best
        best = torch.where(better, error, best)
        scales = torch.where(better, scale[:, 0], scales)
    alive = top > 0
    fallback = scales[alive].mean() if bool(alive.any()) else torch.tensor(1.0)
    return torch.where(alive, scales, fallback)
