"""The frontend's data side, and whether model and data fit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from compiler.frontend import check_fits, input_format, load, load_dataset
from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError, MissingToolError

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def arrays(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made = {
        "train_x": rng.integers(0, 256, (6, 4, 4), dtype=np.uint8),
        "train_y": np.array([0, 1, 2, 0, 1, 2]),
        "test_x": rng.integers(0, 256, (3, 4, 4), dtype=np.uint8),
        "test_y": np.array([0, 1, 2]),
    }
    return {**made, **changes}


def error(base: Path, **changes: Any) -> str:
    np.savez(base / "d.npz", **arrays(**changes))
    with pytest.raises(LiftFlowError) as caught:
        load_dataset("d.npz", base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_digits_split_is_stratified_and_fixed() -> None:
    data = load_dataset("sklearn-digits", Path())
    assert data.train_x.shape == (1257, 1, 8, 8)
    assert data.test_x.shape == (540, 1, 8, 8)
    assert data.train_x.dtype == np.float32
    assert set(np.unique(data.train_x * 16)) == set(range(17))
    shares = np.bincount(data.test_y) / 540 - np.bincount(data.train_y) / 1257
    assert np.abs(shares).max() < 0.002
    again = load_dataset("sklearn-digits", Path())
    assert np.array_equal(data.test_x, again.test_x)


@pytest.mark.parametrize("keys", [None, ("Xtrain", "Ytrain", "Xtest", "Ytest")])
def test_npz_scales_bytes_and_adds_the_channel(tmp_path: Path, keys: Any) -> None:
    made = arrays()
    np.savez(tmp_path / "d.npz", **dict(zip(keys or made, made.values(), strict=True)))
    data = load_dataset("d.npz", tmp_path)
    assert data.train_x.shape == (6, 1, 4, 4)
    assert np.allclose(data.train_x[:, 0], made["train_x"] / 255)
    assert data.classes == 3


def test_npz_floats_are_taken_as_they_are(tmp_path: Path) -> None:
    x = np.linspace(-3, 3, 12).reshape(6, 2)
    np.savez(tmp_path / "d.npz", **arrays(train_x=x, test_x=x[:3]))
    assert np.allclose(load_dataset("d.npz", tmp_path).train_x, x)


def test_loader_function(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def four():\n"
        "    return torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), torch.ones(2, 3), [1, 0]\n"
        "def three():\n"
        "    return 1, 2, 3\n"
    )
    data = load_dataset("mine.py:four", tmp_path)
    assert data.sample_shape == (3,)
    assert data.test_y.tolist() == [1, 0]
    with pytest.raises(LiftFlowError, match="returned tuple of 3; return a Dataset or"):
        load_dataset("mine.py:three", tmp_path)


def test_bad_data_gets_one_line(tmp_path: Path) -> None:
    floats = np.zeros((6, 1, 4, 4), np.float32)
    nan = floats.copy()
    nan[2, 0, 1, 1] = np.nan
    assert "train samples are not all finite" in error(tmp_path, train_x=nan)
    assert "the test split is empty" in error(tmp_path, test_x=floats[:0], test_y=np.zeros(0, int))
    assert "6 samples and labels of shape (5,)" in error(tmp_path, train_y=np.zeros(5, int))
    assert "labels range from -1" in error(tmp_path, test_y=np.array([-1, 0, 1]))
    assert "not integers" in error(tmp_path, test_y=np.array([0.5, 0, 1]))
    assert "shape (6, 2)" in error(tmp_path, train_y=np.zeros((6, 2), int))
    assert "train samples are (1, 4, 4), test samples (1, 5, 5)" in error(
        tmp_path, test_x=np.zeros((3, 5, 5), np.uint8)
    )
    zeros = {"train_y": np.zeros(6, int), "test_y": np.zeros(3, int)}
    assert "at least two classes" in error(tmp_path, **zeros)


def test_sources_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="no such data set: 'digit'; use sklearn-digits"):
        load_dataset("digit", tmp_path)
    with pytest.raises(LiftFlowError, match="no such data file"):
        load_dataset("none.npz", tmp_path)
    (tmp_path / "junk.npz").write_bytes(b"junk")
    with pytest.raises(LiftFlowError, match="cannot be read"):
        load_dataset("junk.npz", tmp_path)
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(LiftFlowError, match="it holds a; it must hold train_x"):
        load_dataset("other.npz", tmp_path)


def test_torchvision_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIFTFLOW_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingToolError, match="pip install torchvision"):
        load_dataset("mnist", Path())


def _data(shape: tuple[int, ...], low: float = 0.0, classes: int = 3) -> Dataset:
    x = np.linspace(low, 1, 4 * int(np.prod(shape)), dtype=np.float32).reshape(4, *shape)
    return Dataset("made", x, np.arange(4) % classes, x, np.arange(4) % classes, classes)


def test_fit_names_the_layer_what_it_expects_and_what_it_got() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(LiftFlowError, match=r"^0: .*expected \(3, height, width\), got \(1, 4, 4"):
        check_fits(net, _data((1, 4, 4)))
    with pytest.raises(LiftFlowError, match=r"^2: .*expected \(16,\), got \(36,\)"):
        check_fits(net, _data((3, 5, 5)))
    assert check_fits(net, _data((3, 4, 4))) == 3


def test_output_must_score_the_classes() -> None:
    with pytest.raises(LiftFlowError, match=r"gives \(1, 1, 4, 4\), not \(1, classes\)"):
        check_fits(nn.Identity(), _data((1, 4, 4)))
    with pytest.raises(LiftFlowError, match="scores 2 classes, made has 3"):
        check_fits(nn.Linear(5, 2), _data((5,)))


def test_input_format_follows_the_data_unless_told() -> None:
    assert input_format(_data((5,))).limits == (0, 255)
    assert input_format(_data((5,))).scale == pytest.approx(1 / 255)
    signed = input_format(_data((5,), low=-2.0))
    assert signed.signed
    assert signed.scale == pytest.approx(2 / 127)
    assert input_format(_data((5,)), bits=5, scale=0.0625).limits == (0, 31)
    with pytest.raises(LiftFlowError, match="samples go down to -2"):
        input_format(_data((5,), low=-2.0), signed=False)
    with pytest.raises(LiftFlowError, match="input_bits is 9"):
        input_format(_data((5,)), bits=9)
    with pytest.raises(LiftFlowError, match="must be positive"):
        input_format(_data((5,)), scale=0.0)


def test_load_puts_model_and_data_together() -> None:
    model, data = load(
        name="digits",
        factory="model.py:DigitsNet",
        weights=Path("weights.pt"),
        source="sklearn-digits",
        base=DIGITS,
        input_bits=5,
        input_scale=0.0625,
    )
    assert model.input_shape == (1, 8, 8)
    assert model.network is None
    assert data.classes == 10
    # The integers stand for the samples exactly.
    assert np.array_equal(model.input.encode(data.test_x) * 0.0625, data.test_x)


SIGNALS = """
from torch import nn

