"""One network on one family: FINN's foldings, and what our solver makes of their resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.folding import setfolding
from benchmarks.folding.price import Arithmetic, Built, build, calibrated, extrapolated
from benchmarks.folding.setfolding import WIDTHS, Node, SetFolding
from benchmarks.folding.vivado import finns
from hw_targets import finn_adapter
from hw_targets.boards import Board
from hw_targets.cost import estimate_many
from hw_targets.cost.features import Unit
from hw_targets.cost.layer import matrix_kernel
from hw_targets.cost.model import as_row
from hw_targets.cost.shell import shell_estimate
from hw_targets.families import RESOURCES
from hw_targets.network import NetworkShape
from passes import _allocation_solve as solve
from passes._allocation_build import build_space
from passes._allocation_space import ACT, RANKS, Space

Row = dict[str, Any]
Costs = NDArray[np.float64]
ARITHMETICS: tuple[Arithmetic, ...] = ("lut", "dsp")
Units = Literal["ours", "finns"]
NO_RATE = 1 << 62
TIME_LIMIT_S = 60.0
"""Of one search for the fastest design."""
FINE = 2 ** (1 / 8)
"""Steps of the targets that are tried to fill a board."""


@dataclass(frozen=True)
class Folded:
    """A folding of FINN's, as units of ours. uncalibrated: its cost is not known.

    priced: the units whose cost it is, ours or FINN's own.
    """

    target: int
    width: int
    arithmetic: Arithmetic
    nodes: tuple[Node, ...]
    built: Built
    priced: tuple[Unit, ...]
    cost: Costs

    @property
    def interval(self) -> int:
        return setfolding.interval(self.nodes)

    @property
    def uncalibrated(self) -> bool:
        return bool(np.isnan(self.cost).any())

    def row(self, family: str) -> Row:
        matrices = [[node.pe, node.simd] for node in self.nodes if node.kind == "MVAU"]
        return {
            "interval": self.interval,
            "modelled_interval": self.built.cycles,
            "folding": matrices,
            "parallel_windows": sum(node.parallel_window for node in self.nodes),
            "calibrated": calibrated(self.priced, family),
            "cost": None if self.uncalibrated else _cost(self.cost),
        }


class Case:
    """One network, bits and board, with the graph and the space that all comparisons use."""

    def __init__(
        self, network: NetworkShape, bits: int, board: Board, graph: Path, finn: SetFolding
    ) -> None:
        """graph: the network's lowered FINN graph, with these bits. finn: opened on it."""
        self.network, self.bits, self.board, self.graph, self.finn = (
            network,
            bits,
            board,
            graph,
            finn,
        )
        self._strict: dict[Arithmetic, Space] = {}

    @cached_property
    def free(self) -> Space:
        """All foldings, arithmetics and memories of ours."""
        return build_space(self.network, self.board, (self.bits,), (self.bits,))

    def strict(self, arithmetic: Arithmetic) -> Space:
        """Foldings alone: one arithmetic, memories placed by size, thresholds, as FINN's are."""
        if arithmetic not in self._strict:
            self._strict[arithmetic] = self._foldings_alone(arithmetic)
        return self._strict[arithmetic]

    def _foldings_alone(self, arithmetic: Arithmetic) -> Space:
        keep = (self.free.graph.ranks % RANKS != ACT) | (self.free.decided[:, 2] == 0)
        for index, layer in enumerate(self.network.layers):
            in_bits = self.bits if index else self.network.input_bits
            for edge in self.free.of_layer(index).tolist():
                _, pe, simd, dsp, block = self.free.decided[edge].tolist()
                mvu = matrix_kernel(layer, self.bits, pe, simd, in_bits, False, arithmetic, "auto")
                placed = mvu.rom_style == "block"
                keep[edge] = bool(dsp) == (arithmetic == "dsp") and bool(block) == placed
        return self.free.subset(keep)

    def foldings(self, units: Units = "ours", step: float = 2.0) -> Iterator[Folded]:
        """FINN's distinct foldings over a ladder of targets, FINN's default width first.

        units: whose units they cost; FINN's are known on 7 series alone.
        """
        seen: set[tuple[Node, ...]] = set()
        for target in setfolding.ladder(max(layer.macs for layer in self.network.layers), step):
            for width in WIDTHS:
                nodes = self.finn.apply(target, width)
                if nodes in seen:
                    continue
                seen.add(nodes)
                for arithmetic in ARITHMETICS:
                    built = build(self.network, nodes, self.bits, arithmetic)
                    priced = finns(built.kernels) if units == "finns" else built.kernels
                    cost = estimate_many(priced, self.board.family).sum(axis=0)
                    yield Folded(target, width, arithmetic, nodes, built, priced, cost)

    def ours(self, arithmetics: Sequence[Arithmetic], budget: Costs) -> Row:
        """Our fastest designs within `budget`: by what may be chosen, a row, None: nothing fits.

        free, strict: in the compiler's space, all of it or foldings alone, of the best of
        `arithmetics`.
        """
        limits = solve.Limits(budget, NO_RATE, float(self.bits))
        spaces = [self.strict(each) for each in arithmetics]
        return {
            "free": self._row(solve.least_interval(self.free, limits, TIME_LIMIT_S)),
            "strict": self._row(
                _best(solve.least_interval(each, limits, TIME_LIMIT_S) for each in spaces)
            ),
        }

    def whole_board(self, share: float, units: Units = "ours", step: float = FINE) -> Row:
        """The fastest designs within a share of the board: FINN's of every target, and ours.

        FINN's are priced outside the calibrated domain too, by the same formulas; ours stay inside.
        """
        budget = np.array([self.board.budget(share)[name] for name in RESOURCES])
        budget = budget - as_row(shell_estimate(self.board, self.network))
        with extrapolated():
            fits = [each for each in self.foldings(units, step) if (each.cost <= budget).all()]
        best = min(fits, key=lambda folded: (folded.interval, folded.cost[0]), default=None)
        theirs = best and {
            "target": best.target,
            "width": best.width,
            "arithmetic": best.arithmetic,
            **best.row(self.board.family),
        }
        return {
            "budget": _cost(budget),
            "finn": theirs,
            **self.ours(ARITHMETICS, budget),
        }

    def _row(self, ours: solve.Solution | None) -> Row | None:
        """Our folding as a row; FINN's own cycles for it, read back from FINN's graph."""
        if ours is None:
            return None
        names = [layer.name for layer in self.network.layers]
        target = self.graph.parent / "ours.onnx"
        choices = dict(zip(names, ours.choices, strict=True))
        finn_adapter.fold(self.graph, target, self.network, choices)
        cycles = [node["cycles"] for node in finn_adapter.estimates(target).values()]
        return {
            "interval": ours.interval,
            "finn_interval": int(max(cycles)),
            "folding": [[choice.pe, choice.simd] for choice in ours.choices],
            "lanes": [list(astuple(choice.lanes)) for choice in ours.choices],
            "arithmetic": [choice.arithmetic for choice in ours.choices],
            "memory": [choice.memory for choice in ours.choices],
            "quantizer": [choice.quantizer for choice in ours.choices],
            "cost": _cost(ours.cost),
        }


def _best(found: Iterable[Any]) -> Any:
    """The fastest of those that there are, else None."""
    known = [each for each in found if each is not None]
    return min(known, key=lambda each: each.interval, default=None)


def _cost(values: Costs) -> list[float]:
    """LUT, FF, DSP, block RAM."""
    return [round(float(value), 1) for value in values]
