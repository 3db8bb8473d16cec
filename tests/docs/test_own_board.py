"""The guide's own board up to a bitstream: where its files are, its pins, how it is loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from guide_case import blocks
from implementation_case import context, design

from passes.package import Package
from passes.synthesize import Synthesize

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "board.md"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The board's file as the guide has it."""
    (text,) = (block.text for block in blocks(GUIDE) if block.title == "5a-75b.toml")
    path = tmp_path / "5a-75b.toml"
    path.write_text(text)
    return path


@pytest.mark.slow
def test_it_gets_a_bitstream_for_its_pins(board: Path, tmp_path: Path) -> None:
    ctx = context(tmp_path / "16-synthesize")
    tool = Synthesize(board=str(board), clock_mhz=50.0, seeds=1, shell_frames=5)
    tool.refuse(ctx)
    made = tool.run(design(tmp_path / "rtl"), ctx)
    assert made.bitstream is not None
    head = made.bitstream.read_bytes()[:200]
    assert b"Part: LFE5U-25F-6CABGA256" in head
    assert b"\xff\xff\xbd\xb3" in head  # the preamble
    assert made.clock_mhz is not None
    assert made.clock_mhz >= made.clock_target_mhz == 50.0
    assert made.budget.lut == pytest.approx(0.7 * 24288)
    # Where the guide says that files are, they are.
    named = re.findall(r"`16-synthesize/(plan/\S+)`", GUIDE.read_text())
    assert len(named) == 3
    assert all((ctx.workdir / name).is_file() for name in named)
    lines = (ctx.workdir / next(name for name in named if name.endswith(".lpf"))).read_text()
    sites = dict(re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)";', lines))
    assert sites == {"clk_in": "P6", "uart_tx": "P11", "uart_rx": "M13"}
    assert 'FREQUENCY PORT "clk_in" 25 MHZ;' in lines
    sent = Package(board=str(board)).run(made, context(tmp_path / "17-package"))
    readme = (sent.folder / "README.md").read_text()
    assert "openFPGALoader --cable ft232 numbers.bit" in readme
    assert "LEDs" not in readme
