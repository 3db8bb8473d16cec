"""nextpnr and its packers: a netlist to a placed and routed bitstream, and its report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hw_targets.boards import Board
from hw_targets.errors import LiftFlowError
from hw_targets.flows.plan import Step
from hw_targets.flows.tools import (
    ECPPACK,
    GOWIN_PACK,
    ICEPACK,
    NEXTPNR_ECP5,
    NEXTPNR_GOWIN,
    NEXTPNR_ICE40,
    Tool,
)
from hw_targets.flows.yosys import NETLIST

REPORT = "pnr.json"

CLOCK_MISSED = r"Max frequency for clock.*FAIL"
"""nextpnr's own words when a clock is missed: the only failure another seed can mend."""


@dataclass(frozen=True)
class Target:
    """One nextpnr and what belongs to it.

    sizes: part of a device's name -> the option that chooses it, or its die. chosen: options that
    name the device, with its `size`, `part`, `package` and `grade`. constraints, config: options
    that name the pins' file, `{}`, and what is written. pack: arguments that make `bitstream` of
    it. cells: resource -> how the report names what takes it, and how many each; where a cell holds
    a LUT and a register the latter are not told apart. preamble: what the device waits for at the
    beginning of a bitstream (Lattice, FPGA-TN-02039 and FPGA-TN-02001; Gowin's in text, UG290).
    """

    place: Tool
    packer: Tool
    sizes: Mapping[str, str]
    chosen: tuple[str, ...]
    constraints: tuple[str, ...]
    config: str
    layout: str
    pack: tuple[str, ...]
    bitstream: str
    cells: Mapping[str, Mapping[str, int]]
    preamble: bytes

    def device(self, board: Board, options: Sequence[str]) -> tuple[str, ...]:
        """Options with the board's device in them.

        Raises:
            LiftFlowError: nextpnr has no such device.
        """
        size = next((flag for name, flag in self.sizes.items() if name in board.part), None)
        if size is None:
            raise LiftFlowError(
                f"no size known of part {board.part!r}",
                where=board.name,
                mend=f"the part's name has one of {', '.join(self.sizes)} in it",
            )
        told = {
            "size": size, "part": board.part, "package": board.package,
            "lower_package": board.package.lower(), "grade": board.speed_grade,
        }  # fmt: skip
        return tuple(option.format_map(told) for option in options)


TARGETS: Mapping[str, Target] = {
    "ecp5": Target(
        place=NEXTPNR_ECP5,
        packer=ECPPACK,
        sizes={f"-{size}F-": f"--{size}k" for size in (12, 25, 45, 85)},
        chosen=("{size}", "--package", "{package}", "--speed", "{grade}"),
        constraints=("--lpf", "{}"),
        config="--textcfg",
        layout="design.config",
        pack=("--compress", "--input", "design.config", "--bit", "design.bit"),
        bitstream="design.bit",
        cells={
            "lut": {"TRELLIS_COMB": 1},
            "ff": {"TRELLIS_FF": 1},
            "dsp": {"MULT18X18D": 1},
            "bram": {"DP16KD": 1},
        },
        preamble=b"\xff\xff\xbd\xb3",
    ),
    "ice40": Target(
        place=NEXTPNR_ICE40,
        packer=ICEPACK,
        sizes={"UP5K": "--up5k"},
        chosen=("{size}", "--package", "{lower_package}"),
        constraints=("--pcf", "{}"),
        config="--asc",
        layout="design.asc",
        pack=("design.asc", "design.bin"),
        bitstream="design.bin",
        cells={"lut": {"ICESTORM_LC": 1}, "dsp": {"ICESTORM_DSP": 1}, "bram": {"ICESTORM_RAM": 1}},
        preamble=b"\x7e\xaa\x99\x7e",
    ),
    "gowin": Target(
        place=NEXTPNR_GOWIN,
        packer=GOWIN_PACK,
        sizes={"GW1NR-LV9": "GW1N-9C", "GW2AR-LV18": "GW2A-18C"},
        chosen=("--device", "{part}", "--vopt", "family={size}"),
        constraints=("--vopt", "cst={}"),
        config="--write",
        layout="placed.json",
        pack=("-d", "{size}", "-o", "design.fs", "placed.json"),
        bitstream="design.fs",
        # An adder takes the place of a LUT, a LUT RAM that of four.
        cells={
            "lut": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
            "ff": {"DFF": 1},
            "dsp": {"MULT18X18": 1, "MULT9X9": 1},
            "bram": {"BSRAM": 1},
        },
        preamble=b"1010010111000011",
    ),
}
"""Flow of a board -> its tools."""


