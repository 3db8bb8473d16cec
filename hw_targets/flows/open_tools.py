"""The open flow as one plan: Yosys, nextpnr and its packer."""

from __future__ import annotations

from pathlib import Path

from hw_targets.families import load_family
from hw_targets.flows import netlist, nextpnr, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.shells.shell import Shell


def plan(shell: Shell, rtl: Path, seeds: int, *, allow_missed_clock: bool = False) -> BuildPlan:
    """From the accelerator in folder `rtl`, inside `shell`, to a bitstream.

    seeds: placements to try until the clock is met. allow_missed_clock: go on where none meets it.
    """
    unit, board = shell.accelerator, shell.board
    sources = (*unit.sources, *shell.sources)
    family = load_family(board.family)
    files: dict[str, bytes | Path] = {**unit.files(rtl), **shell.files()}
    files |= netlist.files(shell.top, sources, family)
    return BuildPlan(
        name=shell.top,
        files=files,
        steps=(
            *netlist.steps((*sources, *unit.memories), family),
            *nextpnr.steps(
                board,
                shell.constraints,
                shell.mhz,
                seeds,
                allow_missed_clock=allow_missed_clock,
            ),
        ),
        products=(nextpnr.TARGETS[board.flow].bitstream, nextpnr.REPORT, yosys.STATISTICS),
    )
