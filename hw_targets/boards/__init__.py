"""The boards a design can be compiled for: one TOML a board, every figure with its source."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hw_targets.datafile import read_toml, unknown_name, validated
from hw_targets.errors import LiftFlowError
from hw_targets.families import family_names

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_FOLDER = Path(__file__).parent


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BoardResources(_Schema):
    """What the device holds, in the family's own units (`Family.cells` says which).

    uram: UltraRAM blocks; told, but no kernel uses any.
    """

    lut: int = Field(gt=0)
    ff: int = Field(gt=0)
    dsp: int = Field(ge=0)
    bram: int = Field(ge=0)
    uram: int = Field(default=0, ge=0)

    def as_dict(self) -> dict[str, int]:
        """Resource name -> count, in the order of `families.RESOURCES`."""
        return {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram": self.bram}


class Clock(_Schema):
    """The oscillator on the board, and the clock a design gets unless told otherwise, in MHz.

    oscillator_mhz: None where the processing system or the vendor's shell makes the clock.
    """

    oscillator_mhz: float | None = Field(default=None, gt=0)
    default_mhz: float = Field(gt=0)


class Pins(_Schema):
    """Package balls of what a shell needs, named from the FPGA's side (tx is its output).

    tie_high: outputs that must be held at 1 for the board to leave the FPGA alone. slow_standard:
    of LEDs and button, where their bank has another supply.
    """

    clk: str
    uart_tx: str
    uart_rx: str
    leds: tuple[str, ...] = ()
    button: str | None = None
    tie_high: tuple[str, ...] = ()
    io_standard: str
    slow_standard: str | None = None

    @model_validator(mode="after")
    def _apart(self) -> Pins:
        balls = [self.clk, self.uart_tx, self.uart_rx, *self.leds, *self.tie_high]
        balls += [self.button] if self.button else []
        twice = sorted({ball for ball in balls if balls.count(ball) > 1})
        if twice:
            raise ValueError(f"given to two pins: {', '.join(twice)}")
        return self


class Board(_Schema):
    """One board.

    flow: the tools that make its bitstream.
    finn_board: FINN's own name of it, where FINN knows the board.
    finn_shell: FINN's flow that makes a bitstream; None where FINN stops at the stitched IP.
    board_part: Vivado's name of the board without its version, for its processing system's preset.
    load: commands that load {bitstream} into the FPGA until power-off; any one of them does.
    sources: where the figures of each table come from; every table has one.
    """

    name: str = Field(min_length=1)
    family: str
    part: str
    package: str
    speed_grade: str
    flow: Literal["ecp5", "vivado", "ice40", "gowin"]
    description: str
    finn_board: str | None = None
    finn_shell: Literal["vivado_zynq", "vitis_alveo"] | None = None
    board_part: str | None = Field(default=None, pattern=r"^[\w.-]+(:[\w.-]+){2}$")
    load: tuple[str, ...] = ("openFPGALoader {bitstream}",)
    resources: BoardResources
    clock: Clock
    pins: Pins | None = None
    sources: dict[str, str]

    @model_validator(mode="after")
    def _complete(self) -> Board:
        if self.family not in family_names():
            raise ValueError(f"family {self.family!r} is not one of {', '.join(family_names())}")
        if self.flow != "vivado" and not (self.pins and self.clock.oscillator_mhz):
            raise ValueError(f"flow {self.flow} needs pins and clock.oscillator_mhz")
        if self.finn_shell and not self.finn_board:
            raise ValueError("finn_shell needs finn_board, FINN's name of the board")
        if not self.load or not all("{bitstream}" in command for command in self.load):
            raise ValueError("load needs commands with {bitstream} in them")
        tables = ["part", "resources", "clock"] + (["pins"] if self.pins else [])
        for table in tables:
            if not self.sources.get(table):
                raise ValueError(f"sources.{table} is missing: every figure needs its source")
        return self

    def budget(self, share: float) -> dict[str, float]:
        """Resource name -> what a design may use when it is given `share` of the board."""
        return {name: share * count for name, count in self.resources.as_dict().items()}


ENTRY_POINTS = "liftflow.boards"
"""Entry points by which others add boards, board = "package"; `<board>.toml` lies there."""


def board_names() -> tuple[str, ...]:
    """Names of the boards that are known here, sorted: LiftFlow's and those of other packages."""
    return tuple(sorted({*_own_names(), *_added()}))


@cache
def load_board(name: str) -> Board:
    """The board called `name`, or the one in a user's own TOML file at that path.

    Raises:
        LiftFlowError: no such board or file, or the file does not fit the schema.
    """
    path = board_path(name)
    return validated(Board, read_toml(path), path)


def board_path(name: str) -> Path:
    """The TOML file of a board, by its name or its path.

    Raises:
        LiftFlowError: no such board or file.
    """
    if name in _own_names():
        return _FOLDER / f"{name}.toml"
    if name.endswith(".toml"):
        own = Path(name)
        if not own.is_file():
            raise LiftFlowError("no such board file", where=name, mend="check the path")
        return own
    if name in _added():
        return _added_path(_added()[name])
    raise unknown_name("board", name, board_names())


@cache
def _own_names() -> frozenset[str]:
    return frozenset(path.stem for path in _FOLDER.glob("*.toml"))


@cache
def _added() -> dict[str, EntryPoint]:
    """Boards of other packages; none takes the place of LiftFlow's own."""
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point for point in found if point.name not in _own_names()}


def _added_path(point: EntryPoint) -> Path:
    """The board's file beside the package's sources, found without importing the package."""
    from importlib.util import find_spec

    spec = find_spec(point.value)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder) / f"{point.name}.toml"
        if path.is_file():
            return path
    raise LiftFlowError(
        f"package {point.value} has no {point.name}.toml",
        where=f"board {point.name}",
        mend="mend or uninstall that package",
    )
