"""The RTL, what the tools made of it, and what goes to the board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from compiler.stages.samples import InputFormat, LabelArray
from compiler.stages.scored import Allocation
from hw_targets.network import NetworkShape


@dataclass(frozen=True)
class SimReport:
    """What RTL simulation measured over the whole test split.

    interval: clock cycles between frames in steady state; bound: the slowest unit's cycles;
    latency: cycles from the first beat in to the last one out, pipeline empty. fifo_held: most
    words of each FIFO when none was ever full, and frames came as fast as they can leave.
    """

    frames: int
    mismatches: int
    accuracy: float
    interval: int
    bound: int
    latency: int
    fifo_depths: Mapping[str, int]
    fifo_held: Mapping[str, int]
    stalled_frames: int


@dataclass(frozen=True)
class FinnUnits:
    """Layers whose matrix-vector unit is that of FINN's RTL library. cell: the board's multiplier.

    What such a unit costs is known to no model.
    """

    layers: tuple[str, ...] = ()
    cell: str = ""


@dataclass(frozen=True)
class RtlDesign:
    """A self-contained folder of RTL: sources, memories, top, manifest.json with its digest.

    predictions, step: as in QonnxModel.
    """

    name: str
    folder: Path
    digest: str
    input: InputFormat
    network: NetworkShape
    allocation: Allocation
    predictions: LabelArray
    units: tuple[UnitReport, ...]
    latency_estimate: int
    """Modelled clock cycles from a frame's first beat to its label."""
    finn: Path
    """The folded FINN graph the RTL was made from."""
    folding: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """FINN's folding configuration of that graph."""
    sim: SimReport | None = None
    step: float = 0.0
    finn_units: FinnUnits = FinnUnits()


@dataclass(frozen=True)
class UnitReport:
    """One hardware unit of the design: its kernel, cycles and modelled resources."""

    name: str
    kernel: str
    cycles: int
    resources: Mapping[str, float | None]


@dataclass(frozen=True)
class Resources:
    """Counts of one step of the flow; None where the step does not tell.

    uram: what Vivado made of UltraRAM by itself; no kernel asks for any.
    """

    lut: float | None = None
    ff: float | None = None
    dsp: float | None = None
    bram: float | None = None
    uram: float | None = None


@dataclass(frozen=True)
class Implementation:
    """What the tools made of the RTL.

    bitstream: file, or None with `skipped` saying what it needs. plan: folder of the build plan.
    clock_mhz: what the timing report reached, None where nothing was placed and routed. power_w:
    of the whole chip, as Vivado estimates it after routing; None where the flow has no such report.
    vendor_fps: frames a second by "FINN's estimate", "FINN's simulation", as far as it left them.
    flow: the tools, "open" (Yosys, nextpnr), "finn" or "vivado-rtl".
    """

    name: str
    design: RtlDesign
    board: str
    estimated: Resources
    synthesised: Resources
    placed: Resources
    budget: Resources
    clock_target_mhz: float
    clock_mhz: float | None
    bitstream: Path | None
    plan: Path
    skipped: str | None = None
    shell_frames: int = 0
    """Test samples sent through the whole simulated shell, every one answered as the model does."""
    baud: int | None = None
    """Rate of the shell's serial line; None on boards that have no serial shell of ours."""
    power_w: float | None = None
    vendor_fps: Mapping[str, float] = field(default_factory=dict)
    flow: Literal["open", "finn", "vivado-rtl"] = "open"


@dataclass(frozen=True)
class Deployment:
    """What goes to the board: folder with bitstream (or build plan), driver and README."""

    name: str
    folder: Path
    implementation: Implementation
    files: tuple[str, ...]
