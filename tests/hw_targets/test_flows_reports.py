"""What the tools' reports are read as, and the scripts they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hw_targets.boards import load_board
from hw_targets.errors import LiftFlowError
from hw_targets.families import load_family
from hw_targets.flows import nextpnr, vivado, yosys


def test_yosys_cells_are_counted_by_the_family(tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 7, "MULT18X18D": 2}
    path.write_text(json.dumps({"design": {"num_cells_by_type": cells}}))
    counted = yosys.resources(path, load_family("ecp5"))
    assert counted == {"lut": 22, "ff": 7, "dsp": 2, "bram": 0}
    path.write_text('{"design": []}')
    with pytest.raises(LiftFlowError, match="statistics"):
        yosys.resources(path, load_family("ecp5"))


def test_nextpnr_report(tmp_path: Path) -> None:
    path = tmp_path / "pnr.json"
    used = {"TRELLIS_COMB": 30, "TRELLIS_FF": 20, "MULT18X18D": 0, "DP16KD": 4}
    cells = {cell: {"used": count, "available": 100} for cell, count in used.items()}
    clocks = {
        "$glbnet$clk": {"achieved": 60.5, "constraint": 50.0},
        "clk_in": {"achieved": 55.0, "constraint": 25.0},
    }
    path.write_text(json.dumps({"utilization": cells, "fmax": clocks}))
    report = nextpnr.report(path, "ecp5")
    assert report.resources == {"lut": 30, "ff": 20, "dsp": 0, "bram": 4}
    assert report.slowest_mhz == 60.5
    path.write_text("{}")
    with pytest.raises(LiftFlowError, match="nextpnr report"):
        nextpnr.report(path, "ecp5")


def test_one_attempt_a_seed_on_the_board_device() -> None:
    place, pack = nextpnr.steps(load_board("ulx3s-12f"), "pins.lpf", 50.0, seeds=2)
    assert len(place.attempts) == 2
    assert place.attempts[0][:5] == ("--12k", "--package", "CABGA381", "--speed", "6")
    assert place.attempts[1][-2:] == ("--seed", "2")
    assert pack.products == ("design.bit",)


def test_finn_plan_needs_vivado_and_says_where_to_run_it(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "folding.json": b"{}", "model.onnx": b"graph"}
    plan = vivado.finn("net", files, shell="vivado_zynq")
    assert [tool.name for tool in plan.tools] == ["python", "vivado"]
    plan.write(tmp_path)
    assert "build.py" in (tmp_path / "run.sh").read_text()
    compile((tmp_path / "build.py").read_text(), "build.py", "exec")
    assert vivado.finn("net", files, shell=None).products == (vivado.STITCHED,)
    assert plan.products == (  # what `synth --on` brings back
        "finn_output/bitfile/finn-accel.bit",
        "finn_output/report/post_synth_resources.json",
        "finn_output/report/post_route_timing.rpt",
        "finn_output/report/estimate_network_performance.json",
    )
