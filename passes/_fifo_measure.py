"""A design in simulation whose FIFOs take their depths anew for every run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hw_targets.cost.backlog import backlogs, joins
from hw_targets.cost.latency import design_latency
from hw_targets.errors import VerificationError
from hw_targets.flows.process import USUAL, Limit
from hw_targets.flows.simulator import SimRun, Simulator, build
from hw_targets.rtl.design import LEAST_DEPTH, Design
from hw_targets.rtl.kernel import IntArray
from hw_targets.rtl.mvu import Mvu
from passes._fifo_sizing import Measured, Sizing, least_depths

STEADY = 3
"""Distances between frames that a measurement takes once the pipeline is full."""
SLACK = 0.005
"""How much longer the interval may become by shrinking FIFOs, relative."""


def patience(design: Design) -> int:
    """Cycles without a transfer that mean a deadlock, or FIFOs that hold up far too much.

    What fills a pipeline comes out after the latency, then a frame an interval.
    """
    return 2 * (design.bound_cycles + design_latency(design.units, design.links)) + 10_000


@dataclass(frozen=True)
class FifoBench:
    """design: with whatever depths. greatest: of each FIFO, those of whole frames where allowed."""

    design: Design
    simulator: Simulator
    greatest: tuple[int, ...]
    seed: int

    @classmethod
    def of(
        cls,
        design: Design,
        folder: Path,
        *,
        deepest: int,
        seed: int = 0,
        optimize: str = "-O2",
        limit: Limit = USUAL,
    ) -> FifoBench:
        """Writes and compiles the design in `folder`. deepest: greatest depth of any FIFO."""
        greatest = tuple(min(deepest, max(LEAST_DEPTH, link.stream.beats)) for link in design.links)
        deep = dataclasses.replace(design, fifo_depths=greatest)
        manifest = deep.write(folder)
        simulator = build(
            folder,
            manifest.top,
            manifest.sources,
            folder / "obj",
            links=[link.name for link in design.links],
            sizing=True,
            optimize=optimize,
            limit=limit,
        )
        return cls(design, simulator, greatest, seed)

    @cached_property
    def patience(self) -> int:
        return patience(self.design)

    @cached_property
    def frames(self) -> int:
        """Frames that a measurement sends: those under way at once, and what it measures."""
        latency = design_latency(self.design.units, self.design.links)
        return STEADY + -(-latency // self.design.bound_cycles)

    def run(self, frames: IntArray, depths: Sequence[int], pace: int = 0) -> SimRun:
        """Raises VerificationError for a deadlock."""
        return self.simulator.run(
            frames,
            self.design.input,
            self.design.output,
            seed=self.seed,
            patience=self.patience,
            depths=depths,
            pace=pace,
        )

    def least_depths(self, cycles: int | None = None) -> Sizing:
        """Depths that keep the throughput of deep FIFOs; see `_fifo_sizing.least_depths`.

        cycles: clock cycles that may be simulated, about; as many as it takes without.
        """
        frames = np.zeros((self.frames, self.design.input.elements), dtype=np.int64)
        simulations = None if cycles is None else cycles // (self.frames * self.design.bound_cycles)
        bound = self.design.bound_cycles
        links = self.design.links

        def measure(depths: tuple[int, ...], paced: bool) -> Measured | None:
            try:
                result = self.run(frames, depths, bound if paced else 0)
            except VerificationError:
                return None
            held = tuple(result.fifo_max[link.name] for link in links)
            distance = int(np.median(np.diff(result.ends)[-STEADY:]))
            return Measured(max(distance, bound), held)

        widths = [link.stream.width for link in links]
        return least_depths(
            measure,
            widths,
            self.greatest,
            expected=self.expected,
            groups=self.groups,
            slack=SLACK,
            simulations=simulations,
        )

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """FIFOs that are alike: before matrix-vector units, before joints, all others."""
        found: tuple[list[int], ...] = ([], [], [])
        at = 0
        for unit in self.design.units:
            kind = 0 if isinstance(unit.kernel, Mvu) else 1 if joins(unit.kernel) else 2
            for _ in unit.kernel.inputs:
                found[kind].append(at)
                at += 1
        found[2].append(at)
        return tuple(tuple(group) for group in found if group)

    @cached_property
    def expected(self) -> tuple[int, ...]:
        """What has to wait: a vector before a matrix-vector unit that goes over it several times,
        before a joint what comes early; two words elsewhere."""
        waiting = backlogs(self.design.units, self.design.links, self.design.bound_cycles)
        found: list[int] = []
        for unit in self.design.units:
            for _ in unit.kernel.inputs:
                link = self.design.links[len(found)]
                room = waiting.get(link.name, LEAST_DEPTH)
                if isinstance(unit.kernel, Mvu):
                    room = unit.kernel.column_folds if unit.kernel.row_folds > 1 else LEAST_DEPTH
                found.append(max(LEAST_DEPTH, room))
        return (*found, LEAST_DEPTH)
