"""Reports: schema round trip, the page stands alone, the table tells unknown from zero."""

from __future__ import annotations

from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from report_case import full_report
from rich.console import Console

from compiler import report
from compiler.report.html import render
from compiler.report.schema import Report
from hw_targets.errors import LiftFlowError


class Page(HTMLParser):
    """Collects the page's text, checks nesting, and notes what it would load."""

    VOID = frozenset({"meta", "rect", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Page:
    parser = Page()
    parser.feed(page)
    parser.close()
    return parser


def test_round_trip(tmp_path: Path) -> None:
    one = full_report()
    (tmp_path / "report.json").write_text(one.model_dump_json(by_alias=True))
    assert report.load(tmp_path) == one
    assert Report.model_validate(one.model_dump(by_alias=True)).model_dump() == one.model_dump()


def test_page_stands_alone() -> None:
    page = parse(render(full_report()))
    assert page.open == []
    assert page.loads == []
    text = " ".join(page.text)
    for figure in (
        "digits <&>",
        "99.10%",
        "10,100",
        "uncalibrated",
        "needs Vivado",
        "conv1",
        "3.75",
    ):
        assert figure in text


def test_page_of_a_run_that_stopped_early() -> None:
    early = full_report(
        compression=None, performance=None, resources=[], layers=[], units=[], history=[],
        verification=[], accuracy=[],
    )  # fmt: skip
    assert "no claim checked yet" in " ".join(parse(render(early)).text)


def test_table(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(full_report().model_dump_json(by_alias=True))
    console = Console(file=StringIO(), width=160)
    report.show(tmp_path, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "float 99.10%" in lines["accuracy"]
    assert "50.0% less" in lines["MACs"]
    assert "reached 63.2 MHz" in lines["clock"]
    assert "99.7% of the bound" in lines["frames"]
    assert lines["LUT"].split() == ["LUT", "9,000", "9,800", "10,100", "83,640", "12.1%"]
    assert lines["BRAM"].split() == ["BRAM", "uncalibrated", "4", "-", "208", "1.9%"]
    assert "14-synthesize/net.bit" in lines["bitstream"]


def test_no_report(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="no report here"):
        report.load(tmp_path)
    (tmp_path / "report.json").write_text('{"schema": "liftflow-report/0"}')
    with pytest.raises(LiftFlowError, match="not a report of this version"):
        report.load(tmp_path)
