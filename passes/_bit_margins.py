"""What one bit less or more of a layer's weights would have done, as the allocation models it."""

from __future__ import annotations

from compiler.stages import BitMargin, ScoredModel


def bit_margins(model: ScoredModel) -> dict[str, BitMargin]:
    """Layer -> modelled error round its bits, as allocated; empty where nothing was allocated."""
    if model.allocation is None or not model.allocation.errors:
        return {}
    chosen = {name: choice.weight_bits for name, choice in model.allocation.layers.items()}
    errors = model.allocation.errors
    relevance = {
        name: float(layer.channels.sum()) for name, layer in model.relevance.layers.items()
    }
    weight_bits = sum(layer.weights * chosen[layer.name] for layer in model.network.layers)
    found = {}
    for layer in model.network.layers:
        bits, error = chosen[layer.name], errors[layer.name]
        found[layer.name] = BitMargin(
            bits=bits,
            error=error[bits],
            less=error.get(bits - 1),
            more=error.get(bits + 1),
            relevance=relevance[layer.name] / (sum(relevance.values()) or 1.0),
            weights=layer.weights / model.network.weights,
            step=layer.weights / weight_bits,
        )
    return found
