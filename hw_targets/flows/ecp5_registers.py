"""Registers round ECP5's multipliers and block RAMs move into them: a netlist in, a netlist out.

    python ecp5_registers.py synthesised.json netlist.json

MULT18X18D and DP16KD have an output register each, and multipliers one for every operand. Yosys
leaves them unused, and nextpnr takes the netlist as it is: the block's answer then crosses the chip
to a register within the cycle in which it is worked out, 5.8 ns after the clock edge for block RAM
where its own register takes 0.95 ns; operands cross it within the 3.5 ns that a product takes
(Project Trellis' timing database, speed grade 6).

An output register moves where every bit the block gives goes to a flip-flop and nowhere else, and
these share clock and enable and have no reset: what is behind them sees the same values in the same
cycles. Input registers move where every bit of both operands that is no constant comes from such a
flip-flop, whatever else that goes to: it is gone with the last one that takes it, so several
multipliers may have a copy each. (With one operand's register alone nextpnr reckons as with none.)
They stay where one of them stands behind `DEEP` LUTs or more, as the choice among banks of block
RAM is: it would share its cycle with the way to the multiplier.
Such registers' values before the first enabled edge are not relied on. Block RAM comes first: it
gains most.

The netlist is Yosys' JSON. Only Python's standard library is needed: the file is part of the build
plans that call it.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

DEEP = 2
"""LUTs before a register that keep it out of a multiplier."""
LOGIC = {"LUT4": "Z", "PFUMX": "Z", "L6MUX21": "Z"}
"""Cells without a register, and their output."""
Cell = dict[str, Any]
Bit = int | str
"""A net by its number, or a constant: "0", "1", "x"."""


def pack(design: dict[str, Any]) -> dict[str, int]:
    """Moves registers in place. Returns how many flip-flops went into blocks of each type."""
    tops = [m for m in design["modules"].values() if int(m["attributes"].get("top", "0"), 2)]
    moved = {"MULT18X18D": 0, "DP16KD": 0}
    for module in tops:
        netlist = _Netlist(module)
        for kind, move in (("DP16KD", _behind_block_ram), ("MULT18X18D", _behind_multiplier)):
            for cell in [cell for cell in module["cells"].values() if cell["type"] == kind]:
                moved[kind] += move(netlist, cell)
        moved["MULT18X18D"] += _before_multipliers(netlist)
    return moved


class _Netlist:
    """A flat module: its cells, and who takes each net."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.takers: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    for bit in bits:
                        self.takers[bit].append((name, port))
        for port in module["ports"].values():
            if port["direction"] != "input":
                for bit in port["bits"]:
                    self.takers[bit].append(("", ""))

        self.logic = {
            cell["connections"][LOGIC[cell["type"]]][0]: cell
            for cell in self.cells.values()
            if cell["type"] in LOGIC
        }

    def depth(self, register: Cell) -> int:
        """LUTs one behind the other before a flip-flop, counted up to `DEEP`."""
        depth, nets = 0, {register["connections"]["DI"][0]}
        while depth < DEEP and (cells := [self.logic[net] for net in nets if net in self.logic]):
            depth += any(cell["type"] == "LUT4" for cell in cells)
            nets = {
                bits[0]
                for cell in cells
                for port, bits in cell["connections"].items()
                if port != LOGIC[cell["type"]] and bits
            }
        return depth

    def registers(self, cell: Cell, ports: list[str]) -> tuple[dict[str, str], Bit, Bit] | None:
        """Port -> its flip-flop, their clock and their enable; None where they can't move."""
        found: dict[str, str] = {}
        control: set[tuple[Bit, Bit]] = set()
        for port in ports:
            takers = self.takers.get(cell["connections"][port][0], [])
            if not takers:
                continue
            name, taken = takers[0]
            enabled = self.enabled(self.cells.get(name)) if len(takers) == 1 else None
            if enabled is None or taken != "DI":
                return None
            found[port] = name
            control.add(enabled)
        if len(control) != 1:
            return None
        return found, *control.pop()

    def enabled(self, cell: Cell | None) -> tuple[Bit, Bit] | None:
        """Clock and enable of a flip-flop that has just these; None for anything else."""
        if cell is None or cell["type"] != "TRELLIS_FF":
            return None
        ports, options = cell["connections"], cell["parameters"]
        reset, enable = ports.get("LSR", ["0"])[0], options["CEMUX"].strip()
        if reset not in ("0", "x") or options["CLKMUX"] != "CLK" or enable not in ("1", "CE"):
            return None
        return ports["CLK"][0], "1" if enable == "1" else ports["CE"][0]

    def move(self, cell: Cell, found: dict[str, str]) -> int:
        """The block gives what its flip-flops gave, and they are gone."""
        for port, name in found.items():
            cell["connections"][port] = self.cells.pop(name)["connections"]["Q"]
        return len(found)


