"""From RTL to the netlist that is placed: Yosys, and what a family needs behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from hw_targets.families import Family
from hw_targets.flows import ecp5_carries, ecp5_registers, yosys
from hw_targets.flows.plan import Step
from hw_targets.flows.tools import PYTHON, YOSYS

Check = Callable[[Path], object]

PACKERS: Mapping[str, ModuleType] = {
    "pack-registers": ecp5_registers,
    "pack-carries": ecp5_carries,
}
"""Steps behind Yosys by their names, and the module that each runs, on ECP5."""
PACKED = "packed.json"
"""The netlist between them."""
FINAL_SCRIPT = "netlist.ys"
"""Reads the netlist back: what is simulated and counted is what is placed."""


def files(top: str, sources: Sequence[str], family: Family) -> dict[str, bytes | Path]:
    """Scripts of the steps by their names in the plan.

    Raises:
        MissingToolError: no open tool synthesises for the family.
    """
    if not family.output_registers:
        return {yosys.SCRIPT: _script(top, sources, family, yosys.NETLIST)}
    # Carries that nobody takes are constants for nextpnr; Verilog has no such outputs.
    ending = ("bufnorm -conn", *yosys.ending(top, verilog=True))
    lines = [f"read_json {yosys.NETLIST}", *ending]
    return {
        yosys.SCRIPT: _script(top, sources, family, yosys.SYNTHESISED),
        **{path.name: path for path in map(_file, PACKERS.values())},
        FINAL_SCRIPT: ("\n".join(lines) + "\n").encode(),
    }


def _file(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__)


def _script(top: str, sources: Sequence[str], family: Family, netlist: str) -> bytes:
    return yosys.script(top, sources, family, netlist=netlist).encode()


def steps(inputs: Sequence[str], family: Family) -> tuple[Step, ...]:
    """`inputs`: sources and memories. The last step leaves the netlist's Verilog and statistics."""
    counted: Mapping[str, Check] = {yosys.STATISTICS: partial(yosys.resources, family=family)}
    final = (yosys.STATISTICS, yosys.NETLIST_VERILOG)
    if not family.output_registers:
        products, checks = (yosys.NETLIST, *final), {**_WHOLE, **counted}
        return (_yosys("synthesise", yosys.SCRIPT, inputs, products, checks),)
    netlists = (yosys.SYNTHESISED, PACKED, yosys.NETLIST)
    whole = {yosys.SYNTHESISED: yosys.whole_netlist}
    packs = (
        _pack(name, _file(module).name, before, after)
        for (name, module), (before, after) in zip(PACKERS.items(), pairwise(netlists), strict=True)
    )
    return (
        _yosys("synthesise", yosys.SCRIPT, inputs, (yosys.SYNTHESISED,), whole),
        *packs,
        _yosys("write-netlist", FINAL_SCRIPT, (yosys.NETLIST,), final, counted),
    )


def _pack(name: str, script: str, before: str, after: str) -> Step:
    return Step(
        name=name,
        tool=PYTHON,
        attempts=((script, before, after),),
        inputs=(script, before),
        products=(after,),
        minutes=60.0,
        checks={after: yosys.whole_netlist},
    )


_WHOLE: Mapping[str, Check] = {yosys.NETLIST: yosys.whole_netlist}


def _yosys(
    name: str,
    script: str,
    inputs: Sequence[str],
    products: tuple[str, ...],
    checks: Mapping[str, Check],
) -> Step:
    return Step(
        name=name,
        tool=YOSYS,
        attempts=(("-s", script),),
        inputs=(script, *inputs),
        products=products,
        minutes=yosys.LIMIT_MINUTES,
        checks=checks,
    )
