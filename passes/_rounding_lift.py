"""What rounding a layer's weights does to the output, by DeepLIFT, signs and all.

DeepLIFT against the sample itself, run through the network with all of its weights rounded to many
bits: the difference of the output is then, exactly, the sum over layers of multiplier x (rounding
error of the weights, applied to what the layer takes). A layer's sum for a sample keeps its signs,
so that errors which cancel do so here too, and those which pull one way, as where coarse rounding
leaves little of a layer, are told in full.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compiler.stages import ScoredModel
from passes._graph import layers_of, placed
from passes._relevance import choose
from passes._threads import threads_for
from passes.base import Context
from passes.deeplift import Attribution, attribute_targets, target_coefficients

SAMPLES = 256
"""Training samples at most: what a sum of signs needs to be sure of."""
BATCH = 64

Rounded = Mapping[str, Mapping[int, Tensor]]
"""Layer -> bits -> its weights rounded."""


def output_shifts(
    model: ScoredModel, weights: Mapping[str, Tensor], rounded: Rounded, ctx: Context
) -> dict[str, dict[int, float]]:
    """Layer -> bits -> mean over samples and targets of |what its rounding moves the target by|.

    Args:
        weights: layer -> its weights before rounding.
    """
    return {
        name: {width: float(shifts.abs().mean()) for width, shifts in table.items()}
        for name, table in signed_shifts(model, weights, rounded, ctx).items()
    }


def signed_shifts(
    model: ScoredModel, weights: Mapping[str, Tensor], rounded: Rounded, ctx: Context
) -> dict[str, dict[int, Tensor]]:
    """Layer -> bits -> (samples x targets,) what its rounding moves the target by.

    Those at the most bits sum over layers to what rounding all of them to these does, exactly.
    """
    module = copy.deepcopy(placed(model.module, ctx.device)).eval()
    layers = layers_of(module)
    finest = {name: table[max(table)] for name, table in rounded.items()}
    widths = sorted(next(iter(rounded.values())))
    errors = {
        name: {w: (rounded[name][w] - weights[name]).to(layers[name].weight) for w in widths}
        for name in layers
    }
    found: dict[str, dict[int, list[Tensor]]] = {name: {w: [] for w in widths} for name in layers}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(weights[name])

    def visit(attribution: Attribution) -> None:
        for name, layer in layers.items():
            at = attribution.layers[name]
            for width in widths:
                moved = _applied(layer, at.reference_inputs, errors[name][width])
                shift = (moved * at.multiplier).flatten(1).sum(1, dtype=torch.float64)
                found[name][width].append(shift.cpu())

    for inputs, labels in _batches(model, ctx):
        with torch.no_grad():
            logits = module(inputs)
        coefficients = target_coefficients(model.relevance.target, logits, labels, inputs)
        attribute_targets(
            module, inputs, inputs, coefficients, layers, visit,
            reference_as=lambda: _weights_of(layers, finest),
        )  # fmt: skip
    return {
        name: {width: torch.cat(parts) for width, parts in table.items()}
        for name, table in found.items()
    }


def _batches(model: ScoredModel, ctx: Context) -> Iterator[tuple[Tensor, Tensor]]:
    samples = min(SAMPLES, model.relevance.samples or SAMPLES)
    picked, _ = choose(ctx.data, samples, ctx.rng("sensitivity"))
    with threads_for(model.network.macs, BATCH):
        for at in range(0, len(picked), BATCH):
            part = picked[at : at + BATCH]
            yield (
                torch.from_numpy(ctx.data.train_x[part]).to(ctx.device),
                torch.from_numpy(ctx.data.train_y[part]).to(ctx.device),
            )


def _applied(layer: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    """What `layer` makes of its inputs with other weights and no bias."""
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(
            inputs, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
        )
    return F.linear(inputs, weight)


@contextmanager
def _weights_of(
    layers: Mapping[str, nn.Module], weights: Mapping[str, Tensor]
) -> Iterator[Sequence[Tensor]]:
    """The layers with other weights for the length of the block."""
    parameters = {name: layer.get_parameter("weight") for name, layer in layers.items()}
    kept = [parameter.detach().clone() for parameter in parameters.values()]
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    try:
        yield kept
    finally:
        with torch.no_grad():
            for parameter, before in zip(parameters.values(), kept, strict=True):
                parameter.copy_(before)
