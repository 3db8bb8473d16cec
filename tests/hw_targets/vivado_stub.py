"""What the scripts for Vivado ask of it, recorded by a Tcl interpreter that stands in for it.

It knows the pins and options of the IP that the block design has, as AMD's product guides give
them (PG021 AXI DMA, PG065 clocking wizard, PG082 and PG201 processing systems, PG164 reset, PG247
SmartConnect): a pin or an option that is not among them is an error, as it is in Vivado. What
Vivado itself would make of it all, it cannot tell.
"""

from __future__ import annotations

import contextlib
import tkinter
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

PINS = {
    "processing_system7": "FCLK_CLK0 FCLK_RESET0_N M_AXI_GP0_ACLK S_AXI_HP0_ACLK",
    "zynq_ultra_ps_e": "pl_clk0 pl_resetn0 maxihpm0_fpd_aclk saxihp0_fpd_aclk",
    "clk_wiz": "clk_in1 resetn clk_out1 locked",
    "proc_sys_reset": (
        "slowest_sync_clk ext_reset_in dcm_locked interconnect_aresetn peripheral_aresetn"
    ),
    "axi_dma": "s_axi_lite_aclk m_axi_mm2s_aclk m_axi_s2mm_aclk axi_resetn",
    "smartconnect": "aclk aresetn",
    "liftflow_dma": "aclk aresetn",
}
BUSES = {
    "processing_system7": "M_AXI_GP0 S_AXI_HP0",
    "zynq_ultra_ps_e": "M_AXI_HPM0_FPD S_AXI_HP0_FPD",
    "axi_dma": "M_AXIS_MM2S S_AXIS_S2MM M_AXI_MM2S M_AXI_S2MM S_AXI_LITE",
    "smartconnect": "S00_AXI S01_AXI M00_AXI",
    "liftflow_dma": "s_axis m_axis",
}
OPTIONS = {
    "processing_system7": (
        "PCW_USE_M_AXI_GP0 PCW_USE_S_AXI_HP0 PCW_S_AXI_HP0_DATA_WIDTH PCW_EN_CLK0_PORT "
        "PCW_FPGA0_PERIPHERAL_FREQMHZ"
    ),
    "zynq_ultra_ps_e": (
        "PSU__USE__M_AXI_GP0 PSU__USE__M_AXI_GP1 PSU__USE__M_AXI_GP2 PSU__USE__S_AXI_GP2 "
        "PSU__OVERRIDE__BASIC_CLOCK PSU__SAXIGP2__DATA_WIDTH PSU__FPGA_PL0_ENABLE "
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"
    ),
    "clk_wiz": (
        "PRIM_IN_FREQ PRIM_SOURCE CLKOUT1_REQUESTED_OUT_FREQ USE_LOCKED USE_RESET RESET_TYPE "
        "RESET_PORT"
    ),
    "axi_dma": (
        "c_include_sg c_sg_include_stscntrl_strm c_sg_length_width c_addr_width c_include_mm2s "
        "c_include_s2mm c_include_mm2s_dre c_include_s2mm_dre c_m_axi_mm2s_data_width "
        "c_m_axis_mm2s_tdata_width c_m_axi_s2mm_data_width c_s_axis_s2mm_tdata_width "
        "c_mm2s_burst_size c_s2mm_burst_size"
    ),
    "smartconnect": "NUM_SI NUM_MI",
}
IGNORED = [
    "update_compile_order",
    "update_ip_catalog",
    "create_bd_design",
    "assign_bd_address",
    "validate_bd_design",
    "save_bd_design",
    "generate_target",
    "make_wrapper",
    "open_run",
    "close_project",
    "create_project",
    "current_project",
    "current_fileset",
    "get_files",
    "get_runs",
    "wait_on_run",
    "opt_design",
    "place_design",
    "phys_opt_design",
    "route_design",
    "open_checkpoint",
    "apply_bd_automation",
    "ipx::associate_bus_interfaces",
    "ipx::add_file",
    "ipx::create_xgui_files",
    "ipx::update_checksums",
    "ipx::check_integrity",
    "ipx::current_core",
    "ipx::get_files",
    "add_files",
]


