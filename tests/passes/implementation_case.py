"""A design whose accelerator is the stand-in, and a context with data that it classifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from standin import DIGEST, expected, standin

from compiler.stages import Allocation, Dataset, InputFormat, RtlDesign
from hw_targets.network import NetworkShape
from passes.base import Context

SHAPE = (2, 2, 4)
INPUT = InputFormat(bits=8, signed=False, scale=0.5)


def dataset(count: int = 60) -> Dataset:
    samples = np.random.default_rng(5).integers(0, 250, (count, *SHAPE)).astype(np.float32) / 2
    labels = np.array([expected(row) for row in INPUT.encode(samples).reshape(count, -1).tolist()])
    return Dataset("numbers", samples, labels, samples, labels, classes=16)


def context(folder: Path) -> Context:
    return Context(workdir=folder, data=dataset())


def design(folder: Path) -> RtlDesign:
    """16 elements of 8 bits in, the sum modulo 16 out."""
    standin(folder)
    allocation = Allocation(
        board="ulx3s-85f",
        clock_mhz=50.0,
        layers={},
        interval=16,
        estimate={"lut": 700.0, "ff": 300.0, "dsp": 0.0, "bram": None},
        budget={},
        loss=0.0,
        gap=0.0,
        mean_weight_bits=0.0,
    )
    return RtlDesign(
        name="numbers",
        folder=folder,
        digest=DIGEST,
        input=INPUT,
        network=NetworkShape("numbers", (), SHAPE, 8, False, 16),
        allocation=allocation,
        predictions=dataset().test_y,
        units=(),
        latency_estimate=17,
        finn=folder / "graph.onnx",
    )
