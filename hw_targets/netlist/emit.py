"""A netlist as C++: what settles between clock edges, and what an edge takes up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from hw_targets.errors import UnsupportedError
from hw_targets.netlist import ecp5, gowin
from hw_targets.netlist.parts import Parts, Statement, Words, word
from hw_targets.netlist.read import Cell, Netlist

FAMILIES: Mapping[str, Callable[[Cell, Words, Parts], None]] = {
    "ecp5": ecp5.add,
    "gowin": gowin.add,
}
"""Flow of a board -> what its cells are."""
PINS = ("clk_in", "uart_rx", "button")
PART = 250
"""Statements a function: compilers take longer than twice as long over one of twice the length."""


def source(netlist: Netlist, flow: str) -> tuple[str, int]:
    """The text of `netlist.inc`, which `lanes.cpp` includes, and how many words it has.

    Raises:
        UnsupportedError: cells or a form of them that are not known, several clocks, or a loop.
    """
    words, parts = Words(), Parts()
    add = FAMILIES.get(flow)
    if add is None:
        raise UnsupportedError(
            f"cells of {flow} are not known", where="netlist", mend="simulate it by Verilator"
        )
    cells = gowin.wired(netlist.cells, words) if flow == "gowin" else netlist.cells
    for cell in cells:
        add(cell, words, parts)
    pins = {name: bits[0] for name, bits in netlist.inputs.items()}
    clock = words(pins.get("clk_in", "x")) if parts.made_clock is None else parts.made_clock
    if parts.clocks - {clock} or set(pins) - set(PINS):
        raise UnsupportedError(
            "it has several clocks, or pins that are none of a shell's",
            where="netlist",
            mend="simulate it by Verilator",
        )
    inputs = [f"{word(words(pins['uart_rx']))} = line;"]
    if "button" in pins:  # active low
        inputs.append(f"{word(words(pins['button']))} = ONES;")
    if parts.lock_word is not None:
        inputs.append(f"{word(parts.lock_word)} = locked;")
    sent = word(words(netlist.outputs["uart_tx"][0]))
    ordered = _ordered(parts.statements)
    following = [f"n[{at}] = {code};" for at, (_, code, _) in enumerate(parts.registers)]
    begun = [f"{word(at)} = ONES;" for at, _, high in parts.registers if high]
    taken = [f"{word(q)} = n[{at}];" for at, (q, _, _) in enumerate(parts.registers)]
    lines = [
        *parts.declared,
        f"static Word n[{max(1, len(parts.registers))}];",
        *_functions("settle", [each.code for each in ordered]),
        *_functions("following", following),
        *_functions("taken", taken),
        *_functions("memories", parts.taken_up),
        *_functions("begin", [*begun, *parts.started]),
        "static void set_inputs(Word line, Word locked) { " + " ".join(inputs) + " (void)locked; }",
        f"static Word sent_line() {{ return {sent}; }}",
        "static void clock_edge() { following(); memories(); taken(); }",
    ]
    return "\n".join(lines) + "\n", words.count


def _functions(name: str, statements: Sequence[str]) -> list[str]:
    found, calls = [], []
    for at in range(0, len(statements), PART):
        call = f"{name}_{at // PART}"
        body = "\n".join(statements[at : at + PART])
        found.append(f"static __attribute__((noinline)) void {call}() {{\n{body}\n}}")
        calls.append(f"{call}();")
    return [*found, f"static void {name}() {{ {' '.join(calls)} }}"]


def _ordered(statements: Sequence[Statement]) -> list[Statement]:
    """Every statement behind all that give what it takes. Raises UnsupportedError at a loop."""
    makers = {at: index for index, each in enumerate(statements) for at in each.given}
    waits = [len({makers[at] for at in each.taken if at in makers}) for each in statements]
    behind: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(statements):
        for maker in {makers[at] for at in each.taken if at in makers}:
            behind[maker].append(index)
    ready = [index for index, count in enumerate(waits) if not count]
    found: list[Statement] = []
    while ready:
        index = ready.pop()
        found.append(statements[index])
        for other in behind[index]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    if len(found) < len(statements):
        raise UnsupportedError(
            "its cells form a loop without a register",
            where="netlist",
            mend="simulate it by Verilator",
        )
    return found
