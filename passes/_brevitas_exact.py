"""The integers behind a quantized network, and how they are kept free of rounding doubts.

A layer with scales s_x (input), s_w[c] (weights), bias b[c] and output scale s_y computes, on the
accumulator a[c] = sum(x_int * w_int), the activation round((a * s_x * s_w[c] + b[c]) / s_y). In
hardware that is a count of thresholds T[c, k] = ((k - 1/2) * s_y - b[c]) / (s_x * s_w[c]) reached
by `a`. Only a threshold that is all but an integer could be decided differently by different
roundings; `settle` moves the biases so that there is none.
"""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from compiler.stages import streamed
from hw_targets import grid
from hw_targets.network import INPUT
from passes._brevitas_network import QuantNetwork
from passes._brevitas_quantizers import MIN_SCALE
from passes._brevitas_structure import deciders, greatest, grid_of
from passes._integer_conv import IntegerConv, fits
from passes._score import r_squared, score
from passes._threads import threads_for

if TYPE_CHECKING:
    from compiler.stages import FloatArray, InputFormat, LabelArray, TargetArray
    from hw_targets.network import Unit

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

BATCH = 256
ENCODED = 4096
"""Samples encoded at a time."""


def weight_scale(network: QuantNetwork, name: str) -> torch.nn.Parameter:
    """The learned weight scale of a layer, broadcastable to its weight."""
    scale: torch.nn.Parameter = network.layer(name).weight_quant.tensor_quant.scaling_impl.value
    return scale


def quantizer_scale(network: QuantNetwork, quantizer: str) -> torch.nn.Parameter:
    """The learned scale, a scalar, of a quantizer of activations."""
    module: Any = network.lf_quant[quantizer]
    proxy = module.act_quant.fused_activation_quant_proxy
    scale: torch.nn.Parameter = proxy.tensor_quant.scaling_impl.value
    return scale


def activation_scale(network: QuantNetwork, name: str) -> torch.nn.Parameter:
    """The learned scale, a scalar, of the first quantizer that takes what a layer gives."""
    return quantizer_scale(network, deciders(network.structure, name)[0].quantizer)


def grid_scale(network: QuantNetwork, name: str) -> float:
    """Scale of the integers that unit `name`, or `INPUT`, gives. ValueError where it gives none."""
    origin = grid_of(network.structure, name)
    if origin is None:
        raise ValueError(f"{name} gives no integers")
    if origin == INPUT:
        return float(np.float32(network.input_format.scale))
    return float(quantizer_scale(network, origin).item())


def input_scale(network: QuantNetwork, name: str) -> float:
    """Scale of the integers that enter layer `name`."""
    unit = next(unit for unit in network.structure if unit.name == name)
    return grid_scale(network, unit.inputs[0])


def integer_weights(network: QuantNetwork, name: str) -> Int64:
    """Weights of a layer on its integer grid, in the layer's own shape; of 1 bit -1 and 1."""
    with torch.no_grad():
        scale = weight_scale(network, name).double().clamp_min(MIN_SCALE)
        bits, weight = network.widths[name][0], network.layer(name).weight.double()
        limit = 2 ** (bits - 1) - 1
        if bits == 1:
            integers = torch.where(weight < 0, -1.0, 1.0)
        else:
            integers = torch.round(weight / scale).clamp(-limit, limit)
    return np.asarray(integers.cpu().numpy(), dtype=np.int64)


def settle(network: QuantNetwork) -> None:
    """Put weights, biases and scales exactly where the integers are.

    Changes no accuracy to speak of. Weights become integer x scale. Biases of layers whose output
    is quantized move, by less than the distance of two accumulator values, until no threshold lies
    within 1/8 of the mean threshold distance (modulo 1) of an integer. The last layer's bias
    becomes a multiple of its accumulator's step. Scales that round integers to other integers move
    by as many units in the last place as it takes that no integer lies on an edge.
    """
    with torch.no_grad():
        for quantizer, unit in network.quantizers().items():
            most = unit.most_scale(network.widths)
            quantizer_scale(network, quantizer).clamp_(min=MIN_SCALE, max=most)
        _part_scales(network)
        for shape in network.network.layers:
            _settle_layer(network, shape.name)


def _settle_layer(network: QuantNetwork, name: str) -> None:
    layer, scale = network.layer(name), weight_scale(network, name)
    scale.clamp_(min=MIN_SCALE)
    integers = torch.from_numpy(integer_weights(network, name)).to(scale)
    layer.weight.copy_(integers * scale)
    step = input_scale(network, name) * scale.double().cpu().numpy().reshape(-1)
    bias = layer.bias.double().cpu().numpy()
    units = deciders(network.structure, name)
    if units:
        edges = np.concatenate([_edges(network, unit) for unit in units])
        steps = np.broadcast_to(step, bias.shape)
        moved = [_clear(b, edges / s) * s for b, s in zip(bias / steps, steps, strict=True)]
        bias = np.array(moved, dtype=np.float64)
    else:
        bias = np.round(bias / step) * step
    layer.bias.copy_(torch.from_numpy(bias).to(layer.bias))


def _edges(network: QuantNetwork, unit: Unit) -> Float64:
    """Values at which the quantizer of `unit` goes from one integer to the next."""
    least, most = unit.limits(network.widths)
    scale = quantizer_scale(network, unit.quantizer).double().item()
    edges = (np.arange(least + 1, most + 1) - 0.5) * scale
    return edges.astype(np.float64)


