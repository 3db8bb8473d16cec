"""explore: every design of the front is within the board, and none beats another."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest
from priced_case import prices
from quant_case import context as branch_context
from quant_graph import data_for
from quant_graph import scored as branching
from test_allocate import DIGITS, TINY, context, scored
from typer.testing import CliRunner

from compiler.cli import app
from compiler.commands.explore import as_row
from compiler.pricing.front import Design, explore
from compiler.pricing.front_plot import draw
from compiler.stages import LayerChoice
from hw_targets.boards import load_board
from hw_targets.cost import estimate_design, network_kernels
from hw_targets.errors import InfeasibleError, LiftFlowError
from passes.allocate import Allocate

BOARDS = ("ulx3s-12f", "ulx3s-25f")
TASK = Allocate(
    "ulx3s-85f",
    50.0,
    share=0.12,
    weight_bits=(2, 4),
    act_bits=(2, 3),
    sensitivity="deeplift-relevance",
)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> list[Design]:
    ctx = context(tmp_path_factory.mktemp("front"))
    boards = [load_board(name) for name in BOARDS]
    return explore(scored(TINY), TASK, ctx, boards, 4, None, lambda _: None)


def test_none_beats_another(front: list[Design]) -> None:
    for board in BOARDS:
        chosen = [design for design in front if design.board == board]
        assert len(chosen) >= 2
        assert not any(a.beats(b) for a, b in permutations(chosen, 2))
        assert len({round(design.fps) for design in chosen}) > 1


def test_every_design_is_within_its_board(front: list[Design]) -> None:
    for design in front:
        board = load_board(design.board)
        for resource, most in board.budget(TASK.share).items():
            assert design.use[resource] <= most + 1e-6
        assert design.fps == pytest.approx(design.clock_mhz * 1e6 / design.interval)
        assert design.clock_mhz == board.clock.default_mhz


def test_what_it_says_is_what_the_units_cost(front: list[Design]) -> None:
    class Choice:
        def __init__(self, layer: object, bits: int) -> None:
            self.__dict__.update(vars(layer), act_bits=bits)

    for design in front[:3]:
        choices = [Choice(*pair) for pair in zip(design.layers, design.act_bits, strict=True)]
        kernels = network_kernels(TINY, choices, design.interval)  # type: ignore[arg-type]
        whole = estimate_design(kernels, load_board(design.board), TINY).as_dict()
        assert {name: round(value or 0.0, 3) for name, value in whole.items()} == {
            name: round(value, 3) for name, value in design.use.items()
        }


def test_a_network_that_branches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = branching("residual", data_for(), tmp_path / "prepare")
    task = Allocate("ulx3s-12f", 50.0, weight_bits=(2, 4), act_bits=(2, 4), time_limit_s=2.0)
    ctx = branch_context(tmp_path, data_for())
    board = load_board("ulx3s-25f")
    with prices(monkeypatch):
        found = explore(graph, task, ctx, [board], 2, None, lambda _: None)
        assert len({design.interval for design in found}) > 1
        for design in found:
            choices = [
                LayerChoice(
                    c.weight_bits, a, c.pe, c.simd, c.arithmetic, c.memory, 0, c.lanes, c.quantizer
                )
                for c, a in zip(design.layers, design.act_bits, strict=True)
            ]
            kernels = network_kernels(graph.network, choices, design.interval)
            whole = estimate_design(kernels, board, graph.network)
            assert whole.as_dict() == pytest.approx(design.use)


def test_json_and_picture(front: list[Design], tmp_path: Path) -> None:
    row = json.loads(json.dumps(as_row(front[0])))
    assert row["layers"][0].keys() >= {"weight_bits", "act_bits", "pe", "simd", "memory"}
    assert row["layers"][-1]["act_bits"] == 0
    for ending in (".svg", ".png"):
        draw(front, tmp_path / f"front{ending}")
        assert (tmp_path / f"front{ending}").stat().st_size > 5000


def test_what_cannot_be_explored(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    tight = Allocate("ulx3s-12f", 50.0, share=0.05, sensitivity="deeplift-relevance")
    with pytest.raises(InfeasibleError, match="needs at least"):
        explore(scored(DIGITS), tight, ctx, [load_board("ulx3s-12f")], 2, None, lambda _: None)
    graph = branching("mixed", data_for(), tmp_path / "prepare")
    with pytest.raises(LiftFlowError, match="count_include_pad=True"):
        explore(graph, TASK, ctx, [load_board("ulx3s-12f")], 2, None, lambda _: None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rates", "0"], "--rates is 0"),
        (["--plot", "front.bmp"], "cannot write .bmp"),
        (["--board", "nosuch"], "nosuch"),
    ],
)
def test_bad_words_are_refused_before_anything_is_done(
    words: list[str], said: str, tmp_path: Path
) -> None:
    config = Path(__file__).parents[2] / "examples/digits/digits.toml"
    result = CliRunner().invoke(app, ["explore", str(config), "--output", str(tmp_path), *words])
    assert isinstance(result.exception, LiftFlowError)
    assert said in str(result.exception)
    assert not list(tmp_path.iterdir())
