"""Edges where a stream is fixed: out of a layer, and into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from passes._allocation_branches import Exit, Range
from passes._allocation_price import Prices
from passes._allocation_space import DECIDED
from passes._allocation_stage import Block, Places, meetings


def exits(prices: Prices, places: Places, ways: Sequence[Exit], out_bits: int = 0) -> Block:
    """Edges from every place to the one node behind a layer, for each range of intervals.

    out_bits: of the activation that quantizes accumulators, 0 where none does.
    """
    rows = []
    for way in ways:
        span = way.span
        for b, bits in enumerate(places.bits):
            unit = prices.group(way.kernels(bits))
            for at, lanes in enumerate(places.lanes):
                if way.exact and lanes != span.lanes:
                    continue
                for group, until in meetings(prices, lanes, way.into(bits)):
                    tail = b * len(places.lanes) + at
                    rows.append((tail, group, unit, min(until, span.until), span.least))
    tails, groups, units, until, least = np.array(rows, dtype=np.int64).T
    decided = np.zeros((len(rows), DECIDED), dtype=np.int64)
    decided[:, 0] = out_bits
    return Block(
        tails=tails,
        heads=np.zeros_like(tails),
        ends=1,
        groups=np.stack([groups, units], axis=1),
        until=until,
        decided=decided,
        least=least,
    )


def entered(block: Block, places: Places, spans: Sequence[Range]) -> Block:
    """Edges from places of the lanes of `spans`, as edges from the one node before a layer."""
    least, until = (
        np.array([each for _ in places.bits for each in column], dtype=np.int64)[block.tails]
        for column in zip(*((span.least, span.until) for span in spans), strict=True)
    )
    return replace(
        block,
        tails=np.zeros_like(block.tails),
        until=np.minimum(block.until, until),
        least=np.maximum(block.least, least),
    )


def composed(first: Block, second: Block) -> Block:
    """Edges of two ranks as those of one, which decide what the first ones do."""
    order = np.argsort(second.tails, kind="stable")
    starts = np.searchsorted(second.tails[order], np.arange(first.ends + 1))
    counts = np.diff(starts)[first.heads]
    left = np.repeat(np.arange(len(first.tails)), counts)
    within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    right = order[starts[first.heads[left]] + within]
    return Block(
        tails=first.tails[left],
        heads=second.heads[right],
        ends=second.ends,
        groups=np.concatenate([first.groups[left], second.groups[right]], axis=1),
        until=np.minimum(first.until[left], second.until[right]),
        decided=first.decided[left],
        least=np.maximum(first.least[left], second.least[right]),
    )
