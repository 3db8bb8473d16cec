"""Edges of one rank of a layer in columns, and those of a unit that takes any lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost.layer import joined
from hw_targets.rtl.kernel import Kernel, Stream
from passes._allocation_price import Prices
from passes._allocation_space import DECIDED, FOREVER, Floats, Integers

Allowed = NDArray[np.bool_]


@dataclass(frozen=True)
class Places:
    """The nodes between two ranks: every width with every number of lanes, lanes innermost.

    lanes: (0,) before the network's first unit, which takes as many as it likes.
    """

    bits: tuple[int, ...]
    lanes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.bits) * len(self.lanes)


@dataclass(frozen=True)
class Block:
    """Edges of one rank of a layer; ends count from the rank's first node.

    groups: (edges, n) numbers, in `Prices`, of the kernels that every edge has beside a
    matrix-vector unit: its width converters, its unit. until, decided: as `Space` has them. least:
    the interval that edges need beside what their kernels do.
    """

    tails: Integers
    heads: Integers
    ends: int
    groups: Integers
    until: Integers
    decided: Integers
    least: Integers
    mvu: dict[str, Floats] | None = None


@dataclass(frozen=True)
class Streamer:
    """A unit that may have any of some lanes, whatever lanes arrive.

    into: (bits, lanes) -> what it takes. kernels: (bits, bits it gives, lanes) -> what it is made
    of, with FIFOs; instead: the same made of other kernels, nothing where there are none. outs:
    bits it can give, None for those that come. allowed: (lanes that arrive, lanes).
    """

    lanes: tuple[int, ...]
    into: Callable[[int, int], Stream]
    kernels: Callable[[int, int, int], tuple[Kernel, ...]]
    outs: tuple[int, ...] | None = None
    allowed: Allowed | None = None
    instead: Callable[[int, int, int], tuple[Kernel, ...]] | None = None

    @property
    def made(self) -> tuple[Callable[[int, int, int], tuple[Kernel, ...]], ...]:
        """The ways it can be made, the usual one first."""
        return (self.kernels, self.instead) if self.instead else (self.kernels,)


def stage(
    prices: Prices, places: Places, unit: Streamer, *, merged: bool = False
) -> tuple[Block, Places]:
    """Edges from every place to the unit's, through width converters where lanes differ.

    Lanes that do not divide each other have two ways to meet, the second one for intervals that
    the first is too slow for. Of a unit that can be made in two ways, an edge says which
    (`decided`, third). merged: all of them lead to one node, the sink.
    """
    allowed = unit.allowed
    if allowed is None:
        allowed = np.ones((len(places.lanes), len(unit.lanes)), dtype=bool)
    ways = np.full((len(places.bits), *allowed.shape, 2), -1, dtype=np.int64)
    until = np.full(ways.shape, FOREVER, dtype=np.int64)
    for b, bits in enumerate(places.bits):
        for arriving, own in np.argwhere(allowed).tolist():
            into = unit.into(bits, unit.lanes[own])
            for way, (group, end) in enumerate(meetings(prices, places.lanes[arriving], into)):
                ways[b, arriving, own, way], until[b, arriving, own, way] = group, end
    made = [
        [
            [[kernels(bits, out, lanes) for lanes in unit.lanes] for out in unit.outs or (bits,)]
            for bits in places.bits
        ]
        for kernels in unit.made
    ]
    units = _numbered(prices, made)
    outs = unit.outs or places.bits
    m, b, arriving, o, own, way = (
        axis.ravel()
        for axis in np.indices(
            (len(units), *ways.shape[:2], units.shape[2], *ways.shape[2:]), dtype=np.int64
        )
    )
    real = (ways[b, arriving, own, way] >= 0) & (units[m, b, o, own] >= 0)
    m, b, arriving, o, own, way = (axis[real] for axis in (m, b, arriving, o, own, way))
    after = o if unit.outs else b
    decided = np.zeros((len(b), DECIDED), dtype=np.int64)
    decided[:, 0] = np.array(outs)[after]
    decided[:, 1] = np.array(unit.lanes)[own]
    decided[:, 2] = m
    ends = Places(outs, unit.lanes)
    block = Block(
        tails=b * len(places.lanes) + arriving,
        heads=np.zeros_like(b) if merged else after * len(unit.lanes) + own,
        ends=1 if merged else len(ends),
        groups=np.stack([ways[b, arriving, own, way], units[m, b, o, own]], axis=1),
        until=until[b, arriving, own, way],
        decided=decided,
        least=np.zeros_like(b),
    )
    return block, ends


def _numbered(prices: Prices, made: list[list[list[list[tuple[Kernel, ...]]]]]) -> Integers:
    """(ways, bits, outs, lanes) numbers of groups, -1 of a way besides the usual that is none."""
    return np.array(
        [
            [
                [[prices.group(unit) if unit or not way else -1 for unit in row] for row in table]
                for table in tables
            ]
            for way, tables in enumerate(made)
        ],
        dtype=np.int64,
    )


def meetings(prices: Prices, lanes: int, into: Stream) -> list[tuple[int, int]]:
    """Converters from `lanes` (0: as many as it takes) to what a unit takes, and until when.

    One group, or two where lanes do not divide each other.
    """
    small = joined(lanes or None, into, None)
    found = [(prices.group(small), FOREVER)]
    fast = joined(lanes or None, into, 0) if len(small) > 2 else small
    if fast != small:
        found.append((prices.group(fast), max(kernel.cycles for kernel in small)))
    return found


def through(prices: Prices, places: Places) -> Block:
    """Of a unit that the layer lacks: every place leads to itself."""
    ends = np.arange(len(places), dtype=np.int64)
    return Block(
        tails=ends,
        heads=ends,
        ends=len(places),
        groups=np.full((len(places), 2), prices.group(()), dtype=np.int64),
        until=np.full(len(places), FOREVER, dtype=np.int64),
        decided=np.zeros((len(places), DECIDED), dtype=np.int64),
        least=np.zeros_like(ends),
    )
