"""First scales of a quantized network: least squared error on weights and on seen activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from passes._brevitas_exact import quantizer_scale, weight_scale
from passes._threads import threads_for

if TYPE_CHECKING:
    from hw_targets.network import Unit
    from passes._brevitas_network import QuantNetwork

CLIPS = torch.linspace(0.15, 1.0, 52)
"""Shares of the greatest magnitude tried as the range's end."""
MOST_VALUES = 100_000
"""Values of one quantizer that its scale is calibrated on."""


def calibrate_weights(network: QuantNetwork) -> None:
    """Set every weight scale to the one of least squared error, channel by channel."""
    with torch.no_grad():
        for shape in network.network.layers:
            weight = network.layer(shape.name).weight.detach()
            parameter = weight_scale(network, shape.name)
            rows = weight.reshape(parameter.numel(), -1)
            bits = network.widths[shape.name][0]
            limit = 2 ** (bits - 1) - 1
            # Of signs the scale of least squared error is the mean magnitude.
            scale = rows.abs().mean(1) if bits == 1 else _best_scales(rows, -limit, limit)
            parameter.copy_(scale.reshape(parameter.shape))


def calibrate_activations(network: QuantNetwork, samples: torch.Tensor, seed: int) -> None:
    """Set every activation scale from what `samples` (batch, *input) make the layers give.

    Quantizer by quantizer, so that each sees what the quantized layers before it really send. Of
    what each takes at most 100000 values other than 0 (ReLUs: above 0), drawn with `seed`, are
    looked at.
    """
    rng = np.random.default_rng(seed)

    def before(unit: Unit, taken: list[torch.Tensor]) -> None:
        parts = [torch.relu(part) if unit.kind == "relu" else part for part in taken]
        if unit.limit:
            parts = [part.clamp(-unit.limit, unit.limit) for part in parts]
        values = torch.cat([part.flatten() for part in parts])
        values = values[values != 0]
        if len(values) > MOST_VALUES:
            chosen = rng.choice(len(values), MOST_VALUES, replace=False)
            values = values[torch.from_numpy(chosen)]
        if len(values):
            scale = _best_scales(values[None], *unit.limits(network.widths))[0]
            scale = scale.clamp(max=unit.most_scale(network.widths))
            quantizer_scale(network, unit.quantizer).copy_(scale)

    with torch.no_grad(), threads_for(network.network.macs, len(samples)):
        network.eval().observe(samples, before)


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
