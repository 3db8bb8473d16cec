"""From RTL to the netlist that is placed: Yosys, and what a family needs behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hw_targets.families import Family
from hw_targets.flows import ecp5_registers, yosys
from hw_targets.flows.plan import Step
from hw_targets.flows.tools import PYTHON, YOSYS

Check = Callable[[Path], object]

PACKER = "ecp5_registers.py"
FINAL_SCRIPT = "netlist.ys"
"""Reads the netlist back: what is simulated and counted is what is placed."""


def files(top: str, sources: Sequence[str], family: Family) -> dict[str, bytes | Path]:
    """Scripts of the steps by their names in the plan.

    Raises:
        MissingToolError: no open tool synthesises for the family.
    """
    if not family.output_registers:
        return {yosys.SCRIPT: _script(top, sources, family, yosys.NETLIST)}
    lines = [f"read_json {yosys.NETLIST}", *yosys.ending(top, verilog=True)]
    return {
        yosys.SCRIPT: _script(top, sources, family, yosys.SYNTHESISED),
        PACKER: Path(ecp5_registers.__file__),
        FINAL_SCRIPT: ("\n".join(lines) + "\n").encode(),
    }


def _script(top: str, sources: Sequence[str], family: Family, netlist: str) -> bytes:
    return yosys.script(top, sources, family, netlist=netlist).encode()


def steps(inputs: Sequence[str], family: Family) -> tuple[Step, ...]:
    """`inputs`: sources and memories. The last step leaves the netlist's Verilog and statistics."""
    counted: Mapping[str, Check] = {yosys.STATISTICS: partial(yosys.resources, family=family)}
    final = (yosys.STATISTICS, yosys.NETLIST_VERILOG)
    if not family.output_registers:
        products, checks = (yosys.NETLIST, *final), {**_WHOLE, **counted}
        return (_yosys("synthesise", yosys.SCRIPT, inputs, products, checks),)
    pack = Step(
        name="pack-registers",
        tool=PYTHON,
        attempts=((PACKER, yosys.SYNTHESISED, yosys.NETLIST),),
        inputs=(PACKER, yosys.SYNTHESISED),
        products=(yosys.NETLIST,),
        minutes=60.0,
        checks=_WHOLE,
    )
    whole = {yosys.SYNTHESISED: yosys.whole_netlist}
    return (
        _yosys("synthesise", yosys.SCRIPT, inputs, (yosys.SYNTHESISED,), whole),
        pack,
        _yosys("write-netlist", FINAL_SCRIPT, (yosys.NETLIST,), final, counted),
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
