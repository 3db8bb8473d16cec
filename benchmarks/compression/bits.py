"""Mixed precision of weights: sensitivities under one exact solver and one mean of bits."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

from benchmarks.compression.bench import Bench, Row
from benchmarks.compression.floats import RECIPES
from compiler.stages import ScoredModel
from passes._allocation_bits import least_error, mean
from passes._allocation_error import quantized
from passes._graph import accuracy, layers_of
from passes._sensitivity import SENSITIVITIES
from passes._statistics import output_statistics, restore_statistics
from passes._training import Schedule, fit

LEVELS = (2.5, 3.0, 4.0)
"""Bits a weight on average; uniform precision has whole numbers only."""

WIDTHS = (2, 3, 4, 5, 6, 8)
METHODS = ("uniform", *SENSITIVITIES)
NEEDS_ATTRIBUTION = ("deeplift", "hessian")


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """One row a level: accuracy with rounded weights, and after training with them rounded."""
    criterion = "hessian" if method == "hessian" else "deeplift"
    model = bench.attributed(criterion, seed)
    attributing = bench.seconds[criterion, seed] if method in NEEDS_ATTRIBUTION else 0.0
    started = time.perf_counter()
    errors: dict[str, dict[int, float]] = {}
    if method != "uniform":
        with bench.context(seed) as ctx:
            errors = SENSITIVITIES[method](model, WIDTHS, ctx)
    seconds = time.perf_counter() - started
    layers = layers_of(model.module)
    sizes = [layer.weight.numel() for layer in layers.values()]
    for level in LEVELS:
        if method == "uniform" and level != int(level):
            continue
        if method == "uniform":
            widths = tuple(int(level) for _ in layers)
        else:
            widths = least_error([errors[name] for name in layers], sizes, level)
        chosen = dict(zip(layers, widths, strict=True))
        yield {
            "level": level,
            "bits": list(widths),
            "mean": mean(sizes, widths),
            "before": _rounded_accuracy(bench, model, chosen, seed),
            "after": _trained_accuracy(bench, model, chosen, seed),
            "attributing": round(attributing, 2),
            "seconds": round(seconds, 2),
        }


def _rounded_accuracy(
    bench: Bench, model: ScoredModel, widths: Mapping[str, int], seed: int
) -> float:
    module = copy.deepcopy(model.module)
    samples = bench.samples(seed)
    wanted = output_statistics(module, samples)
    with torch.no_grad():
        for name, layer in layers_of(module).items():
            weight = layer.weight.numpy().astype(np.float64)
            layer.weight.copy_(torch.from_numpy(quantized(weight, widths[name], per_channel=True)))
    restore_statistics(module, wanted, samples)
    return accuracy(module, bench.data.test_x, bench.data.test_y)


class _Rounded(nn.Module):
    """A weight rounded in the forward pass, its gradient passed straight through."""

    def __init__(self, weight: torch.Tensor, width: int) -> None:
        super().__init__()
        self.top = 2 ** (width - 1) - 1
        rounded = quantized(weight.detach().numpy().astype(np.float64), width, per_channel=True)
        rows = torch.from_numpy(rounded).float().abs().flatten(1).amax(1).clamp_min(1e-12)
        self.scale = nn.Parameter(rows.reshape(-1, *[1] * (weight.dim() - 1)) / self.top)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = self.scale.abs().clamp_min(1e-12)
        steps = (weight / scale).clamp(-self.top, self.top)
        rounded: torch.Tensor = (steps + (steps.round() - steps).detach()) * scale
        return rounded


def _trained_accuracy(
    bench: Bench, model: ScoredModel, widths: Mapping[str, int], seed: int
) -> float | None:
    """After quantization-aware training of the weights, activations in float; None if not asked."""
    if not bench.settings.trained:
        return None
    module = copy.deepcopy(model.module)
    for name, layer in layers_of(module).items():
        nn.utils.parametrize.register_parametrization(
            layer, "weight", _Rounded(layer.weight, widths[name])
        )
    recipe = RECIPES[bench.name].schedule
    schedule = Schedule(
        bench.settings.trained,
        lr=0.005,
        decay=1e-4,
        shift=recipe.shift,
        mirror=recipe.mirror,
        clip=1.0,
        precision=recipe.precision,
    )
    fit(module, bench.data, schedule, seed)
    return accuracy(module, bench.data.test_x, bench.data.test_y)
