"""Board and family files: they load, every figure has a source, faults are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw_targets.boards import board_names, load_board
from hw_targets.errors import LiftFlowError
from hw_targets.families import family_names, load_family
from tests.hw_targets import datasheets

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


@pytest.mark.parametrize("name", board_names())
def test_figures_are_the_data_sheets(name: str) -> None:
    board = load_board(name)
    held = board.resources
    device = board.part.split("-")[0]
    amd = next((key for key in datasheets.AMD if device.startswith(key)), None)
    if amd is not None:
        block, count, bram, uram, dsp = datasheets.AMD[amd]
        lut = count * datasheets.LUTS[block]
        assert (held.lut, held.ff, held.bram) == (lut, 2 * lut, 2 * bram)
        assert (held.uram, held.dsp) == (uram, dsp)
    elif board.flow == "gowin":
        key = next(key for key in datasheets.GOWIN if board.part.startswith(key))
        assert (held.lut, held.ff, held.bram, held.dsp) == datasheets.GOWIN[key]
    else:
        key = next(key for key in datasheets.LATTICE if board.part.startswith(key))
        assert (held.lut // 1000, held.bram, held.dsp) in (
            datasheets.LATTICE[key],
            (datasheets.LATTICE[key][0] - 1, *datasheets.LATTICE[key][1:]),
        )
        assert held.ff == held.lut


@pytest.fixture(scope="module")
def finn_maps(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], ...]:
    """FINN's own board maps: part, Zynq boards, Alveo boards."""
    from hw_targets.finn_adapter.session import finn_session

    with finn_session(tmp_path_factory.mktemp("finn")):
        from finn.util.basic import alveo_part_map, part_map, pynq_part_map

        return part_map, pynq_part_map, alveo_part_map


def test_every_board_of_finns_is_here_with_its_part_and_shell(
    finn_maps: tuple[dict[str, str], ...],
) -> None:
    parts, zynq, alveo = finn_maps
    ours = {board.finn_board: board for board in map(load_board, board_names())}
    assert set(parts) == set(ours) - {None}
    for name, part in parts.items():
        assert ours[name].part == part
        shell = "vivado_zynq" if name in zynq else "vitis_alveo" if name in alveo else None
        assert ours[name].finn_shell == shell


def test_finns_platforms_hold_about_as_much(finn_maps: tuple[dict[str, str], ...]) -> None:
    """An independent check: FINN's own figures, rounded and for some without the shell's part."""
    from finn.util.platforms import platforms

    compared = 0
    for board in map(load_board, board_names()):
        if board.finn_board not in platforms:
            continue
        dies = platforms[board.finn_board]().compute_resources
        lut, ff, bram, _, dsp = (sum(column) for column in zip(*dies, strict=True))
        held = board.resources
        for ours, theirs in ((held.lut, lut), (held.ff, ff), (held.bram, bram), (held.dsp, dsp)):
            assert 0.8 * ours <= theirs <= 1.01 * ours, board.name
        compared += 1
    assert compared >= 6


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
        ("oscillator_mhz = 25.0", "oscillator_mhz = -1.0", "clock.oscillator_mhz"),
        ("oscillator_mhz = 25.0", "", "clock.oscillator_mhz"),
        ("default_mhz = 50.0", "", "clock.default_mhz"),
        ("dsp = 156", "dsp = 156.5", "resources.dsp"),
        ('flow = "ecp5"', 'flow = "ecp5"\nfinn_shell = "vivado_zynq"', "finn_board"),
        ('family = "ecp5"', 'family = "ecp7"', "ecp7"),
        ('flow = "ecp5"', 'flow = "ecp5"\ncolour = "red"', "colour"),
        ('uart_rx = "M1"', 'uart_rx = "L4"', "given to two pins: L4"),
        ("fujprog {bitstream}", "fujprog", "load needs commands with {bitstream}"),
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
def test_every_family_loads_and_has_figures_with_sources(name: str) -> None:
    family = load_family(name)
    assert family.name == name
    assert all(family.sources[figures] for figures in ("multiplier", "block_ram", "cells"))
    words, bits = family.block_ram.shapes[-1]
    assert family.block_ram.blocks(words, bits) == 1
    assert family.block_ram.blocks(words + 1, bits) == 2


def test_block_rams_take_the_best_shape() -> None:
    block_ram = load_family("ecp5").block_ram
    assert block_ram.blocks(2048, 10) == 2
    assert block_ram.blocks(16385, 1) == 2


def test_cells_are_counted_as_the_family_says() -> None:
    ecp5 = load_family("ecp5")
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "PFUMX": 9, "TRELLIS_FF": 7}
    assert ecp5.count(cells) == {"lut": 28.0, "ff": 7.0, "dsp": 0.0, "bram": 0.0}
    assert load_family("xc7").count({"RAMB36E1": 2, "RAMB18E1": 1})["bram"] == 5.0


def test_unknown_family() -> None:
    with pytest.raises(LiftFlowError, match="xc7"):
        load_family("xc8")