@dataclass(frozen=True)
class PlaceReport:
    """What was placed (resource name -> count) and each clock's (reached, wanted) MHz."""

    resources: dict[str, float]
    clocks: dict[str, tuple[float, float]]

    @property
    def slowest_mhz(self) -> float:
        """MHz of the clock with the least margin; the shell has one clock besides the pin's."""
        return min(self.clocks.values(), key=lambda clock: clock[0] / clock[1])[0]


def steps(
    board: Board, constraints: str, mhz: float, seeds: int, *, allow_missed_clock: bool = False
) -> tuple[Step, Step]:
    """Place and route with up to `seeds` seeds until the clock is met, then pack the bitstream.

    mhz: of clocks that the constraints do not tell of. allow_missed_clock: where no seed meets the
    clock, the first one's design is taken all the same.

    Raises:
        LiftFlowError: nextpnr has no such device.
    """
    target = TARGETS[board.flow]
    common = (
        *target.device(board, target.chosen),
        *("--json", NETLIST),
        *(option.format(constraints) for option in target.constraints),
        *("--freq", f"{mhz:g}"),
        *(target.config, target.layout, "--report", REPORT),
    )
    attempts: list[tuple[str, ...]] = [
        (*common, "--seed", str(seed)) for seed in range(1, seeds + 1)
    ]
    if allow_missed_clock:
        attempts.append((*attempts[0], "--timing-allow-fail"))
    place = Step(
        name="place-and-route",
        tool=target.place,
        attempts=tuple(attempts),
        inputs=(NETLIST, constraints),
        products=(target.layout, REPORT),
        retry_on=CLOCK_MISSED,
        beside=True,
        minutes=480.0,
        checks={REPORT: partial(report, flow=board.flow)},
    )
    pack = Step(
        name="pack-bitstream",
        tool=target.packer,
        attempts=(target.device(board, target.pack),),
        inputs=(target.layout,),
        products=(target.bitstream,),
        minutes=30.0,
        checks={target.bitstream: partial(_has_preamble, preamble=target.preamble)},
    )
    return place, pack


def report(path: Path, flow: str) -> PlaceReport:
    """Read nextpnr's JSON report for a board of `flow`.

    Raises:
        LiftFlowError: the file is not what nextpnr writes.
    """
    try:
        data = json.loads(path.read_bytes())
        used = {name: cell["used"] for name, cell in data["utilization"].items()}
        resources = {
            name: float(sum(count * used[cell] for cell, count in cells.items()))
            for name, cells in TARGETS[flow].cells.items()
        }
        found = clocks(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_report(path, error) from error
    odd = {name: count for name, count in resources.items() if not 0 <= count < math.inf}
    if odd:
        raise _no_report(path, f"it counts {odd}")
    return PlaceReport(resources, found)


def clocks(path: Path) -> dict[str, tuple[float, float]]:
    """Each clock's (reached, wanted) MHz, from nextpnr's JSON report. Raises LiftFlowError."""
    try:
        found = {
            name: (float(clock["achieved"]), float(clock["constraint"]))
            for name, clock in json.loads(path.read_bytes())["fmax"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_report(path, error) from error
    if not found:
        raise _no_report(path, "it has no clock")
    odd = [name for name, both in found.items() if not all(0 < mhz < math.inf for mhz in both)]
    if odd:
        raise _no_report(path, f"clock {odd[0]} of {found[odd[0]]} MHz")
    return found


def _has_preamble(path: Path, preamble: bytes) -> None:
    with path.open("rb") as stream:
        if preamble not in stream.read(4096):
            raise LiftFlowError("not a bitstream", where=str(path), mend="build it again")


def _no_report(path: Path, error: Exception | str) -> LiftFlowError:
    return LiftFlowError(f"not a nextpnr report ({error})", where=str(path), mend="build it again")
