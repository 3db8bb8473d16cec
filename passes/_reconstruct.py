"""What is left of a layer's weights, chosen anew so that the layer gives what it gave.

For each output o of a layer, the kept weights v are those of least squared difference, over samples
and positions, between what the original layer gave for the original inputs x and what is given for
the inputs z that the layers before, pruned and chosen anew already, give by now:

    E[z z^T]_kk v_k = (E[z x^T] w)_k

where samples and positions count alike, or as a guide has it, for each output on its own.

Removing a weight and updating the others is Optimal Brain Surgeon (Hassibi and Stork, NIPS 1992);
here masks are given and all updates are made at once. Correcting what earlier layers changed is
from He, Zhang and Sun, "Channel Pruning", ICCV 2017, arXiv 1707.06168.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passes._graph import layers_of, pair
from passes._guides import BATCH, Guide, draw
from passes._statistics import visited

DAMPING = 1e-2
"""Of the mean diagonal of E[z z^T]: how much a weight is held at its value so far."""
MOST_INPUTS = 2400
"""Layers of more inputs keep their weights: time grows with the third power of inputs."""
_ROOM = 2**25
"""Numbers in the systems solved at a time, bounds the memory."""
MOST_WORK = 10**12
"""Multiply-accumulates of a layer's E[z z^T], one an output; a guide that takes more is left."""


@torch.no_grad()
def reconstruct(
    module: nn.Module,
    original: nn.Module,
    masks: Mapping[str, Tensor],
    samples: Tensor,
    positions: int,
    generator: torch.Generator,
    guides: Mapping[str, Guide] | None = None,
) -> None:
    """Masks the layers of `module` and chooses kept weights and bias anew, layer after layer.

    In place, in one forward pass of `samples` through both networks. Grouped convolutions, whose
    filters see few inputs, and layers of more than MOST_INPUTS keep the weights that are not
    masked.

    Args:
        original: the network before pruning, of the same structure.
        masks: layer -> True where a weight stays, in the weight's shape.
        samples: (N, ...) inputs, one batch.
        positions: of a convolution's output positions at most so many a sample are drawn.
        guides: layer -> what errors count, where they do not count alike.
    """
    layers, sources = layers_of(module), layers_of(original)

    def choose_anew(name: str, taken: Tensor, _given: Tensor) -> Tensor:
        layer, source = layers[name], sources[name]
        before, now = taken.chunk(2)
        keep = masks[name].to(layer.weight.device)
        if getattr(layer, "groups", 1) == 1 and layer.weight[0].numel() <= MOST_INPUTS:
            guide = None if guides is None else guides[name]
            if guide is not None and _work(guide, _kept(keep)) <= MOST_WORK:
                solution = _guided(layer, source, before, now, _kept(keep), guide)
            else:
                moments, cross = _moments(layer, before, now, positions, generator)
                solution = _solve(moments, _rows(source) @ cross, _rows(layer), _kept(keep))
            layer.weight.copy_(solution[:, :-1].reshape(layer.weight.shape))
            assert layer.bias is not None  # prepare gives every layer one
            layer.bias.copy_(solution[:, -1])
        layer.weight.mul_(keep)
        # Not called as a module: that would visit the layer once more.
        return torch.cat([source.forward(before), layer.forward(now)])

    visited(module, torch.cat([samples, samples]), choose_anew)


