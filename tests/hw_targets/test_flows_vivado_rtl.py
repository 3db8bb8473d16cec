"""The build by Vivado alone: its plan, and its scripts run by a Tcl interpreter."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from standin import standin

from hw_targets.boards import board_names, load_board
from hw_targets.errors import LiftFlowError
from hw_targets.flows import vivado_rtl
from hw_targets.flows.plan import BuildPlan
from hw_targets.shells.dma_shell import PROCESSORS, DmaShell, processor_of

tkinter = pytest.importorskip("tkinter", reason="needs Python's tkinter: its Tcl runs the scripts")
from vivado_stub import BUSES, PINS, Vivado  # noqa: E402

ZYNQ = [
    name for name in board_names() if load_board(name).part.startswith(("xc7z", "xczu", "xck26"))
]


def made(folder: Path, board: str = "pynq-z2", **options: object) -> BuildPlan:
    unit = standin(folder / "rtl", 3, 8, 7, (9, 10, 1))
    (folder / "rtl" / "weights.mem").write_text("ff\n")
    unit = type(unit)(**{**vars(unit), "memories": ("weights.mem",)})
    shell = DmaShell(load_board(board), unit)
    return vivado_rtl.plan(shell, folder / "rtl", 125.0, 3, **options)  # type: ignore[arg-type]


def written(folder: Path, board: str = "pynq-z2") -> Vivado:
    made(folder, board).write(folder / "plan")
    return Vivado(folder / "plan")


def test_plan_needs_vivado_alone_and_leaves_bitstream_handoff_and_reports(tmp_path: Path) -> None:
    plan = made(tmp_path)
    assert [tool.name for tool in plan.tools] == ["vivado"]
    assert "HLS" not in plan.tools[0].get
    assert plan.products == (
        "design.bit", "design.hwh", "utilization.rpt", "timing.rpt", "power.rpt",
    )  # fmt: skip
    given = {name for step in plan.steps for name in step.products}
    assert set(plan.products) <= given
    for step in plan.steps:
        assert set(step.inputs) <= set(plan.files) | given
    plan.write(tmp_path / "plan")
    subprocess.run(["sh", "-n", tmp_path / "plan" / "run.sh"], check=True)
    assert made(tmp_path).digest == plan.digest
    assert made(tmp_path, "pynq-z1").digest != plan.digest


def test_other_directives_only_for_a_missed_clock(tmp_path: Path) -> None:
    implement = made(tmp_path).steps[-1]
    assert [attempt[-3:] for attempt in implement.attempts] == [
        ("Default", "Default", "0"),
        ("Explore", "Explore", "0"),
        ("ExtraTimingOpt", "AggressiveExplore", "0"),
    ]
    allowed = made(tmp_path, allow_missed_clock=True).steps[-1]
    assert allowed.attempts[-1][-3:] == ("Default", "Default", "1")


def test_package_ip_takes_every_source_and_memory(tmp_path: Path) -> None:
    vivado = written(tmp_path)
    vivado.run("package_ip.tcl")
    added = {Path(call[-1]).name for call in vivado.called("add_files")}
    assert added == {path.name for path in (tmp_path / "plan" / "rtl").iterdir()}
    assert vivado.called("ipx::add_file") == [("src/weights.mem", "xilinx_anylanguagesynthesis")]
    assert (tmp_path / "plan" / "ip" / "src" / "weights.mem").is_file()
    streams = [call[1] for call in vivado.called("ipx::associate_bus_interfaces")]
    assert streams == ["s_axis", "m_axis"]
    assert (tmp_path / "plan" / "ip" / "component.xml").is_file()
    (tmp_path / "plan" / "rtl" / "lf_dma_in.sv").unlink()
    with pytest.raises(tkinter.TclError, match=r"rtl/lf_dma_in.sv is missing"):
        vivado.run("package_ip.tcl")


@pytest.mark.parametrize("board", ZYNQ)
def test_block_design_connects_everything_once(board: str, tmp_path: Path) -> None:
    vivado = written(tmp_path, board)
    vivado.run("synthesize.tcl")
    connected = {*vivado.nets, *vivado.nets.values()}
    for cell, kind in vivado.cells.items():
        for pin in PINS[kind].split():
            assert f"{cell}/{pin}" in connected, f"{cell}/{pin} is left open"
        for bus in BUSES.get(kind, "").split():
            if f"{cell}/{bus}" != "to_registers/S01_AXI":
                assert f"{cell}/{bus}" in vivado.buses, f"{cell}/{bus} is left open"
    clocks = [pin for pin in vivado.nets if pin.lower().endswith("aclk")]
    assert {vivado.nets[pin] for pin in clocks} == {"clock/clk_out1"}
    assert vivado.nets["accelerator/aresetn"] == "reset/peripheral_aresetn"
    assert vivado.buses["accelerator/s_axis"] == "dma/M_AXIS_MM2S"
    assert vivado.buses["accelerator/m_axis"] == "dma/S_AXIS_S2MM"
    assert vivado.options["clock"]["CLKOUT1_REQUESTED_OUT_FREQ"] == "125"
    processor = PROCESSORS[processor_of(load_board(board))]
    dma = vivado.options["dma"]
    assert dma["c_m_axis_mm2s_tdata_width"] == "32"  # three bytes a beat in
    wide = 8 * processor.port_bytes  # ninety bits a beat out
    assert dma["c_s_axis_s2mm_tdata_width"] == dma["c_m_axi_s2mm_data_width"] == str(wide)
    assert dma["c_addr_width"] == str(processor.address_bits)
    assert vivado.called("create_project")[0][-1] == load_board(board).part
    assert {call[3].split(":")[-1] for call in vivado.called("create_bd_cell")} == {"10.0"}
    plan = tmp_path / "plan"
    for product in ("design.hwh", "synthesized.dcp", "synthesized.rpt"):
        assert (plan / product).is_file()


def test_preset_where_this_vivado_has_files_of_the_board(tmp_path: Path) -> None:
    vivado = written(tmp_path)
    vivado.run("synthesize.tcl")
    assert "board_part" not in vivado.properties
    (config,) = [call[3] for call in vivado.called("apply_bd_automation")]
    assert "apply_board_preset 0" in config
    vivado = written(tmp_path)
    vivado.board_parts = tuple(f"tul.com.tw:pynq-z2:part0:1.{minor}" for minor in (2, 10))
    vivado.run("synthesize.tcl")
    assert vivado.properties["board_part"] == "tul.com.tw:pynq-z2:part0:1.10"
    (config,) = [call[3] for call in vivado.called("apply_bd_automation")]
    assert "apply_board_preset 1" in config


def test_a_memory_that_vivado_does_not_find_is_an_error(tmp_path: Path) -> None:
    """Vivado itself makes a memory of zeros of it, and goes on."""
    vivado = written(tmp_path)
    vivado.log = (
        "CRITICAL WARNING: [Synth 8-4445] could not open $readmem data file 'weights.mem'; "
        "please make sure the file is added to project and has read permission, ignoring\n"
    )
    with pytest.raises(tkinter.TclError, match=r"did not find memory file weights.mem"):
        vivado.run("synthesize.tcl")
    assert vivado.properties["STEPS.SYNTH_DESIGN.TCL.PRE"].endswith("tcl/memories.tcl")
    run = tmp_path / "run"
    run.mkdir()
    script = tmp_path / "plan" / "tcl" / "memories.tcl"
    with contextlib.chdir(run):
        vivado.tcl.eval(f"source {{{script}}}")
    assert (run / "weights.mem").read_text() == "ff\n"


def test_implement_leaves_reports_and_bitstream(tmp_path: Path) -> None:
    vivado = written(tmp_path)
    vivado.run("implement.tcl", "Explore", "AggressiveExplore", "0")
    assert vivado.called("place_design") == [("-directive", "Explore")]
    assert vivado.called("route_design") == [("-directive", "AggressiveExplore")]
    for name in (*vivado_rtl.PRODUCTS, "hierarchy.rpt"):
        if name != vivado_rtl.HANDOFF:
            assert (tmp_path / "plan" / name).is_file()


@pytest.mark.parametrize(
    ("kind", "allowed", "refused"),
    [("-setup", "0", True), ("-setup", "1", False), ("-hold", "0", True), ("-hold", "1", True)],
)
def test_no_bitstream_of_a_missed_clock(
    kind: str, allowed: str, refused: bool, tmp_path: Path
) -> None:
    """One with hold violations has none at all."""
    vivado = written(tmp_path)
    vivado.slacks[kind] = "-0.125"
    if refused:
        wanted = f"clock missed: worst {kind[1:]} slack -0.125 ns at 125 MHz"
        with pytest.raises(tkinter.TclError, match=wanted):
            vivado.run("implement.tcl", "Default", "Default", allowed)
    else:
        vivado.run("implement.tcl", "Default", "Default", allowed)
    plan = tmp_path / "plan"
    assert (plan / "design.bit").is_file() is not refused
    assert (plan / "timing.rpt").is_file()


def test_a_design_without_a_clock_is_refused(tmp_path: Path) -> None:
    """Vivado gives no path then, or one without slack."""
    vivado = written(tmp_path)
    vivado.slacks["-hold"] = ""
    with pytest.raises(tkinter.TclError, match="no path is timed by hold: the design has no clock"):
        vivado.run("implement.tcl", "Default", "Default", "1")
    vivado.tcl.createcommand("get_timing_paths", lambda *_: "")
    with pytest.raises(tkinter.TclError, match="no path is timed by setup"):
        vivado.run("implement.tcl", "Default", "Default", "1")


def test_an_ip_that_this_vivado_has_not_is_named(tmp_path: Path) -> None:
    vivado = written(tmp_path)
    vivado.without = ("axi_dma",)
    with pytest.raises(tkinter.TclError, match="this Vivado has no IP xilinx.com:ip:axi_dma"):
        vivado.run("synthesize.tcl")


def test_missing_vivado_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    with pytest.raises(LiftFlowError, match="needs vivado; install AMD Vivado and source"):
        made(tmp_path).run(tmp_path / "plan")
