"""What a device family can do: LUT inputs, multipliers, memory shapes, tools. One TOML a family."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hw_targets.datafile import read_toml, unknown_name, validated

RESOURCES: tuple[str, ...] = ("lut", "ff", "dsp", "bram")
"""What is counted, in this order wherever resources are a vector."""

_FOLDER = Path(__file__).parent


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Multiplier(_Schema):
    """One hardware multiplier: signed operand widths in bits.

    least_product: products of fewer bits the synthesis tool makes of LUTs whatever is asked for.
    signed_only: unsigned operands, such as the lower parts of wide ones, take a bit for the sign.
    """

    cell: str
    a_bits: int
    b_bits: int
    least_product: int
    signed_only: bool = False


class BlockRam(_Schema):
    """The smallest block RAM: words by width in bits, one shape for each aspect ratio.

    cost: of one block, in the units of `LutRam.cost`; of families with LUT RAM to choose instead.
    """

    cell: str
    shapes: tuple[tuple[int, int], ...]
    cost: float = 0.0

    def blocks(self, depth: int, width: int) -> int:
        """Least number of blocks that hold `depth` words of `width` bits, all of one shape."""
        return min(-(-depth // words) * -(-width // bits) for words, bits in self.shapes)


class LutRam(_Schema):
    """The two-port LUT RAM cell: words by width in bits, and the LUTs it takes.

    cost, cost_width: what the synthesis tool weighs a cell with when it chooses between LUT and
        block RAM for a memory without a style attribute: a part for every cell, and a part in
        proportion to the width used of it.
    """

    cell: str
    shapes: tuple[tuple[int, int], ...]
    luts: int
    cost: float
    cost_width: float


class Family(_Schema):
    """A device family under a synthesis tool.

    synth: Yosys command, taking the options `-top` and `-json`; None where no open tool knows the
        family.
    output_registers: whether the flow moves registers behind multipliers and block RAMs into them.
    lut_ram: None where LUTs cannot be memory.
    cells: what one cell of the synthesised netlist counts as; a cell not named counts as nothing
        (carry chains, wide multiplexers and buffers live beside the LUTs).
    """

    name: str
    description: str
    lut_inputs: int
    synth: str | None = None
    place_and_route: str | None = None
    output_registers: bool = False
    multiplier: Multiplier
    block_ram: BlockRam
    lut_ram: LutRam | None = None
    cells: dict[Literal["lut", "ff", "dsp", "bram"], dict[str, float]]
    sources: dict[str, str]

    @property
    def shift_registers(self) -> bool:
        """Whether a LUT can be a shift register, which Yosys makes of three registers or more."""
        return "SRL16E" in self.cells["lut"]

    def count(self, cells: dict[str, int]) -> dict[str, float]:
        """Resources of a netlist from its cell counts (cell type -> number of instances)."""
        return {
            resource: float(
                sum(weight * cells.get(cell, 0) for cell, weight in self.cells[resource].items())
            )
            for resource in ("lut", "ff", "dsp", "bram")
        }


def family_names() -> tuple[str, ...]:
    """Names of all families, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_family(name: str) -> Family:
    """The family called `name`.

    Raises:
        LiftFlowError: no such family, or its file does not fit the schema.
    """
    path = _FOLDER / f"{name}.toml"
    if not path.is_file():
        raise unknown_name("family", name, family_names())
    return validated(Family, read_toml(path), path)
