"""Constant memories in logic: they take the LUTs their words fill, and hold these words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hw_targets.families import load_family
from hw_targets.flows import yosys
from hw_targets.flows.tools import YOSYS
from hw_targets.rtl.kernel import RTL_DIR
from hw_targets.rtl.rom import ROM

WIDTH = 8
MODELS = {
    "ecp5": "+/lattice/cells_sim_ecp5.v",
    "xc7": "+/xilinx/cells_sim.v",
}
"""What Yosys' own library says the cells do."""

_TOP = """module top (
    input wire clk, input wire enable, input wire restart, output wire [{high}:0] data
);
    logic [{bits}-1:0] word;
    always_ff @(posedge clk)
        if (restart) word <= '0;
        else if (enable) word <= word == {bits}'({last}) ? '0 : word + 1'b1;
    lf_rom #(.WIDTH({width}), .DEPTH({depth}), .WORDS("rom.mem")) rom (
        .clk, .enable, .addr(word), .data
    );
endmodule
"""
_COMBINATIONAL = """module top (input wire [{bits}-1:0] addr, output wire [{high}:0] data);
    logic [{high}:0] word;
    lf_lookup #(.WIDTH({width}), .DEPTH({depth}), .WORDS("rom.mem")) lookup (.addr, .data(word));
    assign data = addr <= {bits}'({last}) ? word : '0;
endmodule
"""


def run(folder: Path, top: str, depth: int, script: str) -> None:
    """Random words, and a design round them, through a script."""
    words = np.random.default_rng(depth).integers(0, 1 << WIDTH, depth)
    bits = (depth - 1).bit_length()
    text = top.format(high=WIDTH - 1, width=WIDTH, depth=depth, last=depth - 1, bits=bits)
    (folder / "top.sv").write_text(text)
    (folder / ROM).write_bytes((RTL_DIR / ROM).read_bytes())
    (folder / "rom.mem").write_text("".join(f"{word:02x}\n" for word in words))
    (folder / "run.ys").write_text(script)
    done = subprocess.run(
        YOSYS.command(("-q", "-l", "run.log", "-s", "run.ys")),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (folder / "run.log").read_text()[-2000:]


@pytest.mark.skipif(not YOSYS.present, reason="needs Yosys")
@pytest.mark.parametrize("depth", [16, 17, 64, 200])
@pytest.mark.parametrize("name", list(MODELS))
def test_words_fill_their_luts(name: str, depth: int, tmp_path: Path) -> None:
    """With the counter that reads them: Yosys alone takes several times as many."""
    family = load_family(name)
    run(tmp_path, _TOP, depth, yosys.script("top", ("top.sv", ROM), family))
    luts = yosys.resources(tmp_path / yosys.STATISTICS, family)["lut"]
    words = -(-depth // 2**family.lut_inputs) * WIDTH
    assert luts <= words + (6 if depth > 128 else 3) * WIDTH


@pytest.mark.skipif(not YOSYS.present, reason="needs Yosys")
@pytest.mark.parametrize("depth", [17, 300])
@pytest.mark.parametrize("name", list(MODELS))
def test_the_cells_hold_the_words(name: str, depth: int, tmp_path: Path) -> None:
    """Proved for every address there is: by Yosys' solver, from its models of the cells."""
    family = load_family(name)
    made = yosys.script("top", ("top.sv", ROM), family)
    read = made.splitlines()[0].replace(" --keep-hierarchy", "")
    prove = [
        f"techmap -wb -D EQUIV -autoproc -map {MODELS[name]}",
        "opt -full",
        "design -stash gate",
        read,
        "proc",
        "memory",
        "opt -full",
        "design -stash gold",
        "design -copy-from gold -as gold top",
        "design -copy-from gate -as gate top",
        "miter -equiv -flatten -ignore_gold_x gold gate miter",
        "sat -verify -prove trigger 0 miter",
    ]
    run(tmp_path, _COMBINATIONAL, depth, made + "\n".join(prove) + "\n")
