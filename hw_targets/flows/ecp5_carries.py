"""ECP5's carry chains as nextpnr needs no more cells for them: a netlist in, a netlist out.

    python ecp5_carries.py packed.json netlist.json

A chain of CCU2C takes its first carry from the fabric through a pair of LUTs of its own, also where
that carry is constant, and hands its last one out through another, also where nothing takes it:
nextpnr adds these pairs when it packs (`make_carry_feed_in` and `make_carry_feed_out` in its
ecp5/pack.cc).
Yosys begins every chain with a constant and leaves the last carry connected, so that an adder of
eight bits takes twelve LUTs.

Here a chain whose first carry is constant begins with its first bit: that half of a pair gives the
carry (its LUT gives 0, so that the carry is what its lower quarter generates), and the sum is a LUT
of its own, or nothing where nobody takes it. Where that would leave half a pair over, and where the
first carry is no constant, half a pair in front of the first bit gives the carry. Half a pair
behind the last bit gives the last carry to the fabric, if it is taken there.

The netlist is Yosys' JSON. Only Python's standard library is needed: the file is part of the build
plans that call it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Bit = int | str
"""A net by its number, or a constant: "0", "1", "x"."""
HIGH = "1"
LUT2 = 0b1111
"""The part of a LUT's table that says which carry is generated."""


def tighten(design: dict[str, Any]) -> dict[str, int]:
    """Rebuilds the chains of every module in place. Returns how many there are.

    chains: all; split: those left as they are, as their carry is taken on the way.
    """
    found = {"chains": 0, "split": 0}
    for module in design["modules"].values():
        if int(module["attributes"].get("blackbox", "0"), 2):
            continue
        netlist = _Netlist(module)
        for chain in list(netlist.chains()):
            found["chains"] += 1
            found["split"] += not netlist.rebuild(chain)
    return found


@dataclass(frozen=True)
class _Half:
    """Half a CCU2C: its inputs, the table of its LUT, and the net of its sum, if it is taken."""

    inputs: tuple[Bit, Bit, Bit, Bit] = (HIGH,) * 4
    table: int = 0
    sum: Bit | None = None

    def of_two(self) -> tuple[int, int] | None:
        """(propagated, generated) as tables of A and B; None where C or D is no constant."""
        high = [{"0": 0, "1": 1}.get(str(bit)) for bit in self.inputs[2:]]
        if None in high:
            return None
        row = 4 * (high[0] or 0) + 8 * (high[1] or 0)
        return self.table >> row & LUT2, self.table & LUT2


