"""Every example reads, fits its data, and has hardware; the script trains its network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from compiler.config import load_config
from compiler.frontend.fit import check_fits
from compiler.frontend.generated import labelled, samples, settled
from compiler.frontend.locate import call
from compiler.frontend.model import load_module, read_state
from compiler.frontend.source import load
from compiler.stages import Dataset
from passes.prepare import support

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIGS = sorted(EXAMPLES.glob("*/*.toml"))
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "data.py:normalised": (3, 32, 32)}
OWN = [each for each in CONFIGS if load_config(each).data.source == "data.py:generated"]


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", CONFIGS, ids=named)
def test_an_example_has_what_it_needs(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem == path.parent.name
    assert (path.parent / "README.md").is_file()


@pytest.mark.parametrize(
    "path", [each for each in CONFIGS if load_config(each).data.source in SHAPES], ids=named
)
def test_a_network_takes_its_images_and_has_hardware(path: Path) -> None:
    config = load_config(path)
    shape = SHAPES[config.data.source]
    weights = config.model.weights
    kept = weights if weights and (config.base / weights).is_file() else None
    module = load_module(config.model.factory, config.base, kept)
    x, y = samples(shape, 4, seed=0), np.array([0, 1, 2, 9])
    assert check_fits(module, Dataset("drawn", x, y, x, y, 10)) == 10
    assert not support(module, shape)


@pytest.mark.parametrize("path", OWN, ids=named)
def test_generated_data_is_what_the_network_gives(path: Path) -> None:
    config = load_config(path)
    start, data = load(
        name=config.name,
        factory=config.model.factory,
        weights=config.model.weights,
        source=config.data.source,
        base=config.base,
    )
    with torch.no_grad():
        given = start.module(torch.from_numpy(data.test_x)).numpy()
    if data.regression:
        np.testing.assert_allclose(given, data.test_y, atol=1e-5)
    else:
        np.testing.assert_array_equal(given.argmax(1), data.test_y)
        assert len(np.unique(data.train_y)) == data.classes
    assert not support(start.module, start.input_shape, data.regression)


def test_neighbours_of_two_examples_are_their_own() -> None:
    first = call("data.py:generated", EXAMPLES / "conv1d")
    second = call("data.py:generated", EXAMPLES / "dscnn")
    assert (first.sample_shape, second.sample_shape) == ((3, 128), (1, 49, 10))


@pytest.mark.parametrize("shape", [(5,), (2, 9), (3, 4, 6)])
def test_samples_are_the_same_for_a_seed(shape: tuple[int, ...]) -> None:
    found = samples(shape, 6, seed=3)
    assert found.shape == (6, *shape)
    assert np.abs(found).max() <= 1
    np.testing.assert_array_equal(found, samples(shape, 6, seed=3))
    assert not np.array_equal(found, samples(shape, 6, seed=4))


def test_a_settled_network_gives_every_class_and_is_no_more_random() -> None:
    def make() -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
        )

    before = torch.get_rng_state()
    network = settled(make, (5,))
    assert torch.equal(before, torch.get_rng_state())
    assert not network.training
    assert network[1].momentum == 0.1  # type: ignore[index]
    data = labelled(network, (5,), 3)
    assert len(data.train_x) == 256
    assert sorted(np.unique(data.test_y)) == [0, 1, 2]


TRAINED = """
name = "small"
[model]
factory = "model.py:make"
[data]
source = "small.npz"
"""
MODEL = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2))
"""


@pytest.mark.parametrize("classes", [True, False])
def test_the_script_trains_and_writes_weights_that_load(classes: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 1, 6, 6)).astype(np.float32)
    y = (x.mean((1, 2, 3)) > 0).astype(np.int64)
    if not classes:
        y = np.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0]], 1)
    np.savez(tmp_path / "small.npz", train_x=x[:200], train_y=y[:200], test_x=x[200:],
             test_y=y[200:])  # fmt: skip
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "small.toml").write_text(TRAINED)
    command = [sys.executable, str(EXAMPLES / "train.py"), str(tmp_path / "small.toml")]
    command += ["--epochs", "8", "--batch", "20", "--lr", "0.02", "--samples", "180"]
    done = subprocess.run(
        [*command, *(["--shift", "1", "--mirror"] if classes else [])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines() if "loss" in line]
    assert losses[-1] < losses[0]
    load_module("model.py:make", tmp_path, Path("weights.pt"))
    again = subprocess.run(
        [*command, "--start", str(tmp_path / "weights.pt"), "--out", str(tmp_path / "more.pt")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "more.pt" in again.stdout
    assert read_state(tmp_path / "more.pt").keys() == read_state(tmp_path / "weights.pt").keys()
