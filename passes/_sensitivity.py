"""How much a layer's rounded weights hurt, width by width: what the allocation minimises."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from compiler.stages import ScoredModel
from passes._allocation_error import quantized
from passes._graph import layers_of, placed, predict
from passes._relevance import Settings, measure
from passes._rounding_lift import output_shifts
from passes.base import Context

Errors = dict[str, dict[int, float]]
"""Layer -> weight bits -> error, in units that compare between layers."""

MEASURED = 256
"""Training samples of the measured sensitivity."""


def deeplift(model: ScoredModel, bits: Sequence[int], ctx: Context) -> Errors:
    """What the output moves by, by DeepLIFT: `shift` in chains, `relevance` where branches join.

    In a chain all of the signal goes through every layer, and what its errors do in common is what
    counts. A branch past a layer makes up for that; there the errors of single weights, taken for
    independent, tell more at few bits.
    """
    return shift(model, bits, ctx) if model.network.chain else relevance(model, bits)


def shift(model: ScoredModel, bits: Sequence[int], ctx: Context) -> Errors:
    """Mean over samples of |what rounding the layer moves the target by| (`_rounding_lift`)."""
    before, rounded = {}, {}
    for name, weight, per_channel in _weights(model):
        before[name] = torch.from_numpy(weight).float()
        rounded[name] = {
            width: torch.from_numpy(quantized(weight, width, per_channel=per_channel)).float()
            for width in bits
        }
    return output_shifts(model, before, rounded, ctx)


def relevance(model: ScoredModel, bits: Sequence[int], _ctx: Context | None = None) -> Errors:
    """Sum over weights of relevance x |rounding error|: what the output moves by, first order."""
    return _weighted(
        model, bits, lambda name, delta: float((_importance(model, name) * np.abs(delta)).sum())
    )


def comparable(errors: Errors, model: ScoredModel) -> Errors:
    """Errors of another sensitivity in DeepLIFT's units, to stand beside those of activations.

    One factor for all layers: that both sums over layers agree at the middle width.
    """
    widths = sorted(next(iter(errors.values())))
    middle = widths[len(widths) // 2]
    wanted = sum(table[middle] for table in relevance(model, (middle,)).values())
    total = sum(table[middle] for table in errors.values())
    factor = wanted / total if total else 1.0
    return {name: {w: e * factor for w, e in table.items()} for name, table in errors.items()}


def mse(model: ScoredModel, bits: Sequence[int], _ctx: Context) -> Errors:
    """Sum over weights of the squared rounding error."""
    return _weighted(model, bits, lambda _, delta: float((delta**2).sum()))


def hessian(model: ScoredModel, bits: Sequence[int], ctx: Context) -> Errors:
    """Mean Hessian diagonal of the loss x squared error, as HAWQ-v2 has it.

    The criterion "hessian" gives half the diagonal times the weight as the relevance a unit of
    weight; it is measured here unless `model` was scored by it. Source: Dong et al., NeurIPS 2020,
    arXiv 1911.03852.
    """
    if model.relevance.criterion != "hessian":
        settings = replace(Settings.like(model.relevance, 64), criterion="hessian")
        found = measure(model.module, ctx.data, settings, ctx.rng("attribute"), ctx.device)
        model = replace(model, relevance=found)

    def error(name: str, delta: NDArray[np.float64]) -> float:
        weight = model.module.get_parameter(f"{name}.weight").detach().abs().flatten(1)
        sizes = weight.double().sum(1).cpu().numpy()
        halves = _importance(model, name).reshape(len(sizes), -1).sum(1)
        diagonal = np.divide(2 * halves, sizes, out=np.zeros_like(sizes), where=sizes > 0)
        return 0.5 * float(diagonal.mean()) * float((delta**2).sum())

    return _weighted(model, bits, error)


def measured(model: ScoredModel, bits: Sequence[int], ctx: Context) -> Errors:
    """Divergence of the output with one layer rounded at a time: the reference for the others.

    Of classes' probabilities, or the mean squared change of a regression's outputs.
    """
    picked = ctx.rng("sensitivity").permutation(len(ctx.data.train_x))[:MEASURED]
    samples = ctx.data.train_x[picked]
    module = copy.deepcopy(placed(model.module, ctx.device))
    expected = torch.from_numpy(predict(module, samples, ctx.device))
    layers = layers_of(module)

    def error(name: str, delta: NDArray[np.float64]) -> float:
        weight = layers[name].weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.sub_(torch.from_numpy(delta.reshape(weight.shape)).to(weight))
            got = torch.from_numpy(predict(module, samples, ctx.device))
            weight.copy_(kept)
        if ctx.data.regression:
            return float(F.mse_loss(got, expected))
        logs = F.log_softmax(got, 1), F.log_softmax(expected, 1)
        return float(F.kl_div(*logs, reduction="batchmean", log_target=True).clamp_min(0))

    return _weighted(model, bits, error)


IN_OUTPUT = frozenset({"deeplift", "deeplift-relevance"})
"""Sensitivities whose errors are in units of the output, as those of activations are."""

SENSITIVITIES: dict[str, Callable[[ScoredModel, Sequence[int], Context], Errors]] = {
    "deeplift": deeplift,
    "deeplift-relevance": relevance,
    "mse": mse,
    "hessian": hessian,
    "measured": measured,
}


def _importance(model: ScoredModel, name: str) -> NDArray[np.float64]:
    return np.abs(model.relevance.layers[name].weights.astype(np.float64))


def _weighted(
    model: ScoredModel, bits: Sequence[int], error: Callable[[str, NDArray[np.float64]], float]
) -> Errors:
    """error(layer, rounding errors in the weight's shape) for every layer and width."""
    return {
        name: {
            width: error(name, weight - quantized(weight, width, per_channel=per_channel))
            for width in bits
        }
        for name, weight, per_channel in _weights(model)
    }


def _weights(model: ScoredModel) -> Iterator[tuple[str, NDArray[np.float64], bool]]:
    """Every layer's name, its weights, pruned ones 0, and whether channels have own scales."""
    *_, last = names = [layer.name for layer in model.network.layers]
    for name in names:
        parameter = model.module.get_parameter(f"{name}.weight")
        weight = parameter.detach().cpu().numpy().astype(np.float64)
        if name in model.masks:
            weight = weight * model.masks[name]
        yield name, weight, name != last
