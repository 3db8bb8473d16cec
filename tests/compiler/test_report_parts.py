"""Parts of the report: verdict, plots, front, the command that makes it anew, schema."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from report_case import full_insight, full_report

from compiler.commands.compare import figures
from compiler.pass_text import parse_passes, parse_settings, reproduce
from compiler.report import front
from compiler.report.build import _performance, _resources
from compiler.report.html import render
from compiler.report.plots import plots
from compiler.report.schema import Accuracy, Performance, Report, ResourceRow, as_json_schema
from compiler.report.terminal import rows
from compiler.report.verdict import verdict
from compiler.stages import Allocation, FinnUnits, Resources
from hw_targets.boards import load_board
from passes._fit import estimated

ROOT = Path(__file__).parents[2]


def resource(placed: float | None, estimated: float | None = 50.0) -> ResourceRow:
    return ResourceRow(
        resource="LUT", estimated=estimated, synthesised=None, placed=placed, available=100.0
    )


def speed(measured: float | None, reached: float | None) -> Performance:
    return Performance(
        clock_target_mhz=50,
        clock_reached_mhz=reached,
        interval_bound=100,
        interval_measured=None,
        latency_estimated=None,
        latency_measured=None,
        fps_estimated=1000.0,
        fps_measured=measured,
    )


GOALS = {"accuracy": 0.9, "fps": 800.0, "share": 0.7, "clock_mhz": None}


@pytest.mark.parametrize(
    ("goals", "right", "placed", "rate", "clock", "wrong", "states"),
    [
        (GOALS, 0.95, 60.0, 900.0, 55.0, 0, (True, True, True)),
        (GOALS, 0.95, 71.0, 900.0, 55.0, 0, (False, True, True)),
        (GOALS, 0.85, 60.0, 900.0, 55.0, 0, (True, False, True)),
        (GOALS, 0.95, 60.0, 700.0, 55.0, 0, (True, False, True)),
        (GOALS, 0.95, 60.0, 900.0, 49.0, 0, (True, False, True)),
        (GOALS, 0.95, 60.0, 900.0, None, 3, (True, None, False)),
        (GOALS, 0.85, 60.0, 900.0, None, 3, (True, False, False)),
    ],
)
def test_verdict(
    goals: dict[str, float | None],
    right: float,
    placed: float,
    rate: float,
    clock: float | None,
    wrong: int,
    states: tuple[bool | None, ...],
) -> None:
    sim: Any = SimpleNamespace(frames=540, mismatches=wrong)
    accuracy = [Accuracy(stage="quantized", value=right, samples=540)]
    told = verdict(goals, "accuracy", accuracy, [resource(placed)], speed(rate, clock), sim)
    assert (told.fits, told.goals, told.exact) == states
    assert f"{wrong} differ" in told.text
    assert "\n" not in told.text


def test_verdict_of_a_run_that_stopped_early_claims_nothing() -> None:
    told = verdict(GOALS, "accuracy", [], [], None, None)
    assert (told.fits, told.goals, told.exact) == (None, None, None)
    assert told.text.count("not known yet") == 3
    float_only = [Accuracy(stage="float", value=0.99, samples=540)]
    assert verdict(GOALS, "accuracy", float_only, [], None, None).goals is None
    blocks = resource(None, None).model_copy(update={"resource": "BRAM"})
    assert verdict(GOALS, "accuracy", [], [resource(60.0), blocks], None, None).fits is None
    assert verdict(GOALS, "accuracy", [], [resource(71.0), blocks], None, None).fits is False
    estimated = verdict(GOALS, "accuracy", [], [resource(None)], None, None)
    assert "estimated LUT 50% at most, 70% allowed" in estimated.text


def test_plots_are_whole_and_take_the_pages_ink() -> None:
    drawn = plots(full_report())
    assert list(drawn) == ["network", "channels", "front", "training"]
    for svg in drawn.values():
        ElementTree.fromstring(svg)
        assert "currentColor" in svg
        assert "#010203" not in svg
        assert not re.search(r"<svg[^>]* (width|height)=", svg)
    words = "".join(ElementTree.fromstring(drawn["network"]).itertext())
    assert "6 bit" in words
    assert "cycles a frame" in words
    assert plots(full_report(layers=[], front=[], history=[])) == {}


def test_ids_of_the_page_are_there_once_and_links_lead_to_them() -> None:
    page = render(full_report())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(ids)
    assert {"layers", "front", "fifos", "anew"} <= links
    assert "Content-Security-Policy" in page
    assert "<script" not in page
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for told in ("Fits: yes &lt;&amp;&gt;.", "retrain.lr=&lt;&amp;&gt;", "6.2e-07", "17", "chosen"):
        assert told in text, told


def test_the_command_makes_the_same_again() -> None:
    options = {"retrain": {"lr": 1e-3, "mirror": True}, "attribute": {"target": "true"}}
    passes = {"attribute": {"samples": 8}, "prune-filters": {}}
    file = Path("my nets/net.toml")
    words = shlex.split(reproduce(file, "pynq-z2", options, passes, "simulate", 3))
    assert words[:3] == ["liftflow", "compile", str(file)]
    told = dict(zip(words[3::2], words[4::2], strict=True))
    assert (told["--board"], told["--until"], told["--seed"]) == ("pynq-z2", "simulate", "3")
    settings = [value for flag, value in pairwise(words) if flag == "--set"]
    assert parse_settings(settings) == options
    assert parse_passes(told["--passes"]) == passes
    assert reproduce(file, None, {}, None, None, None) == "liftflow compile 'my nets/net.toml'"


def test_designs_explored_are_shown_with_the_chosen_one(tmp_path: Path) -> None:
    run = tmp_path / "net-ulx3s-85f"
    run.mkdir()
    records = [SimpleNamespace(name="prune", digest="d"), SimpleNamespace(name="allocate")]
    result: Any = SimpleNamespace(folder=run, records=records)
    allocation: Any = SimpleNamespace(
        estimate={"lut": 700.0}, clock_mhz=50.0, interval=1000, loss=0.25
    )
    assert front.front(result, allocation) == []
    here: Any = SimpleNamespace(board="ulx3s-85f", fps=9e4, error=0.1, use={"lut": 800.0})
    other: Any = SimpleNamespace(board="pynq-z2", fps=9e4, error=0.1, use={"lut": 800.0})
    front.keep([here, other], "d", run)
    rows = front.front(result, allocation)
    assert [(row.fps, row.error, row.lut, row.chosen) for row in rows] == [
        (9e4, 0.1, 800.0, False),
        (5e4, 0.25, 700.0, True),
    ]
    front.keep([here], "of another network", run)
    assert front.front(result, allocation) == []
    (run / front.FILE).write_text("{")
    assert front.front(result, allocation) == []


def test_the_schema_that_is_documented_is_the_one_that_is_written() -> None:
    documented = (ROOT / "docs" / "report.schema.json").read_text()
    assert documented == as_json_schema(), "python -m compiler.report.schema > docs/..."


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_has_nothing_to_complain_of(tmp_path: Path) -> None:
    """Its console stays empty, which it does not when a policy is broken; and the page prints."""
    page = tmp_path / "report.html"
    call = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu"]
    call += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]

    def console(text: str) -> list[str]:
        page.write_text(text)
        printed = tmp_path / "report.pdf"
        done = subprocess.run(
            [*call, f"--print-to-pdf={printed}", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert printed.read_bytes().startswith(b"%PDF")
        return [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    whole = render(full_report(), full_insight())
    assert console(whole) == []
    assert console(whole.replace("</main>", '<img src="https://example.com/a.png" alt=""></main>'))


def test_estimates_for_another_board_are_none_of_this_one() -> None:
    estimate = {"lut": 1000.0, "ff": 900.0, "dsp": 0.0, "bram": 2.0}
    allocation = Allocation("ulx3s-12f", 25.0, {}, 64, estimate, {}, 0.0, 0.0, 4.0)
    for board, expected in (("ulx3s-12f", 1000.0), ("icebreaker", None)):
        lut, *_ = _resources(load_board(board), allocation, None)
        assert (lut.resource, lut.estimated) == ("LUT", expected)


def test_what_is_estimated_for_our_units_is_none_of_a_design_with_finn_s() -> None:
    estimate = {"lut": 1000.0, "ff": 900.0, "dsp": 0.0, "bram": 2.0}
    allocation = Allocation("ulx3s-12f", 25.0, {}, 64, estimate, {}, 0.0, 0.0, 4.0)
    board = load_board("ulx3s-12f")
    for layers, expected in (((), estimate), (("conv1",), dict.fromkeys(estimate))):
        rtl: Any = SimpleNamespace(allocation=allocation, finn_units=FinnUnits(layers))
        told = {row.resource.lower(): row.estimated for row in
                _resources(board, allocation, None, rtl)}  # fmt: skip
        assert told == expected
        assert {name: getattr(estimated(rtl, board), name) for name in estimate} == expected


def implementation(**changes: Any) -> Any:
    """What is read of an implementation on a Zynq board, built by Vivado."""
    placed = Resources(lut=9120, ff=7310, dsp=44, bram=25)
    made = {"synthesised": Resources(lut=8000), "placed": placed, "clock_mhz": 105.3}
    return SimpleNamespace(**{**made, "power_w": 1.652, "vendor_fps": {}, **changes})


def test_vivados_figures_stand_beside_the_estimates() -> None:
    board = load_board("zcu104")
    estimate = {"lut": 9000.0, "ff": 7000.0, "dsp": 40.0, "bram": None}
    allocation = Allocation("zcu104", 200.0, {}, 64, estimate, {}, 0.0, 0.0, 4.0)
    lut, *others = _resources(board, allocation, implementation())
    assert (lut.estimated, lut.synthesised, lut.placed, lut.available) == (9000, 8000, 9120, 230400)
    assert [row.resource for row in others] == ["FF", "DSP", "BRAM"]
    used = implementation(placed=Resources(lut=9120, uram=3))
    *_, uram = _resources(board, allocation, used)
    assert (uram.resource, uram.estimated, uram.placed, uram.available) == ("URAM", None, 3, 96)
    vendor = {"FINN's estimate": 4000.0}
    made = _performance(allocation, None, implementation(vendor_fps=vendor))
    assert made is not None
    assert (made.clock_reached_mhz, made.fps_vendor) == (105.3, vendor)


def test_power_is_told_or_said_not_to_be_reported() -> None:
    def told(report: Report) -> str | None:
        return dict(rows(report)).get("power")

    report = full_report()
    assert report.power_w is None
    assert told(report) == "not reported by this flow"
    assert "not reported by this flow" in render(report, full_insight())
    report = full_report(power_w=1.652)
    assert told(report) == "1.652 W on the chip, Vivado's estimate"
    assert figures(report)["power, W"] == 1.652
    assert json.loads(report.model_dump_json())["power_w"] == 1.652
    assert told(full_report(performance=None)) is None  # nothing was placed
    assert told(full_report(performance=speed(None, None))) is None
