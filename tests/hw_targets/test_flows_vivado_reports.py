"""Vivado's and FINN's reports as they are read, and what is said of ones that are not such."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import vivado_text as text

from hw_targets.errors import LiftFlowError
from hw_targets.flows import finn_reports, vivado_reports
from hw_targets.flows.vivado_timing import Timing, timing

COUNTS = {"lut": 9120.0, "ff": 7310.0, "dsp": 44.0, "bram": 25.0}


def file(folder: Path, content: str) -> Path:
    path = folder / "report.rpt"
    path.write_text(content)
    return path


@pytest.mark.parametrize("prohibited", [False, True])
@pytest.mark.parametrize("family", ["xc7", "xcup", "versal"])
def test_utilization_by_the_names_of_rows(family: str, prohibited: bool, tmp_path: Path) -> None:
    """Older reports have no column Prohibited: columns are found by their names too."""
    path = file(tmp_path, text.utilization(family, prohibited=prohibited))
    uram = {} if family == "xc7" else {"uram": 3.0}
    assert vivado_reports.utilization(path) == {**COUNTS, **uram}


@pytest.mark.parametrize("percentages", [False, True])
@pytest.mark.parametrize("uram", [False, True])
def test_hierarchy_of_the_whole_design_or_of_one_instance(
    uram: bool, percentages: bool, tmp_path: Path
) -> None:
    path = file(tmp_path, text.hierarchy(uram=uram, percentages=percentages))
    held = {"uram": 3.0} if uram else {}
    assert vivado_reports.utilization(path) == {**COUNTS, **held}
    alone = vivado_reports.utilization(path, "accelerator")
    assert alone == {"lut": 7000, "ff": 5100, "dsp": 40, "bram": 19, **held}
    with pytest.raises(LiftFlowError, match=r"report.rpt: no instance other; report it"):
        vivado_reports.utilization(path, "other")


def test_both_in_one_file(tmp_path: Path) -> None:
    path = file(tmp_path, text.utilization() + text.hierarchy())
    assert vivado_reports.utilization(path)["lut"] == 9120
    assert vivado_reports.utilization(path, "accelerator")["lut"] == 7000


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        (r"\| Slice LUTs.*\n", "", r"report.rpt: no row Slice LUTs or CLB LUTs; build it again"),
        (r"\| DSPs .*\n", "", "no row DSPs or DSP Slices or DSP Blocks"),
        (r"( Slice LUTs +\|) +9120", r"\1   ??", r"report.rpt, line \d+: Used is '\?\?', no count"),
        ("Used", "Usxd", "line .*: no column Used"),
        ("Site Type", "Place    ", "not a report of report_utilization"),
    ],
)
def test_malformed_utilization(pattern: str, by: str, said: str, tmp_path: Path) -> None:
    broken = re.sub(pattern, by, text.utilization())
    assert broken != text.utilization()
    with pytest.raises(LiftFlowError, match=said):
        vivado_reports.utilization(file(tmp_path, broken))


def test_malformed_hierarchy(tmp_path: Path) -> None:
    whole = text.hierarchy()
    with pytest.raises(LiftFlowError, match="line .*: no column RAMB18"):
        vivado_reports.utilization(file(tmp_path, whole.replace("RAMB18", "RAMB99")))
    with pytest.raises(LiftFlowError, match="line .*: no column FFs"):
        vivado_reports.utilization(file(tmp_path, whole.replace(" FFs ", " xxs ")))
    with pytest.raises(LiftFlowError, match="not a report of report_utilization -hier"):
        vivado_reports.utilization(file(tmp_path, text.utilization()), "accelerator")


def test_power(tmp_path: Path) -> None:
    assert vivado_reports.power(file(tmp_path, text.power())) == 1.652
    hot = file(tmp_path, text.power("65.186 (Junction temp exceeded!)"))
    assert vivado_reports.power(hot) == 65.186
    with pytest.raises(LiftFlowError, match=r"line \d+: a total power of 'N/A'; build it again"):
        vivado_reports.power(file(tmp_path, text.power("N/A")))
    with pytest.raises(LiftFlowError, match="not a report of report_power"):
        vivado_reports.power(file(tmp_path, text.utilization()))
    with pytest.raises(LiftFlowError, match=r"nothing.rpt: cannot be read: No such file"):
        vivado_reports.power(tmp_path / "nothing.rpt")


LONG = "clk_out1_design_1_clock_0"


def clocks(*, wns: str = "0.312") -> dict[str, tuple[str, list[str]]]:
    return {"clk_fpga_0": ("10.000", text.EMPTY), LONG: ("8.000", [wns, *text.MET[1:]])}


def test_timing_met(tmp_path: Path) -> None:
    found = timing(file(tmp_path, text.timing(text.MET, clocks())))
    assert (found.setup_slack, found.hold_slack) == (0.312, 0.021)
    assert (found.setup_failing, found.hold_failing, found.width_failing) == (0, 0, 0)
    # The reference clock has no paths of its own, only a pulse width.
    assert found.clocks == {LONG: (pytest.approx(1000 / (8 - 0.312)), 125.0)}
    assert found.slowest == (pytest.approx(130.07, abs=0.01), 125.0)


def test_timing_missed(tmp_path: Path) -> None:
    totals = ["-0.500", "-12.250", "31", *text.MET[3:]]
    said = "Timing constraints are not met."
    found = timing(file(tmp_path, text.timing(totals, clocks(wns="-0.500"), said=said)))
    assert found.setup_failing == 31
    assert found.slowest == (pytest.approx(1000 / 8.5), 125.0)
    # The worst path may lie between clocks.
    found = timing(file(tmp_path, text.timing(totals, clocks(wns="0.100"), said=said)))
    assert found.slowest == (pytest.approx(1000 / 8.5), 125.0)


def test_the_clock_with_the_least_margin_counts(tmp_path: Path) -> None:
    other = {"fast": ("4.000", ["0.200", *text.MET[1:]]), **clocks(wns="0.600")}
    found = timing(file(tmp_path, text.timing(["0.200", *text.MET[1:]], other)))
    assert found.slowest == (pytest.approx(1000 / 3.8), 250.0)


def test_nothing_is_claimed_of_what_is_not_timed(tmp_path: Path) -> None:
    nothing = ["NA", "NA", "NA", "NA"] * 3
    said = "There are no user specified timing constraints."
    found = timing(file(tmp_path, text.timing(nothing, {}, said=said)))
    assert found == Timing(None, None, 0, 0, 0, 0)
    assert found.slowest is None
    found = timing(file(tmp_path, text.timing(text.MET, clocks(), unclocked=12)))
    assert found.unclocked == 12
    assert found.slowest is None
    for column in (6, 10):  # endpoints that fail by hold or by pulse width fail at any clock
        totals = list(text.MET)
        totals[column] = "3"
        assert timing(file(tmp_path, text.timing(totals, clocks()))).slowest is None


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        ("Design Timing Summary", "Other", "not a report of report_timing_summary"),
        (r"\n +0\.312 +0\.000", "\n 0.312", r"line \d+: 11 figures under 12 columns"),
        (r"\n( +)0\.312", r"\n\1x.312", r"line \d+: 'x.312' is no number; build it again"),
        (r"( +)TPWS Failing", r"\1TPWZ Failing", "no column TPWS Failing Endpoints"),
        (r"Period\(ns\)", "Period(xs)", r"no columns Waveform\(ns\) and Period\(ns\)"),
        (r"(\n\w+ +\{[^}]*\} +)8\.000", r"\g<1>none", "line .*: 'none' is no number"),
        (r"(\nclk_out1\S+ +)0\.312( +)", r"\g<1>0.3l2\2", "line .*: '0.3l2' is no number"),
    ],
)
def test_malformed_timing(pattern: str, by: str, said: str, tmp_path: Path) -> None:
    whole = text.timing(text.MET, clocks())
    broken = re.sub(pattern, by, whole)
    assert broken != whole
    with pytest.raises(LiftFlowError, match=said):
        timing(file(tmp_path, broken))


def test_a_clock_of_an_unknown_period_is_no_clock(tmp_path: Path) -> None:
    whole = text.timing(text.MET, clocks())
    found = timing(file(tmp_path, whole.replace("Clock Summary", "Another Summary")))
    assert found.clocks == {}
    assert found.slowest is None


TOP = {"LUT": 9120, "SRL": 220, "FF": 7310, "BRAM_36K": 10, "BRAM_18K": 5, "DSP": 44}


def test_finn_reports(tmp_path: Path) -> None:
    path = file(tmp_path, json.dumps({"(top)": TOP, "MVAU_rtl_0": {"LUT": 1}}))
    assert finn_reports.resources(path) == COUNTS
    path = file(tmp_path, json.dumps({"(top)": {**TOP, "URAM": 3}}))
    assert finn_reports.resources(path)["uram"] == 3
    estimate = {"max_cycles": 2304, "estimated_throughput_fps": 43402.8}
    assert finn_reports.estimated_fps(file(tmp_path, json.dumps(estimate))) == 43402.8
    outputs = [{"samples": 10, "intervals": [2304], "throughput_fps": rate} for rate in (9.0, 8.0)]
    assert finn_reports.simulated_fps(file(tmp_path, json.dumps(outputs))) == 8.0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON: .*; build it again with finn-plus"),
        ("[]", r"no entry \(top\)"),
        (json.dumps({"(top)": {**TOP, "FF": "many"}}), "FF is 'many', no number"),
        (json.dumps({"(top)": {"LUT": 1}}), "no entry FF"),
    ],
)
def test_malformed_finn_reports(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match=f"report.rpt: {said}"):
        finn_reports.resources(file(tmp_path, content))
    with pytest.raises(LiftFlowError, match="no list of outputs"):
        finn_reports.simulated_fps(file(tmp_path, "[]"))
    with pytest.raises(LiftFlowError, match="cannot be read"):
        finn_reports.estimated_fps(tmp_path / "nothing.json")