class Vivado:
    """A recorder; scripts run in `folder`.

    calls: every command and its arguments. nets, buses: pin or bus -> what it was connected to.
    options: cell -> option -> value. slacks: worst setup and hold, in ns. log: what the synthesis
    run says. board_parts: boards that this Vivado has files of. without: IP
    that it has not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[tuple[str, ...]] = []
        self.cells: dict[str, str] = {}
        self.nets: dict[str, str] = {}
        self.buses: dict[str, str] = {}
        self.options: dict[str, dict[str, str]] = {}
        self.properties: dict[str, str] = {}
        self.slacks = {"-setup": "0.312", "-hold": "0.021"}
        self.log = "Finished\n"
        self.board_parts: tuple[str, ...] = ()
        self.without: tuple[str, ...] = ()
        self.tcl = tkinter.Tcl()
        for name in IGNORED:
            self._define(name, lambda *_: "")
        answers: dict[str, Callable[..., str]] = {
            "create_bd_cell": self._create_bd_cell,
            "connect_bd_net": self._connect_net,
            "connect_bd_intf_net": self._connect_bus,
            "get_bd_cells": self._cell,
            "get_bd_pins": lambda pin: self._known(pin, PINS),
            "get_bd_intf_pins": lambda pin: self._known(pin, BUSES),
            "get_ipdefs": self._ipdefs,
            "get_board_parts": self._boards,
            "get_property": self._get,
            "set_property": self._set,
            "get_timing_paths": lambda option, *_: option,
            "ipx::package_project": self._package,
            "ipx::get_bus_interfaces": lambda name, *_: name,
            "ipx::get_file_groups": lambda *_: "xilinx_anylanguagesynthesis",
            "ipx::save_core": lambda _: self._leave("ip/component.xml"),
            "launch_runs": self._launch,
            "write_checkpoint": lambda _force, name: self._leave(name),
            "write_bitstream": lambda _force, name: self._leave(name),
            "report_utilization": self._report,
            "report_timing_summary": self._report,
            "report_power": self._report,
        }
        for name, answer in answers.items():
            self._define(name, answer)

    def run(self, script: str, *arguments: str) -> None:
        """Source a script of the folder. Raises tkinter.TclError as Vivado would stop."""
        self.tcl.call("set", "argv", arguments)
        with contextlib.chdir(self.folder):
            self.tcl.eval(f"source tcl/{script}")

    def called(self, name: str) -> list[tuple[str, ...]]:
        """Arguments of every call of a command."""
        return [call[1:] for call in self.calls if call[0] == name]

    def _define(self, name: str, answer: Callable[..., str]) -> None:
        def command(*arguments: object) -> str:
            words = tuple(str(argument) for argument in arguments)
            self.calls.append((name, *words))
            return answer(*words)

        if "::" in name:
            self.tcl.eval(f"namespace eval {name.partition('::')[0]} {{}}")
        self.tcl.createcommand(name, command)

    def _create_bd_cell(self, *words: str) -> str:
        assert words[:3] == ("-type", "ip", "-vlnv")
        vlnv, name = words[3:]
        kind = vlnv.split(":")[2]
        if kind not in PINS:
            raise ValueError(f"no IP {vlnv}")
        self.cells[name] = kind
        return name

    def _cell(self, name: str) -> str:
        if name not in self.cells:
            raise ValueError(f"no cell {name}")
        return name

    def _known(self, pin: str, table: dict[str, str]) -> str:
        cell, _, name = pin.partition("/")
        if name not in table[self.cells[cell]].split():
            raise ValueError(f"{self.cells[cell]} has no {name}")
        return pin

    def _connect_net(self, source: str, sink: str) -> str:
        assert sink not in self.nets, f"{sink} is driven twice"
        self.nets[sink] = source
        return ""

    def _connect_bus(self, source: str, sink: str) -> str:
        for end, other in ((source, sink), (sink, source)):
            assert end not in self.buses, f"{end} is connected twice"
            self.buses[end] = other
        return ""

    def _ipdefs(self, *words: str) -> str:
        kind = words[-1].split(":")[2]
        known = kind in PINS and kind not in self.without
        return " ".join(words[-1].replace("*", version) for version in ("9.1", "10.0") if known)

    def _boards(self, *words: str) -> str:
        return " ".join(part for part in self.board_parts if fnmatchcase(part, words[-1]))

    def _get(self, name: str, *target: str) -> str:
        if name == "SLACK":
            return self.slacks[target[0]]
        return {"VLNV": " ".join(target), "PROGRESS": "100%", "STATUS": "done"}[name]

    def _set(self, *words: str) -> str:
        if words[0] != "-dict":
            self.properties[words[0]] = words[1]
            return ""
        cell, given = words[2], self.tcl.splitlist(words[1])
        for option, value in zip(given[::2], given[1::2], strict=True):
            known = option.removeprefix("CONFIG.").removesuffix(".VALUE_SRC")
            if known not in OPTIONS[self.cells[cell]].split():
                raise ValueError(f"{self.cells[cell]} has no option {known}")
            self.options.setdefault(cell, {})[option.removeprefix("CONFIG.")] = value
        return ""

    def _package(self, *words: str) -> str:
        (self.folder / "ip" / "src").mkdir(parents=True, exist_ok=True)
        return ""

    def _launch(self, *_: str) -> str:
        self._leave("build/liftflow/liftflow.runs/synth_1/runme.log", self.log)
        place = "build/liftflow/liftflow.gen/sources_1/bd/design_1/hw_handoff/design_1.hwh"
        return self._leave(place, "<EDKSYSTEM/>")

    def _report(self, *words: str) -> str:
        return self._leave(words[words.index("-file") + 1])

    def _leave(self, name: str, text: str = "") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return ""