def _behind_multiplier(netlist: _Netlist, cell: Cell) -> int:
    ports = [port for port in cell["connections"] if port[0] == "P"]
    known = netlist.registers(cell, ports)
    if known is None or cell["parameters"].get("REG_OUTPUT_CLK", "NONE") != "NONE":
        return 0
    found, clock, enable = known
    cell["parameters"] |= {
        "REG_OUTPUT_CLK": "CLK0",
        "REG_OUTPUT_CE": "CE0",
        "REG_OUTPUT_RST": "RST0",
    }
    _connect(cell, {"CLK0": clock, "CE0": enable, "RST0": "0"})
    return netlist.move(cell, found)


def _before_multipliers(netlist: _Netlist) -> int:
    """Operands' registers; returns how many flip-flops nothing takes any more."""
    drivers = {
        cell["connections"]["Q"][0]: name
        for name, cell in netlist.cells.items()
        if cell["type"] == "TRELLIS_FF"
    }
    replaced: set[str] = set()
    for name, cell in netlist.cells.items():
        if cell["type"] != "MULT18X18D":
            continue
        ports = [p for p in cell["connections"] if p[0] in "AB" and p[1:].isdigit()]
        bits = {port: cell["connections"][port][0] for port in ports}
        operands = {port: bit for port, bit in bits.items() if isinstance(bit, int)}
        found = {port: drivers.get(bit) for port, bit in operands.items()}
        control = {netlist.enabled(netlist.cells.get(ff or "")) for ff in found.values()}
        if len(control) != 1 or (shared := control.pop()) is None:
            continue
        if any(netlist.depth(netlist.cells[ff]) >= DEEP for ff in found.values() if ff):
            continue
        clock, enable = shared
        # The output's register has its own enable, the same one or another.
        ports_of = {"CLK": clock, "CE": enable, "RST": "0"}
        free = 0 if _same(cell, {f"{port}0": bit for port, bit in ports_of.items()}) else 1
        for side in "AB":
            cell["parameters"] |= {f"REG_INPUT{side}_{p}": f"{p}{free}" for p in ports_of}
        _connect(cell, {f"{port}{free}": bit for port, bit in ports_of.items()})
        for port, ff in found.items():
            assert ff is not None
            netlist.takers[operands[port]].remove((name, port))
            cell["connections"][port] = netlist.cells[ff]["connections"]["DI"]
            netlist.takers[cell["connections"][port][0]].append((name, port))
            replaced.add(ff)
    gone = [ff for ff in replaced if not netlist.takers[netlist.cells[ff]["connections"]["Q"][0]]]
    for ff in gone:
        del netlist.cells[ff]
    return len(gone)


def _same(cell: Cell, bits: dict[str, Bit]) -> bool:
    """Has the cell no other nets on these ports?"""
    return all(cell["connections"].get(port, [bit])[0] == bit for port, bit in bits.items())


def _behind_block_ram(netlist: _Netlist, cell: Cell) -> int:
    """Ports A and B read by themselves; at 36 bits, both together give what port B reads."""
    options = cell["parameters"]
    wide = int(options["DATA_WIDTH_B"], 2) == 36
    moved = 0
    for sides, clocked in (("AB", "B"),) if wide else (("A", "A"), ("B", "B")):
        ports = [p for p in cell["connections"] if p[:2] == "DO" and p[2] in sides]
        known = netlist.registers(cell, ports)
        if known is None or cell["connections"][f"CLK{clocked}"][0] != known[1]:
            continue
        found, _, enable = known
        options |= {f"REGMODE_{side}": "OUTREG" for side in sides}
        _connect(cell, {f"OCE{side}": enable for side in sides})
        moved += netlist.move(cell, found)
    return moved


def _connect(cell: Cell, bits: dict[str, Bit]) -> None:
    for port, bit in bits.items():
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"


def main(source: str, target: str) -> None:
    design = json.loads(Path(source).read_text(encoding="utf-8"))
    for kind, count in pack(design).items():
        print(f"{count} flip-flops into {kind}")
    Path(target).write_text(json.dumps(design), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
