"""Cells of Gowin's GW1N and GW2A as Yosys uses them.

Sources: Yosys share/gowin/cells_sim.v, brams_map.v and dsp_map.v; Gowin UG285 (block RAM: addresses
count bits, the lowest ones of wide ports enable bytes) and UG287 (multipliers).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hw_targets.netlist.parts import (
    ONE,
    ZERO,
    Parts,
    RamPort,
    Words,
    block_ram,
    combine,
    lut_ram,
    multiplier,
    register,
    table,
    word,
)
from hw_targets.netlist.read import Cell

ADD_SUB = 2
"""The one mode of adders that Yosys makes use of."""
INIT_WORDS = 64
"""Parameters INIT_RAM_00 to INIT_RAM_3F, 32 bytes each."""
REGISTER = re.compile(r"DFF([SRPC]?)(E?)")
SETS = {"S": "SET", "R": "RESET", "P": "PRESET", "C": "CLEAR"}
MULTIPLEXERS = tuple(f"MUX2_LUT{inputs}" for inputs in (5, 6, 7, 8))
BLOCK_RAM = re.compile(r"(SDP|SP)(X9)?B?")


def wired(cells: Sequence[Cell], words: Words) -> list[Cell]:
    """All cells but constants and buffers, whose nets are other words."""
    constants = {"GND": ("G", ZERO), "VCC": ("V", ONE)}
    for cell in cells:
        if cell.kind in constants:
            pin, index = constants[cell.kind]
            words.same(cell.pin(pin), index)
        elif cell.kind == "IBUF":
            words.same(cell.pin("O"), words(cell.pin("I")))
    for cell in cells:
        if cell.kind == "OBUF":
            words.same(cell.pin("O"), words(cell.pin("I")))
    return [cell for cell in cells if cell.kind not in (*constants, "IBUF", "OBUF")]


def add(cell: Cell, words: Words, parts: Parts) -> None:
    """What a cell is, added to `parts`. Raises UnsupportedError."""
    kind = cell.kind
    if re.fullmatch(r"LUT[1-4]", kind):
        inputs = words.each([cell.pin(f"I{at}") for at in range(int(kind[3]))])
        combine(parts, words(cell.pin("F")), table(cell.number("INIT"), inputs), inputs)
    elif kind in MULTIPLEXERS:
        inputs = words.each([cell.pin(name) for name in ("I0", "I1", "S0")])
        combine(parts, words(cell.pin("O")), table(0b11001010, inputs), inputs)
    elif kind == "ALU":
        _adder(cell, words, parts)
    elif found := REGISTER.fullmatch(kind):
        _register(cell, words, parts, found[1])
    elif kind == "RAM16SDP4":
        _lut_ram(cell, words, parts)
    elif found := BLOCK_RAM.fullmatch(kind):
        _block_ram(cell, words, parts, dual=found[1] == "SDP", bits=9 if found[2] else 8)
    elif kind in ("MULT9X9", "MULT18X18"):
        _multiplier(cell, words, parts, 9 if kind == "MULT9X9" else 18)
    elif kind == "rPLL":
        cell.require(CLKFB_SEL=("internal",))
        parts.made_clock = words(cell.pin("CLKOUT"))
        parts.lock_word = words(cell.pin("LOCK"))
    else:
        raise cell.refused("is none that is known")


def _adder(cell: Cell, words: Words, parts: Parts) -> None:
    if cell.number("ALU_MODE") != ADD_SUB:
        raise cell.refused(f"in mode {cell.number('ALU_MODE')} is not known")
    inputs = words.each([cell.pin(name) for name in ("I0", "I1", "I3")])
    carry, half = words(cell.pin("CIN")), words.new()
    combine(parts, half, table(0b01101001, inputs), inputs)
    combine(parts, words(cell.pin("SUM")), f"{word(half)} ^ {word(carry)}", [half, carry])
    code = f"CHOOSE({word(half)}, {word(carry)}, {word(inputs[0])})"
    combine(parts, words(cell.pin("COUT")), code, [half, carry, inputs[0]])


def _register(cell: Cell, words: Words, parts: Parts, kind: str) -> None:
    parts.clocks.add(words(cell.pin("CLK")))
    to_set = kind in ("S", "P")
    reset = words(cell.pin(SETS[kind])) if kind else ZERO
    register(
        parts, words, words(cell.pin("Q")), word(words(cell.pin("D"))),
        word(words(cell.pin("CE"))) if cell.kind.endswith("E") else word(ONE), word(reset),
        to_set=to_set, high=bool(cell.number("INIT", int(to_set))),
        follows=reset if kind in ("P", "C") else None,
    )  # fmt: skip


def _lut_ram(cell: Cell, words: Words, parts: Parts) -> None:
    parts.clocks.add(words(cell.pin("CLK")))
    init = sum(
        (cell.number(f"INIT_{bit}") >> at & 1) << (4 * at + bit)
        for at in range(16)
        for bit in range(4)
    )
    read, given, write, data = (words.each(cell.ports[name]) for name in ("RAD", "DO", "WAD", "DI"))
    lut_ram(parts, init, read, given, word(words(cell.pin("WRE"))), write, data)


def _block_ram(cell: Cell, words: Words, parts: Parts, *, dual: bool, bits: int) -> None:
    """One port, or one that writes and one that reads. bits: of a byte."""
    cell.require(READ_MODE=("0",))
    content = [cell.number(f"INIT_RAM_{at:02X}") for at in range(INIT_WORDS)]
    bytes_ = [content[at // 32] >> (bits * (at % 32)) & ((1 << bits) - 1) for at in range(2048)]
    if bits == 8 and max(cell.number(name, 32) for name in _widths(dual)) > 8:
        raise cell.refused("of bytes without parity is not known")

    def pin(name: str) -> str:
        return word(words(cell.pin(name)))

    def port(side: str, width: str, controls: tuple[str, str, str], before: bool) -> RamPort:
        address = words.each(cell.ports[f"AD{side}"])
        data = words.each(cell.ports["DI"])[:36]
        data += [ZERO] * (36 - len(data))
        parts.clocks.add(words(cell.pin(f"CLK{side}")))
        return RamPort(cell.number(width, 36), before, controls, address, data)

    ports: list[RamPort | None]
    if dual:
        written = f"({pin('CEA')} & {pin('WREA')})" if "WREA" in cell.ports else pin("CEA")
        ports = [
            port("A", "BIT_WIDTH_0", (written, "ONES", "0"), False),
            port("B", "BIT_WIDTH_1", (pin("CEB"), "0", pin("RESETB")), False),
        ]
    else:
        mode = cell.number("WRITE_MODE")
        if mode not in (0, 2):
            raise cell.refused(f"with WRITE_MODE={mode} is not known")
        ports = [None, port("", "BIT_WIDTH", (pin("CE"), pin("WRE"), pin("RESET")), mode == 2)]
    given = words.each(cell.ports["DO"])
    block_ram(parts, bytes_, ports, given + [ZERO] * (36 - len(given)), wide=True)


def _widths(dual: bool) -> tuple[str, ...]:
    return ("BIT_WIDTH_0", "BIT_WIDTH_1") if dual else ("BIT_WIDTH",)


def _multiplier(cell: Cell, words: Words, parts: Parts, bits: int) -> None:
    for name in ("AREG", "BREG", "OUT_REG", "PIPE_REG", "ASIGN_REG", "BSIGN_REG"):
        cell.require(**{name: ("0",)})
    operands: list[int] = []
    signs = words.each([cell.pin("ASIGN"), cell.pin("BSIGN")])
    for side, sign in zip("AB", signs, strict=True):
        if sign not in (ZERO, ONE) or words(cell.pin(f"{side}SEL")) != ZERO:
            raise cell.refused("with operands from elsewhere is not known")
        operand = words.each(cell.ports[side])
        operands += operand + [operand[-1] if sign == ONE else ZERO] * (18 - bits)
    product = words.each(cell.ports["DOUT"])
    multiplier(parts, [*operands, *signs], product + [ZERO] * (36 - len(product)))
