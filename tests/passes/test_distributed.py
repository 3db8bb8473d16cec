"""Two processes under torchrun compute what one computes, and a failed one ends all."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import chain_case
import distributed_case
import numpy as np
import pytest
import quant_case
import torch

from compiler.stages import Dataset, QuantModel, ScoredModel
from passes._brevitas_exact import integer_weights
from passes._brevitas_train import SCALE_EPS
from passes._distributed import ALONE, Team
from passes.attribute import Attribute
from passes.base import Context
from passes.finetune import Finetune
from passes.prepare import Prepare
from passes.quantize import Quantize
from passes.retrain import Retrain

RETRAIN = Retrain(epochs=3, batch=51, shift=1)
EPOCH = Retrain(epochs=1, batch=51, shift=1)
# Of 340 samples the last batch has 35.
GRADIENTS = distributed_case.Gradients(batch=305)
# 80 samples in batches of 33: the last has 14, and parts are of unequal size.
FINETUNE = Finetune(epochs=2, batch=33, lr=0.02, precision="float32")


def torchrun(folder: Path) -> subprocess.CompletedProcess[str]:
    script = Path(distributed_case.__file__)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(script), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


def in_two(jobs: list[tuple[Any, Any, Context]], folder: Path) -> list[Any]:
    (folder / "jobs.pkl").write_bytes(pickle.dumps(jobs))
    done = torchrun(folder)
    assert done.returncode == 0, done.stderr
    found: list[Any] = pickle.loads((folder / "results.pkl").read_bytes())
    return found


def quantized() -> tuple[QuantModel, Dataset]:
    data = quant_case.digits_data()
    model = quant_case.scored(quant_case.digits_shape(), data, 4, 4, epochs=1)
    return Quantize().run(model, Context(Path(), data)), data


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Pass -> (what one process gives, what two give)."""
    folder = tmp_path_factory.mktemp("team")
    scored, chain = chain_case.scored(folder)
    prepared = Prepare().run(chain_case.float_model(chain_case.small_net()), chain)
    model, data = quantized()
    small = replace(data, train_x=data.train_x[:400], train_y=data.train_y[:400])
    digits = quant_case.context(folder / "retrain", small)
    chain = Context(folder, chain.data)
    one = {
        "attribute": Attribute(samples=75, batch=16).run(prepared, chain),
        "finetune": FINETUNE.run(scored, chain),
        "retrain": RETRAIN.run(model, quant_case.context(folder / "alone", small)),
        "epoch": EPOCH.run(model, quant_case.context(folder / "alone", small)),
        "gradients": GRADIENTS.run(model, digits),
    }
    _interrupted(model, digits)
    two = in_two(
        [
            (Attribute(samples=75, batch=16), prepared, chain),
            (FINETUNE, scored, chain),
            (RETRAIN, model, digits),
            (EPOCH, model, quant_case.context(folder / "epoch", small)),
            (GRADIENTS, model, digits),
        ],
        folder,
    )
    return {name: (alone, both) for (name, alone), both in zip(one.items(), two, strict=True)}


def _interrupted(model: QuantModel, ctx: Context) -> None:
    """Leaves the checkpoint of one epoch, by one process."""

    def interrupt(text: str, _share: float | None) -> None:
        if text.startswith("epoch 2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RETRAIN.run(model, replace(ctx, say=interrupt))
    assert (ctx.workdir / "checkpoint.pt").is_file()


def test_attribution_is_equal_but_for_the_order_of_sums(case: dict[str, Any]) -> None:
    one, two = (model.relevance for model in case["attribute"])
    assert one.layers.keys() == two.layers.keys()
    for name, layer in one.layers.items():
        for entry in fields(layer):
            alone, both = getattr(layer, entry.name), getattr(two.layers[name], entry.name)
            if alone is not None:
                np.testing.assert_allclose(both, alone, rtol=1e-5, atol=1e-7, err_msg=entry.name)
    np.testing.assert_array_equal(two.input_samples, one.input_samples)
    np.testing.assert_allclose(two.inputs, one.inputs, rtol=1e-5, atol=1e-6)
    assert two.samples == one.samples == 75
    np.testing.assert_allclose(two.stability, one.stability, atol=1e-6)


def test_a_finetuned_network_is_the_same_within_noise(case: dict[str, Any]) -> None:
    """Its batch norms see all samples of a step, in one process or in two."""
    one, two = case["finetune"]
    assert isinstance(one, ScoredModel)
    assert one.norms.keys() == two.norms.keys() != set()
    assert two.accuracy == pytest.approx(one.accuracy, abs=0.01)
    for key, value in one.module.state_dict().items():
        torch.testing.assert_close(two.module.state_dict()[key], value, rtol=1e-3, atol=1e-4)


def test_a_retrained_network_is_as_good_and_goes_on_from_a_checkpoint(
    case: dict[str, Any],
) -> None:
    one, two = case["retrain"]
    assert len(two.history) == len(one.history) == 3
    assert two.history[0] == one.history[0], "the epoch that one process had done"
    losses = [[epoch.loss for epoch in model.history] for model in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert two.accuracy == pytest.approx(one.accuracy, abs=0.02)


def test_gradients_of_a_step_are_equal_but_for_rounding(case: dict[str, Any]) -> None:
    one, two = case["gradients"]
    assert one.keys() == two.keys()
    scales = [name for name in one if ".weight_quant." in name]
    assert len(scales) == 5
    for name, alone in one.items():
        if name in scales:  # all weights are on their grids: the true gradient is zero
            assert max(alone.abs().max(), two[name].abs().max()) < SCALE_EPS
        else:
            torch.testing.assert_close(
                two[name], alone, rtol=0, atol=3e-4 * float(alone.abs().max())
            )


def test_an_epoch_of_two_processes_is_that_of_one(case: dict[str, Any]) -> None:
    """Every layer alike: that with one scale for all weights has no direction of its own.

    A weight half-way between two integers may end a whole step apart.
    """
    one, two = (model.module for model in case["epoch"])
    apart = 0
    for layer in one.network.layers:
        steps = integer_weights(one, layer.name) - integer_weights(two, layer.name)
        apart += int((steps != 0).sum())
    assert apart <= 3  # of 4,088
    states = one.state_dict(), two.state_dict()
    for name, alone in states[0].items():
        if "scaling_impl" in name or name.endswith(".bias"):
            error = (states[1][name] - alone).square().mean().sqrt()
            assert error <= 3e-4 * alone.square().mean().sqrt(), name


def test_a_failed_process_ends_all(tmp_path: Path) -> None:
    job = (
        distributed_case.Faulty(),
        1,
        Context(tmp_path, chain_case.dataset(chain_case.small_net())),
    )
    (tmp_path / "jobs.pkl").write_bytes(pickle.dumps([job]))
    done = torchrun(tmp_path)  # the first process alone would wait for days
    assert done.returncode != 0
    assert "out of luck" in done.stderr
    assert not (tmp_path / "results.pkl").exists()


def test_parts_are_all_samples_once() -> None:
    for count in (0, 1, 2, 7, 64):
        parts = [range(count)[Team(rank, 3).part(count)] for rank in range(3)]
        assert [sample for part in parts for sample in part] == list(range(count))
    assert ALONE.part(5) == slice(0, 5)