def _part_scales(network: QuantNetwork) -> None:
    """Move scales until no integer that a quantizer takes lies exactly between two of its own."""
    structure = network.structure
    units = {unit.name: unit for unit in structure}
    most = greatest(structure, network.widths, max(map(abs, network.input_format.limits)))
    for quantizer, first in network.quantizers().items():
        taken = []
        for unit in structure:
            if unit.quantizer != quantizer:
                continue
            source, counts = units.get(unit.inputs[0]), range(1, 2)
            name = unit.inputs[0]
            if source is not None and source.kind == "average":
                # Windows at the border may hold fewer pixels.
                pixels = source.numbers[0] * source.numbers[1]
                counts = range(1 if len(source.numbers) > 2 else pixels, pixels + 1)
                name = source.inputs[0]
            if name in most:
                step = Fraction(grid_scale(network, name))
                taken += [(step / count, most[name] * count) for count in counts]
        scale = quantizer_scale(network, quantizer)
        while any(_meets_edges(step, Fraction(scale.item()), limit) for step, limit in taken):
            # A scale with a limit, which it may be at, has room below it.
            towards = torch.full_like(scale, 0.0 if first.limit else torch.inf)
            scale.copy_(torch.nextafter(scale, towards))


def _meets_edges(step: Fraction, scale: Fraction, most: int) -> bool:
    """Is some integer up to `most`, times `step`, a whole and a half times `scale`?

    n p / q = k + 1/2 in lowest terms asks that q is even and n a multiple of q / 2.
    """
    half, odd = divmod((step / scale).denominator, 2)
    return not odd and half <= most


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
    result = np.empty(samples.shape, dtype=np.float32)
    for at in range(0, len(samples), ENCODED):  # integers take twice the samples' memory
        result[at : at + ENCODED] = input_format.encode(samples[at : at + ENCODED]) * scale
    return result


def logits(network: QuantNetwork, samples: FloatArray) -> Float64:
    """Outputs in steps of the last accumulator, (samples, *outputs), by Brevitas itself.

    Brevitas's own forward runs in float64, where sums of products of float32 scales lose nothing
    that could reach a (settled) threshold.
    """
    return _logits(network, copy.deepcopy(network).cpu().double().eval(), samples)


def integer_logits(network: QuantNetwork, samples: FloatArray) -> Int64:
    """Outputs as the hardware has them, (samples, *outputs). Raises ValueError off the grid.

    What `logits` gives, several times sooner: convolutions sum integers, and quantizers work in
    one step.
    """
    exact = copy.deepcopy(network).cpu().double().eval()
    exact.fused = True
    _convolve_integers(exact)
    return rounded(_logits(network, exact, samples))


def _logits(network: QuantNetwork, exact: QuantNetwork, samples: FloatArray) -> Float64:
    """exact: copy of `network` in float64."""
    scale = float(np.float32(network.input_format.scale))
    with torch.no_grad(), threads_for(network.network.macs, BATCH):
        parts = []
        for at in range(0, len(samples), BATCH):
            encoded = network.input_format.encode(samples[at : at + BATCH]).astype(np.float64)
            parts.append(exact(torch.from_numpy(encoded * scale)).numpy())
    return np.concatenate(parts) / logit_step(network)


def _convolve_integers(network: QuantNetwork) -> None:
    """Convolutions of a network in float64 become `IntegerConv` where their sums allow it."""
    bound = max(map(abs, network.input_format.limits))
    most = greatest(network.structure, network.widths, bound)
    for unit in network.structure:
        layer: Any = network.layer(unit.name) if unit.kind == "layer" else None
        if not isinstance(layer, torch.nn.Conv2d):
            continue
        weight = torch.from_numpy(integer_weights(network, unit.name))
        if fits(weight, most[unit.inputs[0]]):
            step, scale = input_scale(network, unit.name), weight_scale(network, unit.name)
            steps = step * scale.detach().expand(len(weight), 1, 1, 1)
            # mypy takes assignment to a method for a mistake.
            setattr(layer, "_conv_forward", IntegerConv(layer, weight, step, steps))  # noqa: B010


def logit_step(network: QuantNetwork) -> float:
    """Float value of one count of the last accumulator."""
    name = network.network.layers[-1].name
    return input_scale(network, name) * float(weight_scale(network, name).item())


def rounded(found: Float64) -> Int64:
    """`logits` as integers. Raises ValueError off the grid."""
    off = grid.distance(found)
    if off > grid.tolerance(found):
        raise ValueError(f"logits are off the integer grid by {off}: settle the network first")
    return np.round(found).astype(np.int64)


def classes(network: QuantNetwork, samples: FloatArray) -> LabelArray:
    """Class of every sample: the first greatest integer logit, as the hardware decides."""
    return np.asarray(integer_logits(network, samples).argmax(axis=1), dtype=np.int64)


def answers(network: QuantNetwork, outputs: Int64) -> LabelArray:
    """What the hardware gives for outputs of its last accumulator, (samples, *outputs).

    The class of every sample, (samples,); of a regression all outputs, (samples, outputs), channels
    last.
    """
    return streamed(outputs) if network.network.regression else outputs.argmax(axis=1)


def accuracy(network: QuantNetwork, samples: FloatArray, wanted: TargetArray) -> float:
    """Share of samples classed right, or R^2 of a regression, by the exact integer outputs."""
    return measured(network, integer_logits(network, samples), wanted)


def measured(network: QuantNetwork, outputs: Int64, wanted: TargetArray) -> float:
    """`accuracy` of integer outputs."""
    if network.network.regression:
        return r_squared(outputs * logit_step(network), wanted)
    return score(outputs, wanted)
