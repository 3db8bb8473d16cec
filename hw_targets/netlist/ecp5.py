"""Cells of Lattice's ECP5 as Yosys uses them.

Sources: as of `hw_targets/shells/sim/ecp5_cells.sv`, and Yosys share/lattice/common_sim.vh and
ccu2c_sim.vh. A cell, or a form of one, that is not here is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from hw_targets.netlist.parts import (
    ONE,
    ZERO,
    Parts,
    RamPort,
    Words,
    block_ram,
    combine,
    held,
    lut_ram,
    multiplier,
    register,
    table,
    word,
)
from hw_targets.netlist.read import Cell

MULTIPLEXERS = {"PFUMX": ("BLUT", "ALUT", "C0"), "L6MUX21": ("D0", "D1", "SD")}
"""Cell -> its pins: what 0 chooses, what 1 chooses, and what chooses."""
EBR_WORDS = 64
"""Parameters INITVAL_00 to INITVAL_3F, 320 bits each."""


def add(cell: Cell, words: Words, parts: Parts) -> None:
    """What a cell is, added to `parts`. Raises UnsupportedError."""
    make = {
        "LUT4": _lut4,
        **dict.fromkeys(MULTIPLEXERS, _multiplexer),
        "CCU2C": _ccu2c,
        "TRELLIS_FF": _register,
        "TRELLIS_DPR16X4": _lut_ram,
        "DP16KD": _block_ram,
        "MULT18X18D": _multiplier,
        "EHXPLLL": _pll,
    }.get(cell.kind)
    if make is None:
        raise cell.refused("is none that is known")
    make(cell, words, parts)


def _lut4(cell: Cell, words: Words, parts: Parts) -> None:
    inputs = words.each([cell.pin(name) for name in "ABCD"])
    combine(parts, words(cell.pin("Z")), table(cell.number("INIT"), inputs), inputs)


def _multiplexer(cell: Cell, words: Words, parts: Parts) -> None:
    inputs = words.each([cell.pin(name) for name in MULTIPLEXERS[cell.kind]])
    combine(parts, words(cell.pin("Z")), table(0b11001010, inputs), inputs)


def _ccu2c(cell: Cell, words: Words, parts: Parts) -> None:
    """Two LUTs with a carry: propagated where the LUT gives 1, else its lower quarter's."""
    cell.require(INJECT1_0=("NO",), INJECT1_1=("NO",))
    carry = words(cell.pin("CIN"))
    for half in "01":
        inputs = words.each([cell.pin(f"{name}{half}") for name in "ABCD"])
        init = cell.number(f"INIT{half}")
        lut = words.new()
        combine(parts, lut, table(init, inputs), inputs)
        if (total := cell.pin(f"S{half}")) != "x":
            combine(parts, words(total), f"{word(lut)} ^ {word(carry)}", [lut, carry])
        out = words(cell.pin("COUT")) if half == "1" else words.new()
        if out != ZERO:
            generated = table(init & 15, inputs[:2])
            code = f"CHOOSE({word(lut)}, {word(carry)}, {generated})"
            combine(parts, out, code, [lut, carry, *inputs[:2]])
        carry = out


def _controlled(cell: Cell, words: Words, pin: str, mux: str, default: str) -> str:
    """C++ of a control signal behind its multiplexer."""
    kind = cell.text(mux, default)
    fixed = {"0": word(ZERO), "1": word(ONE)}
    given = word(words(cell.pin(pin)))
    return fixed.get(kind, f"~{given}" if kind == "INV" else given)


def _register(cell: Cell, words: Words, parts: Parts) -> None:
    cell.require(CLKMUX=("CLK",), LSRMODE=("LSR",), SRMODE=("LSR_OVER_CE", "ASYNC"))
    parts.clocks.add(words(cell.pin("CLK")))
    to_set = cell.text("REGSET", "RESET") == "SET"
    at_once = cell.text("SRMODE", "LSR_OVER_CE") == "ASYNC"
    register(
        parts, words, words(cell.pin("Q")), word(words(cell.pin("DI"))),
        _controlled(cell, words, "CE", "CEMUX", "1"),
        _controlled(cell, words, "LSR", "LSRMUX", "LSR"),
        to_set=to_set, high=to_set, follows=words(cell.pin("LSR")) if at_once else None,
    )  # fmt: skip


def _lut_ram(cell: Cell, words: Words, parts: Parts) -> None:
    cell.require(WCKMUX=("WCK",), WREMUX=("WRE", "1", "0", "INV"))
    parts.clocks.add(words(cell.pin("WCK")))
    read, given, write, data = (words.each(cell.ports[name]) for name in ("RAD", "DO", "WAD", "DI"))
    enable = _controlled(cell, words, "WRE", "WREMUX", "WRE")
    lut_ram(parts, cell.number("INITVAL"), read, given, enable, write, data)


