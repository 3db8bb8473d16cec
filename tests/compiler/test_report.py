"""Reports: schema round trip, the page stands alone, the table tells unknown from zero."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from report_case import full_insight, full_report
from rich.console import Console

from compiler import report
from compiler.report import pictures
from compiler.report.html import render
from compiler.report.insight import TARGETS, reason, section
from compiler.report.schema import Report
from compiler.report.terminal import print_report
from hw_targets.errors import LiftFlowError
from passes.explain import ONE_TARGET


class Page(HTMLParser):
    """Collects the page's text, checks nesting, and notes what it would load."""

    VOID = frozenset({"meta", "rect", "link", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.loads: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        places = [str(value) for name, value in attrs if name in ("src", "href")]
        inside = ("data:image/png;base64,", "#")
        self.loads += [place for place in places if not place.startswith(inside)]
        if tag == "img":
            self.images.append(dict(attrs))
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


def test_page_and_terminal_say_that_retraining_failed(tmp_path: Path) -> None:
    why = "failed: loss 9.1000 after training, 0.5000 before; the network stays as it was"
    failed = full_report(history=[], untrained=why)
    page = parse(render(failed))
    assert f"Retraining {why}." in " ".join(page.text)
    written = StringIO()
    print_report(failed, tmp_path, Console(file=written, width=200))
    assert f"retraining {why}" in written.getvalue()
    assert "retraining" not in " ".join(parse(render(full_report())).text)


def test_page_shows_what_the_network_looks_at() -> None:
    page = render(full_report(), full_insight())
    found = parse(page)
    assert found.open == []
    assert found.loads == []
    assert len(found.images) == 3 * 3 + 1
    assert all(image["alt"] for image in found.images)
    grid = found.images[-1]
    assert grid["title"] == (
        "3 classes by 2 channels; the greatest share, 100%, is channel 1 for class 1"
    )
    text = " ".join(" ".join(found.text).split())
    for figure in (
        "What the network looks at",
        "cosine 0.91, 0.12 between maps of different samples",
        "Spearman's rank correlation 0.71.",
        "class 0 · sample 70 · cosine 0.90, rank 0.70",
        "refs<&>.npy",
        "98.4% of 64 training samples",
        "to the margin of the true class's logit over the best other, against",
        "conv<1>",
        "0 (75.0%) , 1 (25.0%)",
    ):
        assert figure in text, figure
    assert "conv<1>" not in page
    assert "refs<&>" not in page
    assert len(page) < 5 * 2**20


@pytest.mark.parametrize(
    ("shape", "images"),
    [((3, 200, 300), 30), ((2, 8, 8), 20), ((12,), 30), ((1, 500), 30), ((4, 3, 3, 3), 20)],
)
def test_pictures_of_samples_of_any_shape(shape: tuple[int, ...], images: int) -> None:
    insight = full_insight(shape, samples=16)
    page = render(full_report(insight=section(insight)), insight)
    assert len(parse(page).images) == images + 1
    assert ("are no pictures" in page) == (images == 20)
    assert len(page) < 5 * 2**20


def test_pictures_show_what_they_say() -> None:
    insight = full_insight()
    insight.before[0] = 0
    insight.before[0, 0, 2, 5], insight.before[0, 0, 7, 1] = 4, -2
    shown = pixels(pictures.triples(insight)[0].before.uri)
    assert shown.shape == (8, 8, 3)
    red, blue, none = shown[2, 5], shown[7, 1], shown[0, 0]
    assert red[0] > 0.35
    assert red[2] < 0.15
    assert blue[2] > blue[0] + 0.2
    assert min(none) > 0.95
    grid = pixels(pictures.grids(insight)["conv<1>"].uri)
    assert grid.shape == (3, 2, 3)
    brightness = grid.sum(axis=2)
    assert brightness.argmax() == 3
    assert brightness[0, 0] > brightness[0, 1] > brightness[2, 0] == brightness[1, 0]


def pixels(uri: str) -> np.ndarray:
    """(height, width, 3) of a data URI."""
    data = base64.b64decode(uri.partition(",")[2])
    found: np.ndarray = imread(BytesIO(data), format="png")[:, :, :3]
    return found


def test_large_pictures_are_averaged() -> None:
    plane = np.arange(200.0 * 97).reshape(200, 97)
    small = pictures._averaged(plane)
    assert small.shape == (66, 48)
    assert small[0, 0] == plane[:3, :2].mean()


def test_every_target_has_words() -> None:
    assert set(TARGETS) == set(ONE_TARGET)


def test_reasons() -> None:
    one, other = full_report().layers
    assert reason(one) == (
        "6 bits for 40.0% of the relevance on 14.0% of the weights: one less would change the "
        "modelled error by +3.10% and the network's weight bits by −0.40%; one more would change "
        "the modelled error by −1.20% and the network's weight bits by +0.40%."
    )
    assert reason(other).startswith("2 bits for 86.0% of the weights: hardware has no fewer; one")
    assert reason(one.model_copy(update={"margin": None})) == ""
    assert reason(one) in " ".join(parse(render(full_report())).text)


def test_a_report_without_insight_still_loads(tmp_path: Path) -> None:
    old = full_report().model_dump(by_alias=True)
    del old["insight"]
    for layer in old["layers"]:
        del layer["margin"]
    loaded = Report.model_validate(old)
    assert loaded.insight is None
    page = render(loaded)
    assert "looks at" not in page
    assert "Why these bits" not in page
    assert section(None) is None


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
    assert "16-synthesize/net.bit" in lines["bitstream"]
    assert "cosine 0.91 against 0.12 by chance, rank correlation 0.71" in lines["looks"]


def test_no_report(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="no report here"):
        report.load(tmp_path)
    (tmp_path / "report.json").write_text('{"schema": "liftflow-report/0"}')
    with pytest.raises(LiftFlowError, match="not a report of this version"):
        report.load(tmp_path)


def test_a_signal_is_shown_with_a_line_for_each_channel() -> None:
    signal = np.linspace(0, 1, 30, dtype=np.float32).reshape(3, 10)
    sample = pictures._sample(signal)
    assert sample is not None
    assert (sample.width, sample.height) == (10, 3)
    assert pixels(sample.uri)[0, 0, 0] < pixels(sample.uri)[2, 9, 0]
    heat = pictures._heatmap(signal)
    assert (heat.width, heat.height) == (10, 3)
