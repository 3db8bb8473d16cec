"""Mixed precision of weights: sensitivities under one exact solver and one mean of bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.compression.bench import Bench, Row
from benchmarks.compression.floats import RECIPES
from compiler.stages import Allocation, LayerChoice, QuantModel, ScoredModel
from passes._allocation_bits import least_error, mean
from passes._graph import layers_of
from passes._sensitivity import SENSITIVITIES
from passes.allocate import governed_elements
from passes.quantize import Quantize
from passes.retrain import Retrain

LEVELS = (2.5, 3.0, 4.0)
"""Bits a weight on average; uniform precision has whole numbers only."""

ACT_BITS = 8
"""Of all activations: what is compared are bits of weights."""

EPOCHS = 4
WIDTHS = (2, 3, 4, 5, 6, 8)
METHODS = ("uniform", *SENSITIVITIES)


def tells(bench: Bench, method: str) -> bool:
    """Is a method another than the rest for this network?

    Where branches join, "deeplift" adds up the errors of single weights itself, as
    "deeplift-relevance" does in chains too.
    """
    network = bench.model.network
    return method != "deeplift-relevance" or network is None or network.chain


def run(bench: Bench, method: str, seed: int) -> Iterator[Row]:
    """One row a level: accuracy as `quantize` gives it, and after training by `retrain`."""
    criterion = "hessian" if method == "hessian" else "deeplift"
    model = bench.attributed(criterion, seed)
    errors: dict[str, dict[int, float]] = {}
    if method != "uniform":
        with bench.context(seed) as ctx:
            errors = SENSITIVITIES[method](model, WIDTHS, ctx)
    layers = layers_of(model.module)
    sizes = [layer.weight.numel() for layer in layers.values()]
    for level in bench.levels(LEVELS):
        if method == "uniform" and level != int(level):
            continue
        if method == "uniform":
            widths = tuple(int(level) for _ in layers)
        else:
            widths = least_error([errors[name] for name in layers], sizes, level)
        network = quantized(bench, model, widths, seed)
        row: Row = {
            "level": level,
            "bits": list(widths),
            "mean": mean(sizes, widths),
            "before": network.accuracy,
        }
        if bench.settings.trained:
            with bench.context(seed) as ctx:
                row["after"] = training(bench).run(network, ctx).accuracy
        yield row


def quantized(bench: Bench, model: ScoredModel, widths: Sequence[int], seed: int) -> QuantModel:
    """The model as `quantize` gives it with so many bits for the weights of each layer."""
    named = dict(zip(layers_of(model.module), widths, strict=True))
    with bench.context(seed) as ctx:
        return Quantize().run(allocated(model, named), ctx)


def allocated(model: ScoredModel, widths: Mapping[str, int]) -> ScoredModel:
    """The model with so many bits for the weights of its layers, ACT_BITS for all activations."""
    acting = governed_elements(model)
    choices = {
        name: LayerChoice(width, ACT_BITS if name in acting else 0, 1, 1, "lut", "auto", 1)
        for name, width in widths.items()
    }
    sizes = [layer.weights for layer in model.network.layers]
    bits = mean(sizes, list(widths.values()))
    allocation = Allocation("none", 1.0, choices, 1, {}, {}, 0.0, 0.0, bits)
    return replace(model, allocation=allocation)


def training(bench: Bench) -> Retrain:
    """A short schedule: as many images as asked for, in EPOCHS that the rate falls over."""
    recipe = RECIPES[bench.name].schedule
    return Retrain(
        epochs=EPOCHS,
        samples=bench.settings.trained // EPOCHS,
        batch=128,
        holdout=0.01,
        shift=recipe.shift,
        mirror=recipe.mirror,
        precision=bench.settings.precision,
    )
