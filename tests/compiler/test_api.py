"""`compile_model` on a module and arrays of the user's own, without any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import compiler
from compiler import report
from compiler.config import Goals
from compiler.digest import digest
from compiler.stages import Dataset
from hw_targets.errors import InfeasibleError, LiftFlowError


def two_clouds(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of 12 features round one of three centres; negative values among them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, samples)
    centres = np.random.default_rng(7).normal(0, 2, (3, 12))
    points = centres[labels] + rng.normal(0, 1, (samples, 12))
    return points.astype(np.float32), labels.astype(np.int64)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset("clouds", *two_clouds(300, 0), *two_clouds(90, 1), classes=3)


@pytest.fixture(scope="module")
def network(data: Dataset) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net


OPTIONS = {"prune-filters": {"macs": 0.2}, "retrain": {"epochs": 2}}


def test_a_module_of_ones_own(data: Dataset, network: nn.Module, tmp_path: Path) -> None:
    run = compiler.compile_model(
        network,
        data,
        name="clouds",
        board="ulx3s-12f",
        goals=Goals(fps=10_000, clock_mhz=25),
        options=OPTIONS,
        until="generate-rtl",
        output=tmp_path,
    )
    assert run.folder == tmp_path.resolve() / "clouds-ulx3s-12f"
    rtl = run.stage("generate-rtl")
    assert rtl.input.signed
    assert (rtl.folder / "top.sv").is_file()
    assert max(unit.cycles for unit in rtl.units) <= 2500
    assert (rtl.predictions == data.test_y).mean() > 0.8
    assert report.load(run.folder).accuracy[0].stage == "float"
    insight = compiler.explain_run(run)
    assert digest(insight) == digest(compiler.explain_run(str(run.folder)))
    assert insight.before.shape == insight.after.shape == (10, 12)
    assert list(insight.margins) == list(insight.layers)
    (run.folder / "10-explain" / "pass.json").unlink()
    with pytest.raises(LiftFlowError, match="pass explain has not run here"):
        compiler.explain_run(run.folder)


def test_accuracy_goal_not_reached(data: Dataset, network: nn.Module, tmp_path: Path) -> None:
    shuffled = Dataset(
        "noise", data.train_x, data.train_y, data.test_x, data.test_y[::-1].copy(), 3
    )
    with pytest.raises(InfeasibleError, match=r"points less than the goal of 90\.00%"):
        compiler.compile_model(
            network,
            shuffled,
            goals=Goals(accuracy=0.9, fps=1000),
            options=OPTIONS,
            output=tmp_path,
        )
    assert not list(tmp_path.glob("*/*-lower-finn"))


def test_a_module_needs_data(network: nn.Module) -> None:
    with pytest.raises(LiftFlowError, match="needs its data set"):
        compiler.compile_model(network)
