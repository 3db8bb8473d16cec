"""What an allocation weighs of a scored model: errors of its choices of bits, and who has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from compiler.stages import ScoredModel
from passes import _allocation_error as error
from passes._allocation_space import Errors
from passes._sensitivity import relevance


def layer_errors(
    model: ScoredModel,
    weight_bits: Sequence[int],
    act_bits: Sequence[int],
    weight_errors: Mapping[str, Mapping[int, float]] | None = None,
) -> tuple[Errors, ...]:
    """Modelled error of every layer's choices of bits, as shares of the relevance in a layer.

    Args:
        weight_errors: layer -> weight bits -> error; "deeplift-relevance" by default.
    """
    whole = error.scale(model.relevance.layers)
    governors = governing(model)
    by_weight = weight_errors or relevance(model, weight_bits)
    signed = {unit.governor for unit in model.network.units if unit.signed and unit.governor}
    found: list[Errors] = []
    for layer in model.network.layers:
        of_layer, by_act = model.relevance.layers[layer.name], {}
        if layer.name in governors:
            by_act = error.activation_errors(of_layer, act_bits, signed=layer.name in signed)
        found.append(
            Errors(
                {bits: value / whole for bits, value in by_weight[layer.name].items()},
                {bits: value / whole for bits, value in by_act.items()},
            )
        )
    return tuple(found)


def governing(model: ScoredModel) -> dict[str, list[str]]:
    """Layer -> the ReLUs whose bits are its activation bits; [] for the one of a chain."""
    if model.network.chain:
        return {layer.name: [] for layer in model.network.layers if layer.activation}
    from passes._graph import activation_sources

    found: dict[str, list[str]] = {}
    for relu, layer in activation_sources(model.module).items():
        found.setdefault(layer, []).append(relu)
    return found


def governed_elements(model: ScoredModel) -> dict[str, int]:
    """Layer -> how many activations a frame have its activation bits, of a graph."""
    from passes._graph import output_shapes

    shapes = output_shapes(model.module, model.input_shape)
    return {
        layer: sum(prod(shapes[relu]) for relu in relus)
        for layer, relus in governing(model).items()
    }