def _rows(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """(outputs, inputs + 1): the weights, the bias behind them."""
    assert layer.bias is not None  # prepare gives every layer one
    return torch.cat([layer.weight.flatten(1), layer.bias[:, None]], 1).double().cpu()


def _kept(keep: Tensor) -> Tensor:
    return F.pad(keep.flatten(1), (0, 1), value=True).cpu()


def _moments(
    layer: nn.Conv2d | nn.Linear,
    before: Tensor,
    now: Tensor,
    positions: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Means of z z^T and of x z^T, (inputs + 1) square, x in `before` and z in `now`."""
    size = layer.weight[0].numel() + 1
    moments, cross = torch.zeros(2, size, size, dtype=torch.double)
    count = 0
    for x, z in zip(torch.split(before, BATCH), torch.split(now, BATCH), strict=True):
        x, z = _seen(layer, x, z, draw(_places(layer, x), positions, generator))
        # Float32 within a batch of rows: what it loses is far below the damping.
        moments += (z.T @ z).double().cpu()
        cross += (x.T @ z).double().cpu()
        count += len(z)
    return moments / count, cross / count


def _work(guide: Guide, kept: Tensor) -> int:
    """Multiply-accumulates of a guided layer's E[z z^T]."""
    return len(guide.counts) * int(kept.sum(1).square().sum())


def _guided(
    layer: nn.Conv2d | nn.Linear,
    source: nn.Conv2d | nn.Linear,
    before: Tensor,
    now: Tensor,
    keep: Tensor,
    guide: Guide,
) -> Tensor:
    """What `_solve` gives, every output with the E[z z^T] of its own counts, of kept inputs."""
    parts = zip(torch.split(before, BATCH), torch.split(now, BATCH), guide.positions, strict=True)
    pairs = [_seen(layer, x, z, drawn) for x, z, drawn in parts]
    x, z = (torch.cat(part) for part in zip(*pairs, strict=True))
    wanted = x @ _rows(source).to(x).T
    so_far = _rows(layer)
    solution = torch.zeros_like(so_far)
    damping = DAMPING * float(z.square().mean()) + 1e-12
    for row, known in enumerate(keep):
        inputs, counts = z[:, known.to(z.device)], guide.counts[:, row, None]
        counted = (inputs * counts).T
        moments = (counted @ inputs).double().cpu() / len(z)
        right = (counted @ wanted[:, row, None]).double().cpu() / len(z)
        moments.diagonal().add_(damping)
        right += damping * so_far[row, known, None]
        found = torch.cholesky_solve(right, torch.linalg.cholesky(moments))
        solution[row, known] = found[:, 0]
    return solution


def _seen(
    layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor, drawn: Tensor
) -> tuple[Tensor, Tensor]:
    """(samples x drawn, inputs + 1) what outputs see at the same positions of x and of z."""
    if isinstance(layer, nn.Conv2d):
        x, z = _windows(layer, torch.cat([x, z], 1), drawn).chunk(2, 1)
    return F.pad(x, (0, 1), value=1.0), F.pad(z, (0, 1), value=1.0)


def _map(layer: nn.Conv2d, taken: Tensor) -> tuple[int, int]:
    """(height, width) of the layer's output for `taken`."""
    sizes = zip(
        taken.shape[2:],
        *(pair(one) for one in (layer.padding, layer.dilation, layer.kernel_size, layer.stride)),
        strict=True,
    )
    height, width = ((n + 2 * pad - d * (k - 1) - 1) // step + 1 for n, pad, d, k, step in sizes)
    return height, width


def _places(layer: nn.Conv2d | nn.Linear, taken: Tensor) -> int:
    """Positions of the layer's output for `taken`."""
    return math.prod(_map(layer, taken)) if isinstance(layer, nn.Conv2d) else 1


def _windows(layer: nn.Conv2d, taken: Tensor, drawn: Tensor) -> Tensor:
    """(samples x drawn, in x kernel) what single outputs of the layer see.

    Only the windows at the drawn positions are laid out: all of them would be most of the work.
    """
    (up, left), (_, kw) = pair(layer.padding), pair(layer.kernel_size)
    stride, dilation = pair(layer.stride), pair(layer.dilation)
    _, width = _map(layer, taken)
    padded = F.pad(taken, (left, left, up, up))
    place = torch.arange(math.prod(pair(layer.kernel_size)))
    rows = (drawn // width * stride[0])[:, None] + place // kw * dilation[0]
    columns = (drawn % width * stride[1])[:, None] + place % kw * dilation[1]
    seen = padded[:, :, rows.to(taken.device), columns.to(taken.device)]
    return seen.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)


def _solve(moments: Tensor, wanted: Tensor, so_far: Tensor, keep: Tensor) -> Tensor:
    """(rows, inputs + 1): H_kk v_k = wanted_k, damped towards `so_far`, v = 0 where not kept.

    Rows that keep about as many inputs are solved together, in systems of that many unknowns.
    """
    damping = DAMPING * moments.diagonal().mean() + 1e-12
    damped = moments + damping * torch.eye(len(moments), dtype=moments.dtype)
    right = wanted + damping * so_far
    solution = torch.zeros_like(wanted)
    if bool((keep == keep[0]).all()):  # whole inputs are gone: one system for all rows
        known = keep[0]
        factor = torch.linalg.cholesky(damped[known][:, known])
        solution[:, known] = torch.cholesky_solve(right[:, known].T, factor).T
        return solution
    counts = keep.sum(1)
    order = counts.argsort()
    at = 0
    while at < len(order):
        # Counts rise: what the last row of as many as would fit needs is room for all of them.
        most = max(1, _ROOM // int(counts[order[at]]) ** 2)
        while most > 1 and int(counts[order[at : at + most]][-1]) ** 2 * most > _ROOM:
            most = (most + 1) // 2
        rows = order[at : at + most]
        solution[rows] = _solve_rows(damped, right[rows], keep[rows])
        at += most
    return solution


def _solve_rows(damped: Tensor, right: Tensor, keep: Tensor) -> Tensor:
    """The kept unknowns of each row; rows that keep fewer than others are filled up with zeros."""
    size = int(keep.sum(1).max())
    # A stable sort of what is not kept brings the kept inputs to the front, in order.
    index = (~keep).to(torch.uint8).argsort(dim=1, stable=True)[:, :size]
    known = keep.gather(1, index)
    system = damped[index[:, :, None], index[:, None, :]]
    system = torch.where(known[:, :, None] & known[:, None, :], system, 0.0)
    system += torch.diag_embed((~known).to(damped.dtype))
    factor = torch.linalg.cholesky(system)
    found = torch.cholesky_solve((right.gather(1, index) * known)[:, :, None], factor)[:, :, 0]
    return torch.zeros_like(right).scatter_(1, index, found * known)
