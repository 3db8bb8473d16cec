"""Memories of constants: where they go, and how their words lie in block RAM (`lf_rom`)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hw_targets.rtl.kernel import Kernel

ROM = "rom.sv"
"""Source of a memory of constants."""
BLOCK_ROM_BITS = 8192
"""`memory="auto"`: memories of at least this many bits go to block RAM when deep enough."""
BLOCK_ROM_DEPTH = 64
BLOCK_SHAPES = tuple((1 << 14 - step, width) for step, width in enumerate((1, 2, 4, 9, 18, 36)))
"""Words by bits of a block RAM of 18 kbit: a DP16KD of ECP5, a RAMB18 of AMD."""
BLOCK_COST = 256
"""Bits chosen between banks that a block RAM is worth (Yosys 0.70, `memory_libmap`)."""
GROUP = 4
"""Banks that are chosen from in a cycle."""

RomStyle = Literal["block", "distributed"]
T = TypeVar("T", bound=np.generic)


class Constants(NamedTuple):
    """A kernel's memory of constants. memory: where it may go. depth: words. width: their bits."""

    memory: Literal["auto"] | RomStyle
    depth: int
    width: int


@dataclass(frozen=True)
class RomKernel(Kernel):
    """A kernel with constants in an `lf_rom`."""

    @property
    @abstractmethod
    def constants(self) -> Constants:
        """What they take."""

    @property
    def rom_style(self) -> RomStyle:
        """Where they go, `auto` decided from the size of the memory."""
        memory, depth, width = self.constants
        if memory != "auto":
            return memory
        large = depth * width >= BLOCK_ROM_BITS and depth >= BLOCK_ROM_DEPTH
        return "block" if large else "distributed"

    @property
    def rom_banks(self) -> int:
        """`BANKS` of the memory: 0 in logic, as a single word always is."""
        _, depth, width = self.constants
        return banks(depth, width) if self.rom_style == "block" and depth > 1 else 0


def banks(depth: int, width: int) -> int:
    """Banks side by side, of equal depth, that hold a constant memory in the cheapest way."""

    def cost(words: int, bits: int) -> int:
        side_by_side = -(-depth // words) * width
        return BLOCK_COST * -(-side_by_side // bits) + side_by_side

    words = min(BLOCK_SHAPES, key=lambda shape: cost(*shape))[0]
    return -(-depth // words)


def read_cycles(block: bool, count: int, arithmetic: str) -> int:
    """Clock cycles from addresses to operands.

    block: whether one of them comes from block RAM, which has a register. count: banks of the
    constants, chosen behind that register, of more than `GROUP` in two cycles. arithmetic:
    multipliers, "dsp", have one of their own.
    """
    if count > 1:
        return 3 if count <= GROUP else 4
    return (3 if arithmetic == "dsp" else 2) if block else 1


def side_by_side(words: NDArray[T], count: int) -> NDArray[T]:
    """Words (depth, elements) of `count` banks: (depth of a bank, count * elements).

    Element by element from the first bank on, which has the first words. Several banks have a
    power of two of words each, zeros behind the last.
    """
    if count <= 1:
        return words
    depth = 1 << (-(-len(words) // count) - 1).bit_length()
    padded = np.zeros((count * depth, words.shape[1]), dtype=words.dtype)
    padded[: len(words)] = words
    return padded.reshape(count, depth, -1).swapaxes(0, 1).reshape(depth, -1)
