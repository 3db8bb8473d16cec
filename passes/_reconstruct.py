"""What is left of a layer's weights, chosen anew so that the layer gives what it gave.

For each output o of a layer, the kept weights are those of least squared change of the output over
samples and positions: with second moments H of the inputs, H_kk v_k = (H w)_k. Removing a weight
and updating the others is Optimal Brain Surgeon (Hassibi and Stork, NIPS 1992); here masks are
given and all updates are made at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passes._graph import layers_of

DAMPING = 1e-2
"""Of the mean diagonal of H: how much a weight is held at its old value."""
MOST_INPUTS = 2400
"""Layers of more inputs keep their weights: time grows with the third power of inputs."""
_ROOM = 2**25
"""Numbers in the systems solved at a time, bounds the memory."""


def second_moments(
    module: nn.Module, samples: Tensor, positions: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Layer -> (inputs + 1, inputs + 1) mean of x x^T, a constant one behind the inputs.

    In batches; of a convolution's output positions at most `positions` a sample are drawn. Grouped
    convolutions, whose filters see few inputs, and layers of more than MOST_INPUTS are left out.
    """
    layers = {
        name: layer
        for name, layer in layers_of(module).items()
        if getattr(layer, "groups", 1) == 1 and layer.weight[0].numel() <= MOST_INPUTS
    }
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(layers, 0)

    def note(name: str, layer: nn.Conv2d | nn.Linear, taken: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            taken = _windows(layer, taken, positions, generator)
        rows = F.pad(taken, (0, 1), value=1.0).double()
        sums[name] = sums.get(name, torch.zeros(())) + (rows.T @ rows).cpu()
        counts[name] += len(rows)

    handles = [
        layer.register_forward_pre_hook(
            lambda _module, args, name=name, layer=layer: note(name, layer, args[0])
        )
        for name, layer in layers.items()
    ]
    try:
        with torch.no_grad():
            for part in torch.split(samples, 64):
                module(part)
    finally:
        for handle in handles:
            handle.remove()
    return {name: total / counts[name] for name, total in sums.items()}


def _windows(layer: nn.Conv2d, taken: Tensor, positions: int, generator: torch.Generator) -> Tensor:
    """(rows, in x kernel) what single outputs of the layer see."""
    padding: str | tuple[int, ...] = layer.padding
    assert not isinstance(padding, str)  # prepare makes it a number
    columns = F.unfold(taken, layer.kernel_size, padding=padding, stride=layer.stride)
    if columns.shape[2] > positions:
        drawn = torch.randperm(columns.shape[2], generator=generator)[:positions]
        columns = columns[:, :, drawn.to(columns.device)]
    return columns.transpose(1, 2).flatten(0, 1)


@torch.no_grad()
def reconstruct(
    module: nn.Module,
    original: nn.Module,
    masks: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
) -> None:
    """Gives `module` the weights of `original`, masked, the kept ones and the bias chosen anew.

    In place. masks: layer -> True where a weight stays, in the weight's shape. moments: of
    `second_moments`; layers without any keep the original's weights where not masked.
    """
    sources = layers_of(original)
    for name, layer in layers_of(module).items():
        source, keep = sources[name], masks[name]
        assert layer.bias is not None  # prepare gives every layer one
        assert source.bias is not None
        if name not in moments:
            layer.weight.copy_(source.weight * keep)
            layer.bias.copy_(source.bias)
            continue
        wanted = torch.cat([source.weight.flatten(1), source.bias[:, None]], 1).double().cpu()
        keep = keep.cpu()
        kept = F.pad(keep.flatten(1), (0, 1), value=True)
        rows_each = max(1, _ROOM // len(moments[name]) ** 2)
        solved = [
            _solve(moments[name], w, k)
            for w, k in zip(
                torch.split(wanted, rows_each), torch.split(kept, rows_each), strict=True
            )
        ]
        rows = torch.cat(solved)
        layer.weight.copy_(rows[:, :-1].reshape(layer.weight.shape) * keep)
        layer.bias.copy_(rows[:, -1])


def _solve(moments: Tensor, wanted: Tensor, keep: Tensor) -> Tensor:
    """(rows, inputs + 1): of least (v - w)^T H (v - w) with v = 0 where not kept."""
    size = len(moments)
    damping = DAMPING * moments.diagonal().mean() + 1e-12
    damped = moments + damping * torch.eye(size, dtype=moments.dtype)
    right = (wanted @ damped) * keep
    both = keep[:, :, None] & keep[:, None, :]
    system = torch.where(both, damped, 0.0) + torch.diag_embed((~keep).to(damped.dtype))
    solution: Tensor = torch.linalg.solve(system, right)
    return solution
