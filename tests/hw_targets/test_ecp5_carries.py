"""Carry chains of ECP5: rebuilt ones compute the same, and nextpnr adds nothing to them."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hw_targets.flows import ecp5_carries
from hw_targets.flows.tools import NEXTPNR_ECP5, YOSYS

MODELS = "+/lattice/common_sim.vh +/lattice/ccu2c_sim.vh"
FORMS = {
    "sum": "a + b",
    "difference": "a - b",
    "carry": "({{1'b0, a}} + {{1'b0, b}}) >> {n}",
    "both": "{{1'b0, a}} + {{1'b0, b}}",
    "less": "a < b",
    "signed": "$signed(a) >= $signed(b)",
    "count": "a + 1'b1",
    "minus": "-a",
    "constant": "a + 'h155",
    "chosen": "c ? a - b : a + b",
    "carried": "a + b + c",
}
WIDTHS = (5, 6, 9, 12, 17)


def synthesised(forms: list[str], width: int, folder: Path) -> dict[str, Any]:
    """Circuits without registers side by side, as Yosys leaves them; `before.json`."""
    lines = [
        f"module top(input [{width - 1}:0] a, b, input c, "
        + ", ".join(f"output [{width}:0] y_{form}" for form in forms)
        + ");",
        *(f"assign y_{form} = {FORMS[form].format(n=width)};" for form in forms),
        "endmodule",
    ]
    (folder / "top.sv").write_text("\n".join(lines) + "\n")
    yosys(folder, "read_verilog -sv top.sv; synth_ecp5 -nowidelut -top top -json before.json")
    made: dict[str, Any] = json.loads((folder / "before.json").read_text())
    write(made, folder / "before.json")
    return made


def write(made: dict[str, Any], file: Path) -> None:
    file.write_text(json.dumps(made))


def yosys(folder: Path, script: str) -> None:
    run(YOSYS.command(("-q", "-p", script)), folder)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def cells(made: dict[str, Any]) -> Counter[str]:
    return Counter(cell["type"] for cell in made["modules"]["top"]["cells"].values())


def prove_equal(made: dict[str, Any], folder: Path) -> None:
    """By SAT, for all inputs: the netlist computes what `before.json` does."""
    write(made, folder / "after.json")
    names = ("before", "after")
    for name in names:  # as the flow does
        yosys(folder, f"read_json {name}.json; bufnorm -conn; write_verilog -noattr {name}.v")
    flat = f"read_verilog {MODELS}; hierarchy -top top; proc; flatten"
    lines = [
        *(f"read_verilog {name}.v; {flat}; design -stash {name}" for name in names),
        *(f"design -copy-from {name} -as {name} top" for name in names),
        "miter -equiv -flatten before after miter; hierarchy -top miter; opt_clean",
        "sat -verify -prove trigger 0 -set-def-inputs miter",
    ]
    yosys(folder, "; ".join(lines))


@pytest.mark.parametrize("width", WIDTHS)
def test_rebuilt_chains_compute_the_same(width: int, tmp_path: Path) -> None:
    made = synthesised(list(FORMS), width, tmp_path)
    before = cells(made)["CCU2C"]
    found = ecp5_carries.tighten(made)
    assert found["chains"] >= len(FORMS) // 2
    assert found["split"] <= 1
    prove_equal(made, tmp_path)
    assert cells(made)["CCU2C"] <= before + found["chains"]


def test_a_wrong_carry_is_noticed(tmp_path: Path) -> None:
    made = synthesised(["sum"], 8, tmp_path)
    ecp5_carries.tighten(made)
    first = next(
        cell
        for cell in made["modules"]["top"]["cells"].values()
        if cell["type"] == "CCU2C" and cell["connections"]["CIN"] == ["x"]
    )
    first["parameters"]["INIT0"] = f"{int(first['parameters']['INIT0'], 2) ^ 15:016b}"
    with pytest.raises(AssertionError, match="proof did fail"):
        prove_equal(made, tmp_path)


def test_nextpnr_adds_no_cells(tmp_path: Path) -> None:
    """But for the constants 0 and 1, a LUT each."""
    made = synthesised(["sum", "both", "less", "count", "carried"], 9, tmp_path)
    counted = {}
    for name in ("before", "after"):
        write(made, tmp_path / f"{name}.json")
        placing = ["--12k", "--package", "CABGA381", "--json", f"{name}.json", "-q"]
        run(NEXTPNR_ECP5.command((*placing, "--report", f"{name}-pnr.json")), tmp_path)
        report = json.loads((tmp_path / f"{name}-pnr.json").read_text())
        there = cells(made)["LUT4"] + 2 * cells(made)["CCU2C"]
        counted[name] = report["utilization"]["TRELLIS_COMB"]["used"], there
        ecp5_carries.tighten(made)
    (placed, _), (after, there) = counted.values()
    assert there <= after <= there + 2
    assert after < placed - 2 * 5


def test_a_carry_taken_on_the_way_stays(tmp_path: Path) -> None:
    made = synthesised(["sum"], 9, tmp_path)
    top = made["modules"]["top"]
    middle = next(
        cell["connections"]["COUT"][0]
        for cell in top["cells"].values()
        if cell["type"] == "CCU2C" and cell["connections"]["CIN"] == ["0"]
    )
    top["ports"]["tap"] = {"direction": "output", "bits": [middle]}
    write(made, tmp_path / "before.json")
    assert ecp5_carries.tighten(made) == {"chains": 1, "split": 1}
    prove_equal(made, tmp_path)
