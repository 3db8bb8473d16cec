"""retrain: learns, keeps masks and codebooks, resumes exactly."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from quant_case import context, digits_data, digits_shape, scored

from compiler.instruments import Instrument
from compiler.pipeline import Pipeline
from compiler.stages import Dataset, QuantModel
from hw_targets.errors import LiftFlowError
from passes import _brevitas_exact as exact
from passes._brevitas_train import Trainer, optimizer
from passes.base import Context
from passes.quantize import Quantize
from passes.retrain import Retrain
from passes.share_weights import ShareWeights


@cache
def digits() -> tuple[Dataset, QuantModel]:
    data = digits_data()
    model = scored(digits_shape(), data, 3, 3, epochs=4)
    room = Context(workdir=Path(), data=data)
    return data, Quantize().run(model, room)


def test_training_mends_what_quantization_broke(tmp_path: Path) -> None:
    data, model = digits()
    found = Retrain(epochs=4, batch=64).run(model, context(tmp_path, data))
    assert found.accuracy > model.accuracy + 0.02
    assert len(found.history) == 4
    assert found.history[-1].loss < found.history[0].loss
    assert found.module is not model.module


def test_no_epochs_pass_the_model_through(tmp_path: Path) -> None:
    data, model = digits()
    assert Retrain(epochs=0).run(model, context(tmp_path, data)) is model


def test_masks_stay_zero_and_codebooks_keep_who_shares(tmp_path: Path) -> None:
    data, model = digits()
    mask = np.random.default_rng(0).random((12, 8, 3, 3)) < 0.5
    shared = ShareWeights(values=4).run(
        replace(model, masks={"conv2": mask}), context(tmp_path / "share", data)
    )
    found = Retrain(epochs=1).run(shared, context(tmp_path / "train", data))
    assert (exact.integer_weights(found.module, "conv2")[~mask] == 0).all()
    moved = False
    for name, book in found.codebooks.items():
        integers = exact.integer_weights(found.module, name)
        np.testing.assert_array_equal(book.values[book.indices], integers)
        for entry in range(len(shared.codebooks[name].values)):
            assert len(np.unique(integers[shared.codebooks[name].indices == entry])) == 1
        moved |= not np.array_equal(book.values, shared.codebooks[name].values)
    assert found.accuracy != shared.accuracy or moved


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    data, model = digits()
    small = replace(data, train_x=data.train_x[:256], train_y=data.train_y[:256])
    option = Retrain(epochs=3, shift=1)
    whole = option.run(model, context(tmp_path / "whole", small))

    def interrupt(text: str, share: float | None) -> None:
        if text.startswith("epoch 3/"):
            raise KeyboardInterrupt

    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        option.run(model, replace(context(folder, small), say=interrupt))
    heard: list[str] = []
    room = replace(context(folder, small), say=lambda text, _: heard.append(text))
    resumed = option.run(model, room)
    assert heard[0] == "going on after epoch 2"
    for key, value in whole.module.state_dict().items():
        torch.testing.assert_close(resumed.module.state_dict()[key], value, rtol=0, atol=0)
    assert resumed.history == whole.history


def test_a_checkpoint_of_other_options_is_not_gone_on_with(tmp_path: Path) -> None:
    data, model = digits()
    small = replace(data, train_x=data.train_x[:128], train_y=data.train_y[:128])
    Retrain(epochs=1).run(model, context(tmp_path, small))
    heard: list[str] = []
    room = replace(context(tmp_path, small), say=lambda text, _: heard.append(text))
    Retrain(epochs=1, lr=1e-3).run(model, room)
    assert not any(text.startswith("going on") for text in heard)


def test_the_test_split_does_not_steer_training(tmp_path: Path) -> None:
    data, model = digits()
    small = replace(data, train_x=data.train_x[:128], train_y=data.train_y[:128])
    other = replace(small, test_x=small.test_x[::-1].copy(), test_y=small.test_y[:5].repeat(108))
    first = Retrain(epochs=1).run(model, context(tmp_path / "a", small))
    second = Retrain(epochs=1).run(model, context(tmp_path / "b", other))
    for key, value in first.module.state_dict().items():
        torch.testing.assert_close(second.module.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("distill", [0.0, 0.5])
def test_an_epoch_draws_as_many_samples_as_asked_for(
    distill: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = digits()
    seen: list[int] = []
    monkeypatch.setattr(
        "passes._brevitas_train.augmented", lambda x, *_: (seen.append(len(x)), x.flip(3))[1]
    )
    option = Retrain(epochs=2, batch=100, samples=256, mirror=True, distill=distill)
    found = option.run(model, context(tmp_path, data))
    assert seen == [100, 100, 56] * 4  # the first epoch's are looked at before and after, too
    assert np.isfinite([epoch.loss for epoch in found.history]).all()


def test_training_that_diverges_hands_back_the_network_it_got(tmp_path: Path) -> None:
    data, model = digits()
    heard: list[str] = []
    room = replace(context(tmp_path, data), say=lambda text, _: heard.append(text))
    found = Retrain(epochs=2, lr=500.0, retries=1).run(model, room)
    assert found == replace(model, untrained=heard[-1])
    assert found.module is model.module
    failed = [text for text in heard if text.startswith("failed: loss")]
    assert len(failed) == 2
    assert failed[0].endswith("begun anew with an lr of 125")
    assert heard[-1] == failed[1]
    assert heard[-1].endswith("try a smaller lr")


def test_training_that_diverges_is_begun_anew_in_smaller_steps(tmp_path: Path) -> None:
    """As if it had had them from the first, and so if the second training is interrupted too."""
    data, model = digits()
    small = replace(data, train_x=data.train_x[:256], train_y=data.train_y[:256])
    heard: list[str] = []

    def interrupt(text: str, _share: float | None) -> None:
        heard.append(text)
        if text.startswith("epoch 2/") and any(text.startswith("failed") for text in heard):
            raise KeyboardInterrupt

    option = Retrain(epochs=3, lr=0.125)
    folder = tmp_path / "large"
    with pytest.raises(KeyboardInterrupt):
        option.run(model, replace(context(folder, small), say=interrupt))
    smaller = float(next(t for t in heard if t.startswith("failed")).rsplit(" ", 1)[1])
    assert smaller == 0.03125
    heard.clear()
    room = replace(context(folder, small), say=lambda text, _: heard.append(text))
    resumed = option.run(model, room)
    assert heard[0] == "going on after epoch 3"
    assert heard[2] == "going on after epoch 1"
    once = Retrain(epochs=3, lr=smaller, retries=0).run(model, context(tmp_path / "small", small))
    assert resumed.history == once.history
    assert resumed.accuracy == once.accuracy


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_loss_that_is_no_number_ends_the_training(
    epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch before it counts, or the network as it came."""
    data, model = digits()
    small = replace(data, train_x=data.train_x[:256], train_y=data.train_y[:256])
    right = Trainer.epoch

    def poisoned(trainer: Trainer, optimizer: torch.optim.Optimizer, at: int, batch: int) -> float:
        if at + 1 == epoch:
            with torch.no_grad():
                trainer.network.layer("conv2").weight.fill_(torch.nan)
        return right(trainer, optimizer, at, batch)

    monkeypatch.setattr(Trainer, "epoch", poisoned)
    heard: list[str] = []
    room = replace(context(tmp_path, small), say=lambda text, _: heard.append(text))
    found = Retrain(epochs=5).run(model, room)
    assert any(text.startswith(f"epoch {epoch}: the loss is no number") for text in heard)
    if epoch == 1:
        assert found.module is model.module
        assert found.untrained == heard[-1]
        assert heard[-1].startswith("failed: loss nan")
    else:
        assert len(found.history) == 2
        assert all(bool(value.isfinite().all()) for value in found.module.state_dict().values())