def signals():
    return nn.Sequential(nn.Conv1d(4, 2, 3), nn.Flatten(), nn.Linear(4, 3))

def images():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))

def others():
    return nn.Sequential(nn.Conv1d(5, 2, 3), nn.Flatten(), nn.Linear(4, 3))
"""


def test_the_network_tells_signals_from_grey_images(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SIGNALS)
    np.savez(tmp_path / "d.npz", **arrays())

    def loaded(factory: str) -> tuple[tuple[int, ...], Dataset]:
        model, data = load(
            name="net", factory=f"net.py:{factory}", weights=None, source="d.npz", base=tmp_path
        )
        return model.input_shape, data

    shape, data = loaded("signals")
    assert shape == (4, 4) == data.sample_shape
    assert np.allclose(data.test_x, arrays()["test_x"] / 255)
    assert loaded("images")[0] == (1, 4, 4)
    with pytest.raises(LiftFlowError, match=r"others, 0: .* samples of shape \(1, 4, 4\)"):
        loaded("others")


def test_data_sets_of_a_local_folder_are_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from io import BytesIO

    from PIL import Image

    rng = np.random.default_rng(0)
    grey = rng.integers(256, size=(12, 28, 28), dtype=np.uint8)
    labels = np.arange(12) % 10
    np.savez(tmp_path / "mnist.npz", Xtrain=grey[:7], Ytrain=labels[:7], Xtest=grey[7:],
             Ytest=labels[7:])  # fmt: skip
    files = []
    for level in (10, 200, 90):
        joined = BytesIO()
        Image.new("RGB", (32, 32), (level, 0, 255)).save(joined, "JPEG")
        files.append(np.frombuffer(joined.getvalue(), np.uint8))
    bounds = np.cumsum([0, *map(len, files)])
    stored = {"jpeg": np.concatenate(files), "offsets": bounds, "labels": np.array([3, 1, 2])}
    np.savez(tmp_path / "cifar10_jpeg.npz", **{f"{part}_{key}": value for key, value in
             stored.items() for part in ("train", "test")})  # fmt: skip
    monkeypatch.setenv("LIFTFLOW_DATA", str(tmp_path))

    data = load_dataset("mnist", Path())
    np.testing.assert_array_equal(data.test_x, grey[7:, None].astype(np.float32) / 255)
    np.testing.assert_array_equal(data.train_y, labels[:7])

    data = load_dataset("cifar10", Path())
    assert data.train_x.shape == (3, 3, 32, 32)
    assert data.train_x[1, 0].mean() * 255 == pytest.approx(200, abs=4)
    assert data.test_y.tolist() == [3, 1, 2]


def test_floats_are_the_outputs_wanted(tmp_path: Path) -> None:
    x = np.zeros((6, 4), np.float32)
    y = np.linspace(0, 1, 6)
    np.savez(tmp_path / "set.npz", train_x=x, train_y=y, test_x=x[:3], test_y=y[:3])
    data = load_dataset("set.npz", tmp_path)
    assert data.regression
    assert data.classes == 0
    assert data.train_y.shape == (6, 1)
    assert data.train_y.dtype == np.float32
    same = np.zeros((6, 2))
    np.savez(tmp_path / "set.npz", train_x=x, train_y=same, test_x=x, test_y=same)
    with pytest.raises(LiftFlowError, match="train targets are the same for every sample"):
        load_dataset("set.npz", tmp_path)
    wide = np.arange(12.0).reshape(6, 2)
    np.savez(tmp_path / "set.npz", train_x=x, train_y=wide, test_x=x, test_y=wide[:, :1])
    with pytest.raises(LiftFlowError, match=r"train targets are \(2,\), test targets \(1,\)"):
        load_dataset("set.npz", tmp_path)
    np.savez(tmp_path / "set.npz", train_x=x, train_y=wide * np.nan, test_x=x, test_y=wide)
    with pytest.raises(LiftFlowError, match="train targets are not all finite"):
        load_dataset("set.npz", tmp_path)
