"""Compile a network: the door behind `liftflow compile` and `compiler.compile_model`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import passes
from compiler.config import (
    DEFAULT_BOARD,
    Config,
    Goals,
    check_options,
    load_config,
    option_types,
    type_name,
)
from compiler.instruments import Dumps, Instrument, Ledger
from compiler.pass_text import reproduce
from compiler.pipeline import Pipeline, RunResult
from compiler.stages import Dataset, FloatModel
from hw_targets.boards import Board, load_board
from hw_targets.errors import LiftFlowError
from passes._distributed import ALONE, Team
from passes.base import Context

if TYPE_CHECKING:
    from torch import nn

    from compiler.pricing.front import Design

DEFAULT_OUTPUT = Path("build")
HARDWARE = ("lower-finn",)
"""Passes that need every layer to have a kernel; a compilation that ends before them does not."""


def default_pipeline(
    board: str,
    goals: Goals,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    names: Sequence[str] | None = None,
) -> Pipeline:
    """Passes in order, with the board and the goals given to those that have such options.

    Args:
        board: a name or the path of a board's TOML file.
        options: pass name -> option -> value; they win over the goals.
        names: the passes; by default all, with those of other packages that `options` name.

    Raises:
        LiftFlowError: no such pass or option, or a pass does not take what the one before it gives.
    """
    shared: dict[str, Any] = {
        "board": board,
        "clock_mhz": goals.clock_mhz or load_board(board).clock.default_mhz,
        "fps": goals.fps,
        "share": goals.share,
        "least_accuracy": goals.accuracy,
    }
    chosen = []
    for name in _the_way(options or {}) if names is None else names:
        given = check_options(name, (options or {}).get(name, {}), where="options")
        kind = passes.load(name)
        wanted = kind.goals_with is None or given.get(kind.goals_with[0]) == kind.goals_with[1]
        filled = option_types(kind) if wanted else ()
        settings = {**{key: value for key, value in shared.items() if key in filled}, **given}
        chosen.append(kind(**settings))
    try:
        return Pipeline(chosen)
    except TypeError as error:
        raise LiftFlowError(
            str(error), where="passes", mend="`liftflow passes` lists them in an order that fits"
        ) from None


def _the_way(options: Mapping[str, Any]) -> list[str]:
    """`passes.ORDER`, and in it, at its place, every other pass that `options` name."""
    way = list(passes.ORDER)
    for name in reversed([name for name in options if name not in passes.ORDER]):
        if name not in passes.names():
            check_options(name, {}, where="options")
        place = passes.load(name).after
        if place not in way:
            raise LiftFlowError(
                f"has no place among the passes, its `after` is {place!r}",
                where=f"pass {name}",
                mend="name all passes in order with --passes",
            )
        way.insert(way.index(place) + 1, name)
    return way


def compile_model(
    model: Config | Path | str | nn.Module,
    data: Dataset | None = None,
    *,
    name: str | None = None,
    board: str | None = None,
    goals: Goals | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    passes: Mapping[str, Mapping[str, Any]] | None = None,
    until: str | None = None,
    output: Path | str | None = None,
    seed: int | None = None,
    device: str | None = None,
    dump: bool = False,
    instruments: Sequence[Instrument] = (),
    team: Team = ALONE,
) -> RunResult:
    """Compile a network for a board and write its report.

    Args:
        model: a compilation (`Config`, or the path of its TOML file), or a trained module.
        data: the module's data set; only with a module.
        name: name of the run; a module's class name by default.
        board: board name or path of a board's TOML file; wins over the configuration.
        goals: accuracy, frames a second, share of the board, clock.
        options: pass name -> option -> value; wins over the configuration.
        passes: the passes to run instead of all, in order, with options that win over `options`;
            `prepare` comes first, named or not.
        until: name of the last pass to run; all by default.
        output: folder of all runs (`build`); this one's is `<output>/<name>-<board>`.
        seed: seed of everything random.
        device: torch device of attribution and retraining; CUDA when present by default.
        dump: write every stage as text as well.
        instruments: watchers of the run.
        team: processes that compute some passes together.

    Returns:
        The run: folder, records, stages.

    Raises:
        LiftFlowError: anything a user can mend, said in one line.
    """
    task = open_task(
        model,
        data,
        name=name,
        board=board,
        goals=goals,
        options=options,
        passes=passes,
        until=until,
        output=output,
        seed=seed,
        device=device,
    )
    watchers = [*instruments, Ledger(), *([Dumps()] if dump else [])]
    result = task.run(watchers, team)

    from compiler import report

    command = None
    if task.file is not None and goals is None:
        command = reproduce(task.file, board, options or {}, passes, until, seed)
    report.write(result, board=task.board, goals=task.goals, data=task.data, command=command)
    return result


@dataclass(frozen=True)
class Task:
    """A network read, and all that is to be done with it."""

    start: FloatModel
    data: Dataset
    pipeline: Pipeline
    folder: Path
    board: Board
    goals: Goals
    seed: int
    device: str
    file: Path | None = None

    def run(self, instruments: Sequence[Instrument], team: Team = ALONE) -> RunResult:
        """Runs what is not done yet."""
        return self.pipeline.run(
            self.start,
            self.data,
            self.folder,
            seed=self.seed,
            device=self.device,
            instruments=instruments,
            team=team,
        )


def open_task(
    model: Config | Path | str | nn.Module,
    data: Dataset | None = None,
    *,
    name: str | None = None,
    board: str | None = None,
    goals: Goals | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    passes: Mapping[str, Mapping[str, Any]] | None = None,
    until: str | None = None,
    output: Path | str | None = None,
    seed: int | None = None,
    device: str | None = None,
) -> Task:
    """What `compile_model` does with the same arguments, before any of it is done.

    Raises:
        LiftFlowError: anything a user can mend, said in one line.
    """
    if isinstance(model, str | Path):
        model = load_config(Path(model))
    if isinstance(model, Config):
        config: Config | None = model
        board = board or _board_beside(model)
        chosen_goals = goals or model.goals
        merged = model.with_options(options or {}).passes
        run_name = name or model.name
        seed = model.seed if seed is None else seed
    else:
        config = None
        if data is None:
            raise LiftFlowError(
                "a module needs its data set", where="compile_model", mend="give data=Dataset(...)"
            )
        board = board or DEFAULT_BOARD
        chosen_goals = goals or Goals()
        merged = {key: dict(value) for key, value in (options or {}).items()}
        run_name = name or type(model).__name__.lower()
        seed = seed or 0
    chosen_board = load_board(board)
    names = None if passes is None else list(dict.fromkeys(["prepare", *passes]))
    for key, value in (passes or {}).items():
        merged[key] = {**merged.get(key, {}), **value}
    pipeline = default_pipeline(board, chosen_goals, merged, names).until(until)

    from compiler import frontend
    from compiler.frontend.source import input_format

    if config is not None:
        start, data = frontend.load(
            name=run_name,
            factory=config.model.factory,
            weights=config.model.weights,
            source=config.data.source,
            base=config.base,
            input_bits=config.data.input_bits,
            input_signed=config.data.input_signed,
            input_scale=config.data.input_scale,
        )
    else:
        assert data is not None
        assert not isinstance(model, Config)
        classes = frontend.check_fits(model, data)
        data = dataclasses.replace(data, classes=classes)
        start = FloatModel(run_name, model.eval(), data.sample_shape, input_format(data))

    folder = Path(output or DEFAULT_OUTPUT) / f"{run_name}-{chosen_board.name}"
    if any(step.name in HARDWARE for step in pipeline.passes):
        from passes.prepare import require_support

        require_support(start.module, start.input_shape, data.regression)
    return Task(
        start,
        data,
        pipeline,
        folder,
        chosen_board,
        chosen_goals,
        seed,
        device or _device(),
        config.file if config else None,
    )


def explored(
    model: Config | Path | str,
    boards: Sequence[Board] = (),
    rates: int = 8,
    *,
    output: Path | str | None = None,
    instruments: Sequence[Instrument] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Design]:
    """Designs of a network that no other beats in error, frames a second and LUTs, by board.

    The passes before `allocate` run first, in the folder of the compilation.

    Args:
        boards: the configuration's own by default.
        rates: frame rates looked at, from a board's fastest down.

    Raises:
        LiftFlowError: anything a user can mend, said in one line.
    """
    from compiler.pricing.front import explore
    from compiler.report.front import keep
    from passes.allocate import Allocate

    names = list(passes.ORDER)
    until = names[names.index(Allocate.name) - 1]
    whole = open_task(model, output=output)
    task = dataclasses.replace(whole, pipeline=whole.pipeline.until(until))
    # No ledger: a whole compilation's would be overwritten by that of its first passes.
    result = task.run(instruments)
    scored = result.last
    varied = next(step for step in whole.pipeline.passes if isinstance(step, Allocate))
    ctx = Context(task.folder, task.data, seed=task.seed, device=task.device)
    designs = explore(scored, varied, ctx, boards or [task.board], rates, task.goals.clock_mhz, say)
    keep(designs, result.records[-1].digest, task.folder)
    return designs


def _board_beside(config: Config) -> str:
    """The configuration's board; a path is taken from the configuration's own folder."""
    own = config.base / config.board
    return str(own) if config.board.endswith(".toml") and own.is_file() else config.board


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def option_defaults(name: str) -> dict[str, tuple[str, Any]]:
    """Option -> (type, default) of pass `name`, for `liftflow passes`.

    Options without a default are filled in from the board and the goals.
    """
    kind = passes.load(name)
    types = option_types(kind)
    found = {}
    for entry in dataclasses.fields(kind):  # type: ignore[arg-type]
        default = "from the goals" if entry.default is dataclasses.MISSING else entry.default
        hint = types[entry.name]
        found[entry.name] = (type_name(hint), default)
    return found