class _Netlist:
    """A flat module: its cells, how often each net is taken, and the highest net."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.taken: Counter[Bit] = Counter()
        for cell in self.cells.values():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    self.taken.update(bits)
        for port in module["ports"].values():
            if port["direction"] != "input":
                self.taken.update(port["bits"])
        given = [bits for cell in self.cells.values() for bits in cell["connections"].values()]
        given += [port["bits"] for port in module["ports"].values()]
        self.nets = max((bit for bits in given for bit in bits if isinstance(bit, int)), default=1)

    def chains(self) -> Iterator[list[str]]:
        """The cells of each chain, in the order of the carry."""
        cells = {name: cell for name, cell in self.cells.items() if cell["type"] == "CCU2C"}
        behind = {_pin(cell, "CIN"): name for name, cell in cells.items()}
        outs = {_pin(cell, "COUT") for cell in cells.values()}
        for name, cell in cells.items():
            if isinstance(_pin(cell, "CIN"), int) and _pin(cell, "CIN") in outs:
                continue
            chain = [name]
            while isinstance(out := _pin(cells[chain[-1]], "COUT"), int) and out in behind:
                chain.append(behind[out])
            yield chain

    def rebuild(self, chain: list[str]) -> bool:
        """Gives the chain its new cells; False where its carry is taken on the way."""
        cells = [self.cells[name] for name in chain]
        outs = [_pin(cell, "COUT") for cell in cells]
        plain = all(cell["parameters"][f"INJECT1_{n}"] == "NO" for cell in cells for n in "01")
        if not plain or any(self.taken[out] != 1 for out in outs[:-1]):
            return False
        halves = [self._half(cell, half) for cell in cells for half in "01"]
        if self.taken[outs[-1]]:
            halves.append(_Half(sum=outs[-1]))
        while halves and halves[-1].sum is None:
            halves.pop()
        carry = _pin(cells[0], "CIN")
        first, rest = halves[0], halves[1:]
        started = None if isinstance(carry, int) else _started(first, carry)
        odd = len(halves) % 2
        if started is None or (odd and first.sum is not None):
            # LUT of A, so that C and D choose rows that are 0.
            table = LUT2 if carry == HIGH else 0b1010 if isinstance(carry, int) else 0
            source = carry if isinstance(carry, int) else HIGH
            halves = [_Half((source, HIGH, HIGH, HIGH), table), *halves]
        else:
            half, total = started
            halves = [half, *rest]
            if first.sum is not None:
                self._lut(f"{chain[0]}$first", first, total)
        self._replace(chain, halves)
        return True

    def _half(self, cell: Cell, half: str) -> _Half:
        a, b, c, d = (_pin(cell, f"{name}{half}", "0") for name in "ABCD")
        total = _pin(cell, f"S{half}")
        table = int(cell["parameters"][f"INIT{half}"], 2)
        return _Half((a, b, c, d), table, total if self.taken[total] else None)

    def _lut(self, name: str, half: _Half, total: int) -> None:
        """A sum that needs no carry. total: table of A and B."""
        table = total * 0b1000100010001
        self.cells[name] = {
            "hide_name": 1,
            "type": "LUT4",
            "parameters": {"INIT": f"{table:016b}"},
            "attributes": {},
            "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
            "connections": {
                "A": [half.inputs[0]],
                "B": [half.inputs[1]],
                "C": ["0"],
                "D": ["0"],
                "Z": [half.sum],
            },
        }

    def _replace(self, chain: list[str], halves: list[_Half]) -> None:
        """Cells of `chain` become those of `halves`; a last half left over is not used."""
        halves = [*halves, _Half()] if len(halves) % 2 else halves
        old = [self.cells.pop(name) for name in chain]
        carries = iter([_pin(cell, "COUT") for cell in old[:-1]])
        carry: Bit = "x"
        for at in range(0, len(halves), 2):
            pair, last = halves[at : at + 2], at + 2 == len(halves)
            connections: dict[str, list[Bit]] = {}
            for n, half in enumerate(pair):
                connections |= {f"{x}{n}": [b] for x, b in zip("ABCD", half.inputs, strict=True)}
                if half.sum is not None:
                    connections[f"S{n}"] = [half.sum]
            connections["CIN"] = [carry]
            carry = next(carries, None) or self._net()
            connections["COUT"] = ["x" if last else carry]
            number = at // 2
            name = chain[number] if number < len(chain) else f"{chain[0]}$last"
            self.cells[name] = {
                **old[min(number, len(old) - 1)],
                "parameters": {
                    **{f"INIT{n}": f"{half.table:016b}" for n, half in enumerate(pair)},
                    **{f"INJECT1_{n}": "NO" for n in "01"},
                },
                "port_directions": {
                    port: "output" if port in ("S0", "S1", "COUT") else "input"
                    for port in connections
                },
                "connections": connections,
            }

    def _net(self) -> int:
        self.nets += 1
        return self.nets


def _started(half: _Half, carry: Bit) -> tuple[_Half, int] | None:
    """The first bit of a chain without the constant `carry`: its half, its sum as a table."""
    tables = half.of_two()
    if tables is None:
        return None
    propagated, generated = tables
    known = LUT2 if carry == HIGH else 0
    out = propagated & known | ~propagated & generated
    return _Half((*half.inputs[:2], HIGH, HIGH), out), propagated ^ known


def _pin(cell: Cell, name: str, default: Bit = "x") -> Bit:
    """The net or constant on a pin of one bit."""
    bits: list[Bit] = cell["connections"].get(name) or [default]
    return bits[0]


def main(source: str, target: str) -> None:
    design = json.loads(Path(source).read_text(encoding="utf-8"))
    found = tighten(design)
    print(f"{found['chains']} carry chains, {found['split']} of them taken on the way")
    Path(target).write_text(json.dumps(design), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
