"""Folding by rule for networks that branch, which the allocator gives bits alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

from compiler.stages import Allocation, LayerChoice, ScoredModel
from hw_targets.cost.model import Estimate
from hw_targets.lanes import divisors
from hw_targets.network import LayerShape
from hw_targets.rtl.kernel import Kernel
from passes import generate_rtl
from passes.allocate import Allocate
from passes.base import Context


def price_what_can_be() -> None:
    """Let `generate-rtl` report no cost for units of kinds that were never calibrated."""
    known = generate_rtl.estimate

    def estimate(kernel: Kernel, family: str) -> Estimate:
        try:
            return known(kernel, family)
        except KeyError:
            return Estimate(None, None, None, None)

    generate_rtl.estimate = estimate


LATE = 1.2
"""Cycles between frames over the slowest matrix: what windows and joins may take."""


@dataclass(frozen=True)
class ByHand(Allocate):
    """As `Allocate`; a network that branches is folded to at most `cycles` a frame by rule.

    Every layer has the fewest multipliers that keep `cycles`, and of those the fewest PE.
    """

    name: ClassVar[str] = Allocate.name
    uses: ClassVar[tuple[str, ...]] = (*Allocate.uses, "passes.allocate")

    cycles: int = 16384

    def run(self, model: ScoredModel, ctx: Context) -> ScoredModel:
        scored = super().run(model, ctx)
        if model.network.chain:
            return scored
        allocation = scored.allocation
        assert allocation is not None
        return replace(scored, allocation=folded(allocation, model.network.layers, self.cycles))


def folded(allocation: Allocation, layers: tuple[LayerShape, ...], cycles: int) -> Allocation:
    """The same bits with every layer folded."""
    choices: dict[str, LayerChoice] = {}
    for layer in layers:
        pe, simd = _folding(layer, cycles)
        mw, mh = layer.hardware_matrix
        taken = layer.pixels * mw * mh // (pe * simd)
        choices[layer.name] = replace(allocation.layers[layer.name], pe=pe, simd=simd, cycles=taken)
    slowest = max(choice.cycles for choice in choices.values())
    # Windows of depthwise layers and strides pass more than their matrix takes.
    return replace(allocation, layers=choices, interval=ceil(slowest * LATE))


def _folding(layer: LayerShape, cycles: int) -> tuple[int, int]:
    def size(option: tuple[int, int]) -> tuple[int, int]:
        return (option[0] * option[1], option[0])

    mw, mh = layer.hardware_matrix
    options = [o for o in _options(layer) if layer.pixels * mw * mh // (o[0] * o[1]) <= cycles]
    return min(options or [max(_options(layer), key=size)], key=size)


def _options(layer: LayerShape) -> Iterator[tuple[int, int]]:
    mw, mh = layer.hardware_matrix
    if layer.depthwise:
        yield from ((pe, 1) for pe in divisors(mh))
        return
    inputs = layer.in_channels if layer.kind == "conv" else mw
    for simd in divisors(inputs):
        yield from ((pe, simd) for pe in divisors(mh))
