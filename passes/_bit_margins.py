"""What one bit less or more of a layer's weights would have done, as the allocation models it."""

from __future__ import annotations

from compiler.stages import BitMargin, ScoredModel
from passes.allocate import layer_errors
from passes.quantize import BITS


def bit_margins(model: ScoredModel) -> dict[str, BitMargin]:
    """Layer -> modelled error round its bits, by DeepLIFT; empty where nothing was allocated."""
    if model.allocation is None:
        return {}
    chosen = {name: choice.weight_bits for name, choice in model.allocation.layers.items()}
    widths = sorted({near for bits in chosen.values() for near in _near(bits)})
    errors = layer_errors(model, widths, ())
    relevance = {
        name: float(layer.channels.sum()) for name, layer in model.relevance.layers.items()
    }
    weight_bits = sum(layer.weights * chosen[layer.name] for layer in model.network.layers)
    found = {}
    for layer, error in zip(model.network.layers, errors, strict=True):
        bits = chosen[layer.name]
        found[layer.name] = BitMargin(
            bits=bits,
            error=error.weights[bits],
            less=error.weights[bits - 1] if bits - 1 in BITS else None,
            more=error.weights[bits + 1] if bits + 1 in BITS else None,
            relevance=relevance[layer.name] / (sum(relevance.values()) or 1.0),
            weights=layer.weights / model.network.weights,
            step=layer.weights / weight_bits,
        )
    return found


def _near(bits: int) -> list[int]:
    return [width for width in (bits - 1, bits, bits + 1) if width in BITS]
