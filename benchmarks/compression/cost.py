"""What sensitivities cost and are worth, attributed over few samples or many."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.compression.bench import Bench, Row
from benchmarks.compression.bits import WIDTHS, quantized
from passes._allocation_bits import least_error
from passes._graph import layers_of
from passes._sensitivity import SENSITIVITIES

LEVELS = (16, 32, 64, 128, 256)
"""Samples of attribution."""

BITS = (2.5, 3.0)
"""Mean bits a weight that accuracy is measured at, without training."""

METHODS = ("deeplift", "hessian")
"""Sensitivities that samples are attributed for; each is a criterion too."""


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """One row a number of samples: processor time, and accuracies as `quantize` gives them."""
    bench.attributed(method, seed, 2)  # imports and first calls take seconds, once
    for samples in bench.levels(LEVELS):
        model = bench.attributed(method, seed, samples)
        started = time.process_time()
        with bench.context(seed) as ctx:
            errors = SENSITIVITIES[method](model, WIDTHS, ctx)
        cost = bench.seconds[method, seed, samples] + time.process_time() - started
        row: Row = {"level": samples, "cost": round(cost, 3)}
        layers = layers_of(model.module)
        sizes = [layer.weight.numel() for layer in layers.values()]
        for bits in BITS:
            widths = least_error([errors[name] for name in layers], sizes, bits)
            row[f"at {bits:g}"] = quantized(bench, model, widths, seed).accuracy
        yield row
