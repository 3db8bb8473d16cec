"""Batch norms put back into a network they were folded out of, to train it, and folded again.

A network without norms trains slowly and at small rates only (Ioffe and Szegedy, ICML 2015, arXiv
1502.03167). A norm is put back so that nothing changes at first: it divides by the deviation the
layer's outputs have now and multiplies with it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from compiler.stages import Dataset, FoldedNorm
from passes._distributed import ALONE, Team
from passes._graph import layers_of
from passes._statistics import Statistics, output_statistics
from passes._training import Schedule, fit


@torch.no_grad()
def insert_norms(
    module: nn.Module, names: Iterable[str], statistics: Mapping[str, Statistics]
) -> None:
    """Each layer of `names` becomes a sequence of itself and a norm, which changes no output.

    In place. statistics: of the layers' outputs as they are.
    """
    layers = layers_of(module)
    for name in names:
        layer, found = layers[name], statistics[name]
        norm: nn.BatchNorm1d | nn.BatchNorm2d
        kind = nn.BatchNorm2d if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d
        norm = kind(len(layer.weight)).to(layer.weight.device)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(found.mean)
        norm.running_var.copy_(found.deviation**2)
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(found.mean)
        module.set_submodule(name, nn.Sequential(layer, norm))


@torch.no_grad()
def fold_norms(
    module: nn.Module, names: Iterable[str], norms: Mapping[str, FoldedNorm]
) -> dict[str, FoldedNorm]:
    """Folds the norms of `insert_norms` into their layers again, in place.

    Returns:
        `norms` with what these layers' weights were multiplied with by now.
    """
    found = dict(norms)
    for name in names:
        pair = module.get_submodule(name)
        assert isinstance(pair, nn.Sequential)
        layer, norm = pair
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        assert layer.bias is not None  # prepare gives every layer one
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
        module.set_submodule(name, layer)
        if name in found:
            gain = norm.weight.cpu().numpy()
            found[name] = FoldedNorm(gain, found[name].scale * scale.cpu().numpy())
    return found


def fit_with_norms(
    module: nn.Module,
    norms: Mapping[str, FoldedNorm],
    samples: Tensor,
    data: Dataset,
    schedule: Schedule,
    seed: int,
    device: str = "cpu",
    *,
    masks: Mapping[str, Tensor] | None = None,
    teacher: nn.Module | None = None,
    report: Callable[[float, float], None] | None = None,
    team: Team = ALONE,
) -> dict[str, FoldedNorm]:
    """`fit`, with the layers' norms put back meanwhile.

    Args:
        module: prepared network on the CPU, trained in place.
        norms: layer -> the batch norms that are folded into it.
        samples: one batch, that layers' statistics are measured on for the norms put back.
        masks: layer -> True where a weight may be other than zero.

    Returns:
        `norms` with what these layers' weights were multiplied with by now.
    """
    insert_norms(module, norms, output_statistics(module, samples))
    inner = {f"{n}.0" if n in norms else n: mask for n, mask in (masks or {}).items()}
    fit(
        module, data, schedule, seed, device, masks=inner, teacher=teacher, report=report, team=team
    )
    return fold_norms(module, norms, norms)
