"""The integers behind a quantized network, and how they are kept free of rounding doubts.

A layer with scales s_x (input), s_w[c] (weights), bias b[c] and output scale s_y computes, on the
accumulator a[c] = sum(x_int * w_int), the activation round((a * s_x * s_w[c] + b[c]) / s_y). In
hardware that is a count of thresholds T[c, k] = ((k - 1/2) * s_y - b[c]) / (s_x * s_w[c]) reached
by `a`. Only a threshold that is all but an integer could be decided differently by different
roundings; `settle` moves the biases so that there is none.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from passes._brevitas_network import QuantNetwork
from passes._brevitas_quantizers import MIN_SCALE
from passes._threads import threads_for

if TYPE_CHECKING:
    from compiler.stages import FloatArray, InputFormat, LabelArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

BATCH = 256
GRID_TOLERANCE = 0.1
"""How far logits may lie off the accumulator's grid: the bias is a float32 multiple of the step."""


def weight_scale(network: QuantNetwork, name: str) -> torch.nn.Parameter:
    """The learned weight scale of a layer, broadcastable to its weight."""
    scale: torch.nn.Parameter = network.layer(name).weight_quant.tensor_quant.scaling_impl.value
    return scale


def activation_scale(network: QuantNetwork, name: str) -> torch.nn.Parameter:
    """The learned scale, a scalar, of the activation after a layer."""
    proxy = network.activation(name).act_quant.fused_activation_quant_proxy
    scale: torch.nn.Parameter = proxy.tensor_quant.scaling_impl.value
    return scale


def input_scale(network: QuantNetwork, name: str) -> float:
    """Scale of the integers that enter layer `name`."""
    names = [shape.name for shape in network.network.layers]
    index = names.index(name)
    if index == 0:
        return float(np.float32(network.input_format.scale))
    return float(activation_scale(network, names[index - 1]).item())


def integer_weights(network: QuantNetwork, name: str) -> Int64:
    """Weights of a layer on its integer grid, in the layer's own shape."""
    with torch.no_grad():
        scale = weight_scale(network, name).double().clamp_min(MIN_SCALE)
        limit = 2 ** (network.widths[name][0] - 1) - 1
        grid = torch.round(network.layer(name).weight.double() / scale).clamp(-limit, limit)
    return np.asarray(grid.cpu().numpy(), dtype=np.int64)


def settle(network: QuantNetwork) -> None:
    """Put weights and biases exactly where the integers are. Changes no accuracy to speak of.

    Weights become integer x scale. Biases before an activation move, by less than the distance of
    two accumulator values, until no threshold lies within 1/8 of the mean threshold distance
    (modulo 1) of an integer. The last layer's bias becomes a multiple of its accumulator's step.
    """
    with torch.no_grad():
        for shape in network.network.layers:
            layer, scale = network.layer(shape.name), weight_scale(network, shape.name)
            scale.clamp_(min=MIN_SCALE)
            integers = torch.from_numpy(integer_weights(network, shape.name)).to(scale)
            layer.weight.copy_(integers * scale)
            step = input_scale(network, shape.name) * scale.double().cpu().numpy().reshape(-1)
            bias = layer.bias.double().cpu().numpy()
            if shape.activation:
                activation_scale(network, shape.name).clamp_(min=MIN_SCALE)
                levels = np.arange(1, 2 ** network.widths[shape.name][1]) - 0.5
                edges = levels * activation_scale(network, shape.name).double().item()
                steps = np.broadcast_to(step, bias.shape)
                moved = [_clear(b, edges / s) * s for b, s in zip(bias / steps, steps, strict=True)]
                bias = np.array(moved, dtype=np.float64)
            else:
                bias = np.round(bias / step) * step
            layer.bias.copy_(torch.from_numpy(bias).to(layer.bias))


def _clear(bias: float, edges: Float64) -> float:
    """The bias nearest to `bias` that keeps `edges - bias` clear of integers.

    bias, edges: in accumulator steps. On the circle of fractions, K edges leave at least one gap
    of 1/K, so a clearance of 1/(8 K) on both sides can always be had.
    """
    fractions = np.sort(np.mod(edges, 1.0))
    clearance = 1.0 / (8 * len(fractions))
    least = fractions + clearance
    most = np.roll(fractions, -1) - clearance
    most[-1] += 1.0
    open_gap = most >= least
    least, most = least[open_gap], most[open_gap]
    turns = np.floor(bias) + np.array([[-1.0], [0.0], [1.0]])
    candidates = np.clip(bias, least + turns, most + turns)
    best = candidates.ravel()[np.argmin(np.abs(candidates - bias))]
    return float(best)


def on_grid(samples: FloatArray, input_format: InputFormat) -> FloatArray:
    """Samples as the host sends them: `InputFormat.encode`, times the scale."""
    scale = np.float32(input_format.scale)
    return np.asarray(input_format.encode(samples) * scale, dtype=np.float32)


def logits(network: QuantNetwork, samples: FloatArray) -> Float64:
    """Logits in steps of the last accumulator, (samples, classes).

    Brevitas's own forward runs in float64, where sums of products of float32 scales lose nothing
    that could reach a (settled) threshold.
    """
    exact = copy.deepcopy(network).cpu().double().eval()
    scale = float(np.float32(network.input_format.scale))
    encoded = network.input_format.encode(samples).astype(np.float64) * scale
    with torch.no_grad(), threads_for(network.network.macs, BATCH):
        parts = [exact(part).numpy() for part in torch.split(torch.from_numpy(encoded), BATCH)]
    return np.concatenate(parts) / logit_step(network)


def logit_step(network: QuantNetwork) -> float:
    """Float value of one count of the last accumulator."""
    name = network.network.layers[-1].name
    return input_scale(network, name) * float(weight_scale(network, name).item())


def integer_logits(network: QuantNetwork, samples: FloatArray) -> Int64:
    """Logits as the hardware has them, (samples, classes). Raises ValueError off the grid."""
    found = logits(network, samples)
    rounded = np.round(found)
    off = float(np.abs(found - rounded).max(initial=0.0))
    if off > GRID_TOLERANCE:
        raise ValueError(f"logits are off the integer grid by {off}: settle the network first")
    return rounded.astype(np.int64)


def classes(network: QuantNetwork, samples: FloatArray) -> LabelArray:
    """Class of every sample: the first greatest integer logit, as the hardware decides."""
    return np.asarray(integer_logits(network, samples).argmax(axis=1), dtype=np.int64)


def accuracy(network: QuantNetwork, samples: FloatArray, labels: LabelArray) -> float:
    """Share of samples classed right, by the exact integer logits."""
    return float((classes(network, samples) == labels).mean())
