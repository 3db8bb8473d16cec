"""The pipeline: stage types, content cache, resume, refusals, the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from compiler.instruments import Dumps, Ledger, Timing
from compiler.pipeline import Pipeline
from compiler.run_lock import LOCK
from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError, MissingToolError, VerificationError
from passes.base import Context, Pass


@dataclass(frozen=True)
class Number:
    value: int
    note: Path | None = None


@dataclass(frozen=True)
class Word:
    text: str


RUNS: list[str] = []


@dataclass(frozen=True)
class Add(Pass[Number, Number]):
    name: ClassVar[str] = "add"
    amount: int = 1

    def run(self, model: Number, ctx: Context) -> Number:
        RUNS.append(self.name)
        note = ctx.workdir / "note.txt"
        note.write_text(f"{model.value} + {self.amount}")
        ctx.prove("sums", True, measured=model.value + self.amount, required="a number")
        return Number(model.value + self.amount, note)


@dataclass(frozen=True)
class Spell(Pass[Number, Word]):
    name: ClassVar[str] = "spell"
    fail: ClassVar[bool] = False
    wrong: bool = False

    def run(self, model: Number, ctx: Context) -> Word:
        RUNS.append(self.name)
        trace = ctx.workdir / "trace"
        if Spell.fail:
            trace.write_text("half done")
            raise KeyboardInterrupt
        ctx.prove("spelled right", not self.wrong, measured="x", required="y")
        return Word(f"{model.value}{' resumed' if trace.exists() else ''}")


@dataclass(frozen=True)
class NeedsTool(Pass[Word, Word]):
    name: ClassVar[str] = "needs-tool"

    def refuse(self, ctx: Context) -> None:
        raise MissingToolError("no hammer", mend="buy one")

    def run(self, model: Word, ctx: Context) -> Word:
        raise AssertionError("never reached")


@dataclass(frozen=True)
class NoSix(Pass[Word, Word]):
    name: ClassVar[str] = "no-six"

    def foresee(self, stage: object) -> None:
        if isinstance(stage, Number) and stage.value == 6:
            raise LiftFlowError("six cannot be", where=self.name)

    def run(self, model: Word, ctx: Context) -> Word:
        RUNS.append(self.name)
        return model


@pytest.fixture
def data() -> Dataset:
    x = np.zeros((4, 2), dtype=np.float32)
    y = np.zeros(4, dtype=np.int64)
    return Dataset("zeros", x, y, x, y, classes=2)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RUNS.clear()
    Spell.fail = False


def test_neighbours_must_fit() -> None:
    Pipeline([Add(), Add(), Spell()])
    with pytest.raises(TypeError, match="add takes Number, but spell before it gives Word"):
        Pipeline([Spell(), Add()])


def test_second_run_does_nothing(tmp_path: Path, data: Dataset) -> None:
    pipeline = Pipeline([Add(amount=2), Spell()])
    first = pipeline.run(Number(3), data, tmp_path)
    assert first.last == Word("5")
    assert not first.did_nothing
    again = pipeline.run(Number(3), data, tmp_path)
    assert again.did_nothing
    assert RUNS == ["add", "spell"]
    assert again.last == Word("5")
    assert again.records[0].checks == first.records[0].checks


@pytest.mark.parametrize("change", ["model", "data", "seed", "option"])
def test_what_changes_runs_again(tmp_path: Path, data: Dataset, change: str) -> None:
    Pipeline([Add(amount=2)]).run(Number(3), data, tmp_path)
    amount, model, seed = 2, Number(3), 0
    if change == "model":
        model = Number(4)
    elif change == "data":
        data = Dataset("ones", data.train_x + 1, data.train_y, data.test_x, data.test_y, 2)
    elif change == "seed":
        seed = 1
    else:
        amount = 7
    result = Pipeline([Add(amount=amount)]).run(model, data, tmp_path, seed=seed)
    assert not result.did_nothing


def test_equal_product_stops_the_rerun(tmp_path: Path, data: Dataset) -> None:
    """A changed option upstream that gives the same product leaves later passes done."""

    @dataclass(frozen=True)
    class Parity(Pass[Number, Number]):
        name: ClassVar[str] = "parity"
        tries: int = 1

        def run(self, model: Number, ctx: Context) -> Number:
            return Number(model.value % 2)

    Pipeline([Parity(), Spell()]).run(Number(3), data, tmp_path)
    result = Pipeline([Parity(tries=5), Spell()]).run(Number(3), data, tmp_path)
    assert [record.cached for record in result.records] == [False, True]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("stage.pkl", b""),
        ("stage.pkl", b"rubbish"),
        ("note.txt", b"3 + 3"),
        ("pass.json", b"{"),
        ("pass.json", b"[]"),
        ("pass.json", b"\xff"),
        ("pass.json", b"{}"),
    ],
)
def test_what_was_damaged_is_done_again(
    tmp_path: Path, data: Dataset, name: str, content: bytes
) -> None:
    pipeline = Pipeline([Add(), Spell()])
    pipeline.run(Number(1), data, tmp_path)
    (tmp_path / "01-add" / name).write_bytes(content)
    result = pipeline.run(Number(1), data, tmp_path)
    assert [record.cached for record in result.records] == [False, True]
    assert result.stage("add").note.read_text() == "1 + 1"
    assert pipeline.run(Number(1), data, tmp_path).did_nothing


def test_interrupted_goes_on(tmp_path: Path, data: Dataset) -> None:
    pipeline = Pipeline([Add(), Spell()])
    Spell.fail = True
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(Number(1), data, tmp_path)
    Spell.fail = False
    result = pipeline.run(Number(1), data, tmp_path)
    assert RUNS == ["add", "spell", "spell"]
    assert result.last == Word("2 resumed"), "the interrupted pass finds what it left"


def test_leftovers_of_another_run_are_wiped(tmp_path: Path, data: Dataset) -> None:
    Spell.fail = True
    with pytest.raises(KeyboardInterrupt):
        Pipeline([Add(), Spell()]).run(Number(1), data, tmp_path)
    Spell.fail = False
    result = Pipeline([Add(), Spell()]).run(Number(2), data, tmp_path)
    assert result.last == Word("3")


def test_paths_move_with_the_folder(tmp_path: Path, data: Dataset) -> None:
    pipeline = Pipeline([Add()])
    pipeline.run(Number(1), data, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    result = pipeline.run(Number(1), data, tmp_path / "there")
    assert result.did_nothing
    assert result.last.note == tmp_path / "there" / "01-add" / "note.txt"
    assert result.last.note.read_text() == "1 + 1"


def test_refusal_comes_before_any_work(tmp_path: Path, data: Dataset) -> None:
    with pytest.raises(MissingToolError, match="no hammer; buy one"):
        Pipeline([Add(), Spell(), NeedsTool()]).run(Number(1), data, tmp_path)
    assert RUNS == []


def test_a_refused_run_leaves_no_folder(tmp_path: Path, data: Dataset) -> None:
    """Nor the folders made for it; what others have put there, or an earlier run did, stays."""
    refused = Pipeline([Add(), Spell(), NeedsTool()])
    deep = tmp_path / "build" / "sweep" / "net-board"
    for other in (None, tmp_path / "build" / "README.md", deep / "notes.txt"):
        if other is not None:
            other.parent.mkdir(parents=True, exist_ok=True)
            other.touch()
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(MissingToolError):
            refused.run(Number(1), data, deep)
        left = sorted(tmp_path.rglob("*"))
        assert [path for path in left if path.name != LOCK] == before
        assert (deep / LOCK).exists() == (deep / "notes.txt").exists()
    Pipeline([Add()]).run(Number(1), data, deep)
    with pytest.raises(MissingToolError):
        refused.run(Number(1), data, deep)
    assert (deep / "01-add" / "pass.json").is_file()


def test_a_folder_with_only_the_lock_of_a_killed_run_goes_too(
    tmp_path: Path, data: Dataset
) -> None:
    run = tmp_path / "net-board"
    run.mkdir()
    (run / LOCK).write_text("1\n")
    with pytest.raises(MissingToolError):
        Pipeline([Add(), Spell(), NeedsTool()]).run(Number(1), data, run)
    assert list(tmp_path.iterdir()) == []


def test_what_a_stage_foretells_is_refused_before_the_next_pass(
    tmp_path: Path, data: Dataset
) -> None:
    assert Pipeline([Add(), Spell(), NoSix()]).run(Number(1), data, tmp_path).last == Word("2")
    RUNS.clear()
    with pytest.raises(LiftFlowError, match="no-six: six cannot be"):
        Pipeline([Add(amount=5), Spell(), NoSix()]).run(Number(1), data, tmp_path)
    assert RUNS == ["add"]
    # Where it is found done, too.
    with pytest.raises(LiftFlowError, match="no-six: six cannot be"):
        Pipeline([Add(amount=5), Spell(), NoSix()]).run(Number(1), data, tmp_path)
    assert RUNS == ["add"]


def test_failed_proof_stops_the_run(tmp_path: Path, data: Dataset) -> None:
    with pytest.raises(VerificationError, match="spelled right: measured x, required y"):
        Pipeline([Add(), Spell(wrong=True)]).run(Number(1), data, tmp_path, instruments=[Ledger()])
    assert not (tmp_path / "02-spell" / "pass.json").exists()
    assert list(json.loads((tmp_path / "verification.json").read_text())) == ["add"]


def test_a_gpu_that_is_too_small_is_told_with_the_mend(tmp_path: Path, data: Dataset) -> None:
    @dataclass(frozen=True)
    class Greedy(Pass[Number, Number]):
        name: ClassVar[str] = "greedy"

        def run(self, model: Number, ctx: Context) -> Number:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(LiftFlowError, match=r"greedy: the GPU has too little memory; set CUDA_VIS"):
        Pipeline([Greedy()]).run(Number(1), data, tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.cuda.OutOfMemoryError("x"), "GPU has too little memory; lower wide.batch, or set"),
        (RuntimeError("CUDA error: out of memory"), "GPU has too little memory; lower wide.batch"),
        (None, "machine has too little memory; lower wide.batch$"),
    ],
)
def test_too_little_memory_names_the_option_that_helps(
    error: RuntimeError | None, said: str, tmp_path: Path, data: Dataset
) -> None:
    """Nothing of the pass counts as done, and with a smaller batch it runs."""

    @dataclass(frozen=True)
    class Wide(Pass[Number, Number]):
        name: ClassVar[str] = "wide"
        batch: int = 64

        def run(self, model: Number, ctx: Context) -> Number:
            if self.batch > 8 and error is None:
                torch.empty(1 << 60, dtype=torch.uint8)  # the CPU's own words
            elif self.batch > 8:
                assert error is not None
                raise error
            return model

    with pytest.raises(LiftFlowError, match=said):
        Pipeline([Wide()]).run(Number(1), data, tmp_path)
    assert not (tmp_path / "01-wide" / "pass.json").exists()
    assert Pipeline([Wide(batch=8)]).run(Number(1), data, tmp_path).last.value == 1


def test_options_that_change_nothing_are_no_part_of_the_key(tmp_path: Path, data: Dataset) -> None:
    @dataclass(frozen=True)
    class Patient(Pass[Number, Number]):
        name: ClassVar[str] = "patient"
        unkeyed: ClassVar[tuple[str, ...]] = ("minutes",)
        minutes: float = 0.0

        def run(self, model: Number, ctx: Context) -> Number:
            return model

    Pipeline([Patient()]).run(Number(1), data, tmp_path)
    assert Pipeline([Patient(minutes=5.0)]).run(Number(1), data, tmp_path).did_nothing


def test_until(tmp_path: Path, data: Dataset) -> None:
    pipeline = Pipeline([Add(), Spell()])
    assert pipeline.until("add").run(Number(1), data, tmp_path).last.value == 2
    with pytest.raises(LiftFlowError, match="no such pass 'fly'; use one of add, spell"):
        pipeline.until("fly")


def test_instruments(tmp_path: Path, data: Dataset) -> None:
    timing = Timing()
    Pipeline([Add()]).run(Number(1), data, tmp_path, instruments=[timing, Dumps(), Ledger()])
    assert timing.seconds.keys() == {"add"}
    assert (
        tmp_path / "01-add" / "dump.txt"
    ).read_text() == "Number\n  value: 2\n  note: note.txt\n"
    ledger = json.loads((tmp_path / "verification.json").read_text())
    assert ledger["add"][0]["claim"] == "sums"


def test_named_generators_are_independent(tmp_path: Path, data: Dataset) -> None:
    ctx = Context(tmp_path, data, seed=1)
    a, b = ctx.rng("a").random(4), ctx.rng("b").random(4)
    assert not np.array_equal(a, b)
    assert np.array_equal(a, ctx.rng("a").random(4))
    assert not np.array_equal(a, Context(tmp_path, data, seed=2).rng("a").random(4))