def test_too_little_memory_on_the_gpu_keeps_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = digits()
    small = replace(data, train_x=data.train_x[:128], train_y=data.train_y[:128])
    right = Trainer.epoch

    def greedy(trainer: Trainer, optimizer: torch.optim.Optimizer, at: int, batch: int) -> float:
        if at == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return right(trainer, optimizer, at, batch)

    heard: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "epoch", greedy)
        mend = "retrain: the GPU has too little memory; lower retrain.batch, or set CUDA_VISIBLE"
        with pytest.raises(LiftFlowError, match=mend):
            Pipeline([Retrain(epochs=2)]).run(model, small, tmp_path)
    watch = Instrument()
    watch.say = lambda text, _: heard.append(text)  # type: ignore[method-assign]
    Pipeline([Retrain(epochs=2)]).run(model, small, tmp_path, instruments=[watch])
    assert heard[0] == "going on after epoch 1"


def test_tensors_step_in_proportion_to_themselves() -> None:
    _, model = digits()
    network = copy.deepcopy(model.module)
    first, second = (network.layer(shape.name) for shape in network.network.layers[:2])
    with torch.no_grad():
        first.weight.mul_(100)
        second.bias.zero_()
    before = {id(p): p.detach().clone() for layer in (first, second) for p in layer.parameters()}
    training = optimizer(network, 0.01)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    training.step()

    def step(parameter: torch.Tensor) -> float:
        return float((parameter.detach() - before[id(parameter)]).abs().mean())

    def rms(parameter: torch.Tensor) -> float:
        return float(before[id(parameter)].square().mean().sqrt())

    for layer in (first, second):
        assert step(layer.weight) == pytest.approx(0.01 * rms(layer.weight), rel=1e-3)
    assert step(second.bias) == pytest.approx(0.01 * rms(second.weight), rel=1e-3)


def test_half_precision_trains_as_well(tmp_path: Path) -> None:
    data, model = digits()
    found = Retrain(epochs=3, precision="bfloat16").run(model, context(tmp_path, data))
    assert found.accuracy > model.accuracy
    assert all(value.dtype == torch.float32 for value in found.module.state_dict().values())


@pytest.mark.parametrize(
    "option",
    [
        {"precision": "half"},
        {"samples": -1},
        {"lr": 0.0},
        {"holdout": 1.0},
        {"epochs": -1},
        {"distill": 2},
    ],
)
def test_impossible_options_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(LiftFlowError, match=f"retrain: {next(iter(option))}"):
        Retrain(**option)  # type: ignore[arg-type]