def _block_ram(cell: Cell, words: Words, parts: Parts) -> None:
    cell.require(
        REGMODE_A=("NOREG", "OUTREG"), REGMODE_B=("NOREG", "OUTREG"),
        CLKAMUX=("CLKA",), CLKBMUX=("CLKB",),
        WRITEMODE_A=("NORMAL", "READBEFOREWRITE"), WRITEMODE_B=("NORMAL", "READBEFOREWRITE"),
        CSDECODE_A=("0b000",), CSDECODE_B=("0b000",),
    )  # fmt: skip
    content = [cell.number(f"INITVAL_{at:02X}") for at in range(EBR_WORDS)]
    bytes_ = [
        content[at // 32] >> (20 * (at // 2 % 16) + 9 * (at % 2)) & 0x1FF for at in range(2048)
    ]
    widths = {side: cell.number(f"DATA_WIDTH_{side}", 18) for side in "AB"}
    ports: list[RamPort | None] = []
    given: list[int] = []
    for side, width in widths.items():
        outputs = words.each(cell.pins(f"DO{side}", 18))
        # Of 36 bits port A gives the lower ones of what B has read.
        reads = "B" if widths["B"] == 36 else side
        if cell.text(f"REGMODE_{reads}", "NOREG") == "OUTREG":
            outputs = held(parts, words, outputs, word(words(cell.pin(f"OCE{reads}"))))
        given += outputs
        clock = words(cell.pin(f"CLK{side}"))
        if clock in (ZERO, ONE):
            ports.append(None)
            continue
        parts.clocks.add(clock)
        data = cell.pins(f"DI{side}", 18)
        # A port of 36 bits has the data pins of both: A writes then, B reads.
        data = data + cell.pins("DIB", 18) if width == 36 and side == "A" else data
        controls = [word(words(cell.pin(f"{pin}{side}"))) for pin in ("CE", "WE", "RST")]
        if side == "B" and 36 in widths.values():
            controls[1] = "0"
        before = cell.text(f"WRITEMODE_{side}", "NORMAL") == "READBEFOREWRITE"
        address = words.each(cell.pins(f"AD{side}", 14))
        ports.append(RamPort(width, before, controls, address, words.each(data)))
    block_ram(parts, bytes_, ports, given, wide=widths["B"] == 36)


def _multiplier(cell: Cell, words: Words, parts: Parts) -> None:
    for stage in ("INPUTC", "PIPELINE"):
        cell.require(**{f"REG_{stage}_CLK": ("NONE",)})
    cell.require(REG_OUTPUT_CLK=("NONE", "CLK0"), REG_OUTPUT_CE=("CE0",), REG_OUTPUT_RST=("RST0",))
    signs = [cell.pin("SIGNEDA"), cell.pin("SIGNEDB")]
    operands = [
        each
        for side in "AB"
        for each in _operand(cell, words, parts, side, words.each(cell.pins(side, 18)))
    ]
    taken = [*operands, *words.each(signs)]
    product = words.each(cell.pins("P", 36))
    if cell.text("REG_OUTPUT_CLK", "NONE") == "CLK0":
        if words(cell.pin("RST0")) != ZERO:
            raise cell.refused("with a reset of its register is not known")
        parts.clocks.add(words(cell.pin("CLK0")))
        product = held(parts, words, product, word(words(cell.pin("CE0"))))
    multiplier(parts, taken, product)


def _operand(
    cell: Cell, words: Words, parts: Parts, side: str, given: Sequence[int]
) -> Sequence[int]:
    """The words that are multiplied: those given, or what a register has of them."""
    name = f"REG_INPUT{side}"
    used = {f"{name}_{pin}": (f"{pin}0", f"{pin}1") for pin in ("CE", "RST")}
    cell.require(**{f"{name}_CLK": ("NONE", "CLK0", "CLK1"), **used})
    clock = cell.text(f"{name}_CLK", "NONE")
    if clock == "NONE":
        return given
    enable, reset = (cell.text(f"{name}_{pin}", f"{pin}0") for pin in ("CE", "RST"))
    if words(cell.pin(reset)) != ZERO:
        raise cell.refused("with a reset of its register is not known")
    parts.clocks.add(words(cell.pin(clock)))
    enabled = word(words(cell.pin(enable)))
    held_by = {each: words.new() for each in dict.fromkeys(given) if each != ZERO}
    for each, q in held_by.items():
        register(parts, words, q, word(each), enabled, "0", to_set=False, high=False)
    return [held_by.get(each, ZERO) for each in given]


def _pll(cell: Cell, words: Words, parts: Parts) -> None:
    """Its output is the clock that everything runs on; its dividers are the shell's affair."""
    cell.require(FEEDBK_PATH=("CLKOP",), CLKOP_ENABLE=("ENABLED",))
    parts.made_clock = words(cell.pin("CLKOP"))
    parts.lock_word = words(cell.pin("LOCK"))
