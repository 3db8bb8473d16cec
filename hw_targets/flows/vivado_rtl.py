"""Zynq boards by Vivado alone: our RTL as an IP, a block design round it, a bitstream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hw_targets.families import Family
from hw_targets.flows import yosys
from hw_targets.flows.plan import BuildPlan, Step
from hw_targets.flows.tools import VIVADO_ALONE
from hw_targets.shells.dma_shell import LENGTH_BITS, TOP, DmaShell, processor_of

TCL = Path(__file__).parent / "tcl"
SCRIPTS = ("package_ip.tcl", "memories.tcl", "synthesize.tcl", "implement.tcl")
SETTINGS = "settings.tcl"

BITSTREAM = "design.bit"
HANDOFF = "design.hwh"
"""PYNQ finds it beside the bitstream, under the same name."""
UTILIZATION = "utilization.rpt"
TIMING = "timing.rpt"
POWER = "power.rpt"
PRODUCTS = (BITSTREAM, HANDOFF, UTILIZATION, TIMING, POWER)

DIRECTIVES = (
    ("Default", "Default"),
    ("Explore", "Explore"),
    ("ExtraTimingOpt", "AggressiveExplore"),
)
"""Of place_design and route_design (UG904), in the order to try them."""

CLOCK_MISSED = r"clock missed: worst setup slack"
"""implement.tcl's own words: the only failure that another directive can mend."""

FOLDER = "vivado"


def utilisation(shell: DmaShell, rtl: Path, family: Family) -> BuildPlan:
    """Plan that synthesises accelerator and DMA shell with Yosys, for their cell counts."""
    unit = shell.accelerator
    sources = (*unit.sources, *shell.sources)
    files: dict[str, bytes | Path] = {**unit.files(rtl), **shell.files()}
    files[yosys.SCRIPT] = yosys.script(TOP, sources, family).encode()
    step = yosys.counting("synthesise", (*sources, *unit.memories), family)
    return BuildPlan(f"{TOP}_{family.name}", files, (step,), (yosys.STATISTICS,))


def plan(
    shell: DmaShell, rtl: Path, clock_mhz: float, seeds: int, *, allow_missed_clock: bool = False
) -> BuildPlan:
    """Plan that packages the IP, synthesises the block design and implements it.

    rtl: folder of the accelerator. seeds: how many of `DIRECTIVES` to try until the
    clock is met. allow_missed_clock: where none meets it, the first one's design is taken.
    """
    unit = shell.accelerator
    files: dict[str, bytes | Path] = {f"rtl/{name}": path for name, path in unit.files(rtl).items()}
    files.update({f"rtl/{name}": data for name, data in shell.files().items()})
    files.update({f"tcl/{name}": TCL / name for name in SCRIPTS})
    files[SETTINGS] = settings(shell, clock_mhz).encode()
    name = f"{TOP}_{shell.board.name}".replace("-", "_")
    return BuildPlan(name, files, _steps(files, seeds, allow_missed_clock), PRODUCTS)


def settings(shell: DmaShell, clock_mhz: float) -> str:
    """What the scripts have to know of board and accelerator, as Tcl."""
    unit = shell.accelerator
    values: Mapping[str, object] = {
        "part": shell.board.part,
        "board_part": shell.board.board_part or "",
        "processor": processor_of(shell.board),
        "clock_mhz": f"{clock_mhz:g}",
        "top": TOP,
        "digest": unit.digest[:16],
        "in_bits": 8 * shell.word_bytes(shell.input),
        "out_bits": 8 * shell.word_bytes(shell.output),
        "address_bits": shell.processor.address_bits,
        "length_bits": LENGTH_BITS,
        "sources": " ".join((*unit.sources, *shell.sources)),
        "memories": " ".join(unit.memories),
    }
    return "".join(f"set {name} {{{value}}}\n" for name, value in values.items())


def _steps(
    files: Mapping[str, object], seeds: int, allow_missed_clock: bool
) -> tuple[Step, Step, Step]:
    rtl = tuple(sorted(name for name in files if name.startswith("rtl/")))
    tried = [_call("implement.tcl", *pair, "0") for pair in DIRECTIVES[: max(1, seeds)]]
    if allow_missed_clock:
        tried.append(_call("implement.tcl", *DIRECTIVES[0], "1"))
    return (
        Step(
            name="package-ip",
            tool=VIVADO_ALONE,
            attempts=(_call("package_ip.tcl"),),
            inputs=("tcl/package_ip.tcl", SETTINGS, *rtl),
            products=("ip/component.xml",),
        ),
        Step(
            name="synthesize",
            tool=VIVADO_ALONE,
            attempts=(_call("synthesize.tcl"),),
            inputs=("tcl/synthesize.tcl", "tcl/memories.tcl", SETTINGS, "ip/component.xml", *rtl),
            products=("synthesized.dcp", "synthesized.rpt", HANDOFF),
        ),
        Step(
            name="implement",
            tool=VIVADO_ALONE,
            attempts=tuple(tried),
            inputs=("tcl/implement.tcl", SETTINGS, "synthesized.dcp"),
            products=(BITSTREAM, UTILIZATION, TIMING, POWER),
            retry_on=CLOCK_MISSED,
            minutes=1440.0,
        ),
    )


def _call(script: str, *arguments: str) -> tuple[str, ...]:
    batch = ("-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", f"tcl/{script}")
    return (*batch, "-tclargs", *arguments) if arguments else batch


def run_elsewhere(place: str) -> str:
    """What to do with the plan folder called `place`, in one clause."""
    return f"copy {place} to a machine with Vivado and run `sh run.sh` in it"
