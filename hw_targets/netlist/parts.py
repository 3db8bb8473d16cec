"""What cells become: statements of C++ on words, in terms of numbered nets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hw_targets.netlist.read import Bit

ZERO, ONE = 0, 1
"""Words that are always 0, and always 1 in every bit."""


class Words:
    """Nets -> numbers of words; constants have the first two, and `x` is 0."""

    def __init__(self) -> None:
        self._of: dict[Bit, int] = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}
        self.count = 2

    def __call__(self, bit: Bit) -> int:
        if bit not in self._of:
            self._of[bit] = self.new()
        return self._of[bit]

    def same(self, bit: Bit, index: int) -> None:
        """A net that is another word; to be said before anything asks for it."""
        self._of[bit] = index

    def new(self) -> int:
        """A word of no net."""
        self.count += 1
        return self.count - 1

    def each(self, bits: Sequence[Bit]) -> list[int]:
        return [self(bit) for bit in bits]


@dataclass(frozen=True)
class Statement:
    """Combinational: `code` writes the words `given` from the words `taken` (and from state)."""

    code: str
    given: tuple[int, ...]
    taken: tuple[int, ...]


@dataclass
class Parts:
    """statements: to be put in order. registers: (word of Q, expression of its next value, value to
    begin with). declared: state of other cells. started: code that runs once. taken_up: code at a
    clock edge, which reads words of before the edge and changes state alone. clocks: words that are
    the clock. made_clock, lock_word: of a PLL, the words of its output and of that it has locked.
    """

    statements: list[Statement] = field(default_factory=list)
    registers: list[tuple[int, str, bool]] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    taken_up: list[str] = field(default_factory=list)
    clocks: set[int] = field(default_factory=set)
    made_clock: int | None = None
    lock_word: int | None = None


def word(index: int) -> str:
    """C++ of a word."""
    return {ZERO: "0", ONE: "ONES"}.get(index, f"v[{index}]")


def table(init: int, inputs: Sequence[int]) -> str:
    """C++ of a lookup table; inputs: words, the one of the lowest address bit first."""
    return _mux(init & ((1 << (1 << len(inputs))) - 1), list(inputs))


def _mux(init: int, inputs: list[int]) -> str:
    if not inputs:
        return word(init & 1)
    *below, select = inputs
    half = 1 << len(below)
    mask = (1 << half) - 1
    low, high = init & mask, init >> half
    if low == high or select == ZERO:
        return _mux(low, below)
    if select == ONE:
        return _mux(high, below)
    s = word(select)
    if low == mask ^ high:
        return f"({s} ^ {_mux(low, below)})" if low else f"{s}"
    if low == 0:
        return f"({s} & {_mux(high, below)})"
    if high == 0:
        return f"(~{s} & {_mux(low, below)})"
    if low == mask:
        return f"(~{s} | {_mux(high, below)})"
    if high == mask:
        return f"({s} | {_mux(low, below)})"
    return f"CHOOSE({s}, {_mux(high, below)}, {_mux(low, below)})"


def listed(words: Sequence[int]) -> str:
    """C++ of an array of words' numbers."""
    return "{" + ",".join(map(str, words)) + "}"


def combine(parts: Parts, output: int, code: str, taken: Sequence[int]) -> None:
    """A statement that gives one word; none where nothing takes it."""
    if output not in (ZERO, ONE):
        parts.statements.append(Statement(f"{word(output)} = {code};", (output,), tuple(taken)))


def register(
    parts: Parts, words: Words, q: int, data: str, enable: str, reset: str, *, to_set: bool,
    high: bool, follows: int | None = None,
) -> None:  # fmt: skip
    """A register, whose reset or set is stronger than its enable.

    data, enable, reset: C++. high: what it begins with. follows: the word of a reset that Q follows
    at once; None for one at the clock.
    """
    state = q if follows is None else words.new()
    following = data if enable == "ONES" else f"CHOOSE({enable}, {data}, {word(state)})"
    forced = f"({reset} | {{}})" if to_set else f"(~({reset}) & {{}})"
    if reset != "0":
        following = forced.format(following)
    parts.registers.append((state, following, high))
    if follows is not None:
        combine(parts, q, forced.format(word(state)), [follows])


def held(parts: Parts, words: Words, outputs: Sequence[int], enable: str) -> list[int]:
    """The words to be given in place of `outputs`, which take them up at the clock."""
    before = [ZERO if q == ZERO else words.new() for q in outputs]
    for q, given in zip(outputs, before, strict=True):
        if q != ZERO:
            register(parts, words, q, word(given), enable, "0", to_set=False, high=False)
    return before


def lut_ram(
    parts: Parts, init: int, read: Sequence[int], given: Sequence[int], enable: str,
    write: Sequence[int], data: Sequence[int],
) -> None:  # fmt: skip
    """16 words of 4 bits, word 0 lowest in `init`; arguments are words but for `enable`, C++."""
    name = f"lutram{len(parts.declared)}"
    parts.declared.append(f"static LutRam {name};")
    if init:
        parts.started.append(f"{name}.begin({init}ull);")
    arrays = f"a[4] = {listed(read)}, d[4] = {listed(given)}"
    code = f"{{ static const int {arrays}; {name}.read(a, d); }}"
    parts.statements.append(Statement(code, tuple(at for at in given if at), tuple(read)))
    arrays = f"a[4] = {listed(write)}, d[4] = {listed(data)}"
    parts.taken_up.append(f"{{ static const int {arrays}; {name}.write({enable}, a, d); }}")


def multiplier(parts: Parts, taken: Sequence[int], product: Sequence[int]) -> None:
    """taken: words of A and B, 18 each, and whether they have signs. product: 36 words."""
    name = f"multiplier{len(parts.declared)}"
    parts.declared.append(f"static Multiplier {name};")
    arrays = f"in[38] = {listed(taken)}, p[36] = {listed(product)}"
    code = f"{{ static const int {arrays}; {name}.multiply(in, p); }}"
    parts.statements.append(Statement(code, tuple(at for at in product if at), tuple(taken)))


@dataclass(frozen=True)
class RamPort:
    """A port of a block RAM.

    width: 1 to 36 bits. before: what is read where it writes is what was there, not nothing.
    controls: C++ of enable, write and reset. address, data: words, addresses of bits.
    """

    width: int
    before: bool
    controls: Sequence[str]
    address: Sequence[int]
    data: Sequence[int]


def block_ram(
    parts: Parts, content: Sequence[int], ports: Sequence[RamPort | None], given: Sequence[int],
    *, wide: bool,
) -> None:  # fmt: skip
    """2048 bytes of up to 9 bits with ports A and B.

    given: 36 words, 18 of each port's output; with `wide` all of port B's.
    """
    name = f"ebr{len(parts.declared)}"
    parts.declared.append(f"static Ebr {name};")
    if any(content):
        values = ",".join(map(str, content))
        parts.started.append(
            f"{{ static const uint16_t c[2048] = {{{values}}}; {name}.begin(c); }}"
        )
    for side, port in enumerate(ports):
        if port is None:
            continue
        arrays = f"a[14] = {listed(port.address)}, d[{len(port.data)}] = {listed(port.data)}"
        call = f"{side}, {port.width}, {int(port.before)}, {', '.join(port.controls)}, a, d"
        parts.taken_up.append(f"{{ static const int {arrays}; {name}.port({call}); }}")
    parts.taken_up.append(f"{name}.store();")
    code = f"{{ static const int d[36] = {listed(given)}; {name}.give(d, {int(wide)}); }}"
    parts.statements.append(Statement(code, tuple(at for at in given if at), ()))
