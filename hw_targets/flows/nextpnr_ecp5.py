"""nextpnr-ecp5 and ecppack: a netlist to a placed and routed bitstream, and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hw_targets.boards import Board
from hw_targets.errors import LiftFlowError
from hw_targets.flows.plan import Step
from hw_targets.flows.tools import ECPPACK, NEXTPNR_ECP5
from hw_targets.flows.yosys import NETLIST

REPORT = "pnr.json"
CONFIG = "design.config"
BITSTREAM = "design.bit"

CLOCK_MISSED = r"Max frequency for clock.*FAIL"
"""nextpnr's own words when a clock is missed: the only failure another seed can mend."""

_SIZES = {"12F": "--12k", "25F": "--25k", "45F": "--45k", "85F": "--85k"}
_CELLS = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}


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
    board: Board, constraints: str, seeds: int, *, allow_missed_clock: bool = False
) -> tuple[Step, Step]:
    """Place and route with up to `seeds` seeds until the clock is met, then pack the bitstream.

    allow_missed_clock: where none meets it, the first one's design is taken all the same.

    Raises:
        LiftFlowError: nextpnr has no such device.
    """
    size = next((flag for name, flag in _SIZES.items() if f"-{name}-" in board.part), None)
    if size is None:
        raise LiftFlowError(
            f"no ECP5 size in part {board.part!r}",
            where=board.name,
            mend=f"parts are named LFE5U-<size>-..., size one of {', '.join(_SIZES)}",
        )
    common = (
        *(size, "--package", board.package, "--speed", board.speed_grade),
        *("--json", NETLIST, "--lpf", constraints, "--textcfg", CONFIG, "--report", REPORT),
    )
    attempts: list[tuple[str, ...]] = [
        (*common, "--seed", str(seed)) for seed in range(1, seeds + 1)
    ]
    if allow_missed_clock:
        attempts.append((*attempts[0], "--timing-allow-fail"))
    place = Step(
        name="place-and-route",
        tool=NEXTPNR_ECP5,
        attempts=tuple(attempts),
        inputs=(NETLIST, constraints),
        products=(CONFIG, REPORT),
        retry_on=CLOCK_MISSED,
    )
    pack = Step(
        name="pack-bitstream",
        tool=ECPPACK,
        attempts=(("--compress", "--input", CONFIG, "--bit", BITSTREAM),),
        inputs=(CONFIG,),
        products=(BITSTREAM,),
    )
    return place, pack


def report(path: Path) -> PlaceReport:
    """Read nextpnr's JSON report.

    Raises:
        LiftFlowError: the file is not what nextpnr writes.
    """
    try:
        data = json.loads(path.read_text())
        used = {name: cell["used"] for name, cell in data["utilization"].items()}
        clocks = {
            name: (float(clock["achieved"]), float(clock["constraint"]))
            for name, clock in data["fmax"].items()
        }
        resources = {name: float(used[cell]) for name, cell in _CELLS.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LiftFlowError(
            f"not a nextpnr report ({error})", where=str(path), mend="build it again"
        ) from error
    if not clocks:
        raise LiftFlowError("no clock in the timing report", where=str(path))
    return PlaceReport(resources, clocks)
