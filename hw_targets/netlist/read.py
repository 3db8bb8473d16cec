"""A flat netlist as Yosys writes it in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError, UnsupportedError

Bit = int | str
"""A net's number, or "0", "1" or "x"."""
NOTE = "$scopeinfo"
"""No hardware: Yosys' note of where a module was before it was flattened."""


@dataclass(frozen=True)
class Cell:
    """parameters: text as Yosys has it, of numbers their bits. ports: bits, the lowest first."""

    name: str
    kind: str
    parameters: Mapping[str, str]
    ports: Mapping[str, tuple[Bit, ...]]

    def pin(self, name: str) -> Bit:
        """The net at a port of one bit; "x" where nothing is connected."""
        bits = self.ports.get(name, ())
        return bits[0] if bits else "x"

    def pins(self, name: str, count: int) -> tuple[Bit, ...]:
        """The nets at `count` ports that are numbered from 0."""
        return tuple(self.pin(f"{name}{index}") for index in range(count))

    def text(self, name: str, default: str = "") -> str:
        """A parameter that is a word; a space keeps Yosys from taking it for bits."""
        return self.parameters.get(name, default).strip()

    def number(self, name: str, default: int = 0) -> int:
        """A parameter that is a number; unknown bits of it are 0."""
        bits = self.parameters.get(name, "").replace("x", "0").replace("z", "0")
        return int(bits, 2) if bits else default

    def refused(self, why: str) -> UnsupportedError:
        return UnsupportedError(
            f"cell {self.kind} {why}", where=self.name, mend="simulate the netlist by Verilator"
        )

    def require(self, **wanted: tuple[str, ...]) -> None:
        """Raises UnsupportedError where a parameter that is given is none of those wanted."""
        for name, values in wanted.items():
            if name in self.parameters and self.text(name) not in values:
                raise self.refused(f"with {name}={self.text(name)} is not known")


@dataclass(frozen=True)
class Netlist:
    """cells, and the bits of the top's ports by name."""

    cells: tuple[Cell, ...]
    inputs: Mapping[str, tuple[Bit, ...]]
    outputs: Mapping[str, tuple[Bit, ...]]


def read_netlist(path: Path, top: str) -> Netlist:
    """The module `top` of a netlist.

    Raises:
        LiftFlowError: the file is none that Yosys writes, or has no such module.
    """
    try:
        module = json.loads(path.read_bytes())["modules"][top]
        cells = tuple(
            _cell(name, each) for name, each in module["cells"].items() if each["type"] != NOTE
        )
        ports = module["ports"]
        sides = {
            side: {n: tuple(p["bits"]) for n, p in ports.items() if p["direction"] == side}
            for side in ("input", "output")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LiftFlowError(
            f"not a netlist of {top} ({type(error).__name__}: {error})",
            where=str(path),
            mend="build it again",
        ) from error
    return Netlist(cells, sides["input"], sides["output"])


def _cell(name: str, found: Mapping[str, Any]) -> Cell:
    parameters = {key: str(value) for key, value in found["parameters"].items()}
    ports = {port: tuple(bits) for port, bits in found["connections"].items()}
    return Cell(name, found["type"], parameters, ports)
