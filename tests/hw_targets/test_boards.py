"""Board and family files: they load, every figure has a source, faults are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw_targets.boards import board_names, load_board
from hw_targets.errors import LiftFlowError
from hw_targets.families import family_names, load_family

FOLDER = Path("hw_targets/boards")


@pytest.mark.parametrize("name", board_names())
def test_every_board_loads(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.family in family_names()
    assert all(board.sources.values())
    assert board.budget(0.5)["lut"] == board.resources.lut / 2


def test_boards_that_the_open_flow_builds_have_pins() -> None:
    for name in board_names():
        board = load_board(name)
        assert (board.pins is not None) or board.flow != "ecp5"


def test_ulx3s_pins_are_named_from_the_fpga() -> None:
    pins = load_board("ulx3s-85f").pins
    assert pins is not None
    assert (pins.clk, pins.uart_tx, pins.uart_rx) == ("G2", "L4", "M1")
    assert len(pins.leds) == 8


def test_parts_are_what_finn_knows() -> None:
    assert load_board("pynq-z1").part == load_board("pynq-z2").part == "xc7z020clg400-1"
    assert load_board("zcu104").part == "xczu7ev-ffvc1156-2-e"


def test_unknown_board_lists_near_matches() -> None:
    with pytest.raises(LiftFlowError) as error:
        load_board("ulx3s-80f")
    assert "ulx3s-85f" in str(error.value)
    assert "zcu104" not in str(error.value)
    assert "\n" not in str(error.value)


def _copy(folder: Path, old: str, new: str) -> str:
    text = (FOLDER / "ulx3s-85f.toml").read_text()
    assert old in text
    path = folder / "own.toml"
    path.write_text(text.replace(old, new))
    return str(path)


def test_own_board_by_path(tmp_path: Path) -> None:
    board = load_board(_copy(tmp_path, 'name = "ulx3s-85f"', 'name = "mine"'))
    assert board.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("lut = 83640", "lut = -3", "resources.lut"),
        ("oscillator_mhz = 25.0", "", "clock.oscillator_mhz"),
        ('family = "ecp5"', 'family = "ecp7"', "ecp7"),
        ('flow = "ecp5"', 'flow = "ecp5"\ncolour = "red"', "colour"),
        ("[resources]", "[resources", "TOML"),
        ('clock = "ULX3S', 'clocks = "ULX3S', "sources.clock"),
    ],
)
def test_broken_board_file_is_one_line(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = _copy(tmp_path, old, new)
    with pytest.raises(LiftFlowError) as error:
        load_board(path)
    assert named in str(error.value)
    assert path in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_board_file(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="no such board file"):
        load_board(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", family_names())
def test_every_family_loads(name: str) -> None:
    family = load_family(name)
    assert family.name == name
    assert family.block_ram.blocks(512, 36) == 1
    assert family.block_ram.blocks(513, 36) == 2
    assert family.block_ram.blocks(2048, 10) == 2
    assert family.block_ram.blocks(16385, 1) == 2


def test_cells_are_counted_as_the_family_says() -> None:
    ecp5 = load_family("ecp5")
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "PFUMX": 9, "TRELLIS_FF": 7}
    assert ecp5.count(cells) == {"lut": 24.0, "ff": 7.0, "dsp": 0.0, "bram": 0.0}
    assert load_family("xc7").count({"RAMB36E1": 2, "RAMB18E1": 1})["bram"] == 5.0


def test_unknown_family() -> None:
    with pytest.raises(LiftFlowError, match="xc7"):
        load_family("xc8")
