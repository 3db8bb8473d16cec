"""Networks whose outputs are the answer, through every pass; and what is refused of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from regression_case import autoencoder, images, outputs, per_pixel, pixel_chain, vectors
from torch import Tensor, nn

import compiler
from compiler import report
from compiler.config import Goals
from compiler.frontend import check_fits
from compiler.pipeline import RunResult
from compiler.stages import Dataset, QonnxModel, RtlDesign, ScoredModel, streamed
from hw_targets.cost.layer import kernels_of
from hw_targets.errors import InfeasibleError, LiftFlowError, UnsupportedError
from hw_targets.flows.simulator import build
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.label_select import LabelSelect
from passes import _brevitas_exact as exact
from passes._brevitas_network import QuantNetwork
from passes._distill import Distillation, sample_losses, variance_of
from passes._relevance import Settings, measure
from passes._score import agreeing, r_squared, score
from passes.attribute import Attribute
from passes.base import Context
from passes.deeplift import attribute_all_layers, random_signs, target_coefficients
from passes.export_qonnx import ExportQonnx
from passes.fold import Fold
from passes.generate_rtl import GenerateRtl, design_of
from passes.lower_finn import LowerFinn
from passes.prepare import prepared_network, require_support
from passes.retrain import Retrain

QUICK = {
    "attribute": {"samples": 64},
    "prune-filters": {"macs": 0.25, "divisor": 1},
    "retrain": {"epochs": 8},
    "explain": {"samples": 16, "shown": 3},
    "lower-finn": {"frames": 8},
}


def compiled(
    made: tuple[nn.Module, Dataset], name: str, until: str, folder: Path, fps: float | None = None
) -> RunResult:
    model, data = made
    return compiler.compile_model(
        model, data, name=name, options=QUICK, until=until, output=folder, device="cpu",
        goals=Goals(fps=fps),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("dense")
    return compiled(autoencoder(), "autoencoder", "package", folder, fps=1e6)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return compiled(pixel_chain(), "pixels", "generate-rtl", tmp_path_factory.mktemp("pixels"))


@pytest.fixture(scope="module")
def branching(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return compiled(per_pixel(), "unet", "export-qonnx", tmp_path_factory.mktemp("unet"))


def test_autoencoder_from_training_to_rtl(dense: RunResult) -> None:
    assert all(check.passed for record in dense.records for check in record.checks)
    prepared, quantized = dense.stage("prepare"), dense.stage("quantize")
    retrained, rtl = dense.stage("retrain"), cast(RtlDesign, dense.stage("simulate"))
    assert prepared.accuracy > 0.95
    assert quantized.accuracy < retrained.accuracy
    assert retrained.accuracy > prepared.accuracy - 0.05
    assert prepared.network.classes == 0
    assert dense.stage("prune-filters").pruned.macs_after <= 0.75 * prepared.network.macs
    assert rtl.sim is not None
    assert rtl.sim.mismatches == 0
    assert rtl.sim.frames == len(rtl.predictions) == 60
    assert rtl.sim.accuracy == pytest.approx(retrained.accuracy, abs=1e-9)
    kinds = [unit.kernel for unit in rtl.units]
    assert kinds[-1] == "ChannelAdd"
    assert "LabelSelect" not in kinds


def test_integers_times_step_are_the_outputs(dense: RunResult, pixels: RunResult) -> None:
    for run, data in ((dense, vectors()), (pixels, images())):
        exported = cast(QonnxModel, run.stage("export-qonnx"))
        network = cast(QuantNetwork, run.stage("retrain").module)
        values = exact.logits(network, data.test_x) * exact.logit_step(network)
        found = exported.predictions * exported.step
        assert np.abs(found - streamed(values)).max() < 0.1 * exported.step
        assert r_squared(found, streamed(data.test_y)) == pytest.approx(exported.accuracy)


def test_report_tells_the_score_and_the_step(dense: RunResult, pixels: RunResult) -> None:
    for run in (dense, pixels):
        told = report.load(run.folder)
        assert told.score == "R^2"
        assert told.outputs is not None
        assert told.outputs.shape == list(run.stage("prepare").network.output_shape)
        assert told.outputs.step == run.stage("export-qonnx").step > 0
        assert told.insight is not None
        assert told.insight.filters == []
        assert told.insight.agreement > 0.9
        text = (run.folder / "report.html").read_text()
        assert "R^2" in text
        assert "Which filters serve which classes" not in text


def test_per_pixel_chain_has_one_order(pixels: RunResult) -> None:
    assert all(check.passed for record in pixels.records for check in record.checks)
    exported = cast(QonnxModel, pixels.stage("export-qonnx"))
    network = cast(QuantNetwork, pixels.stage("retrain").module)
    integers = exact.integer_logits(network, images().test_x)
    assert integers.shape == (60, *exported.network.output_shape) == (60, 2, 8, 8)
    in_order = exported.predictions.reshape(60, 8, 8, 2)
    assert np.array_equal(in_order, integers.transpose(0, 2, 3, 1))


def test_branches_to_the_rtl(branching: RunResult, tmp_path: Path) -> None:
    exported = cast(QonnxModel, branching.stage("export-qonnx"))
    assert not exported.network.chain
    assert [layer.answers for layer in exported.network.layers] == [False, False, False, True]
    assert exported.accuracy > 0.9
    ctx = Context(workdir=tmp_path, data=images())
    folded = Fold().run(LowerFinn(frames=4).run(exported, ctx), ctx)
    assert folded.step == exported.step
    assert len(ctx.checks) == 5
    assert all(check.passed for check in ctx.checks)

    rtl = GenerateRtl().run(folded, Context(workdir=tmp_path, data=images()))
    design = design_of("unet", rtl.finn, rtl.network, rtl.allocation)
    assert design.output.elements == 2 * 8 * 8
    room = tuple(max(2, link.stream.beats) for link in design.links)  # of a whole frame everywhere
    manifest = dataclasses.replace(design, fifo_depths=room).write(tmp_path / "rtl")
    simulator = build(
        tmp_path / "rtl", manifest.top, manifest.sources, tmp_path / "obj", optimize="-O0"
    )
    frames = rtl.input.stream(images().test_x[:20])
    run = simulator.run(frames, design.input, design.output, in_valid=0.6, out_ready=0.6)
    np.testing.assert_array_equal(run.outputs, rtl.predictions[:20])


def test_the_last_layer_ends_in_its_bias(dense: RunResult) -> None:
    scored = cast(ScoredModel, dense.stage("allocate"))
    assert scored.allocation is not None
    last = scored.network.layers[-1]
    units = kernels_of(last, scored.allocation.layers[last.name], 4, False)
    bias, fifo = units[-2:]
    assert isinstance(bias, ChannelAdd)
    assert isinstance(fifo, Fifo)
    assert fifo.width == bias.output.width
    classing = dataclasses.replace(last, answers=False)
    units = kernels_of(classing, scored.allocation.layers[last.name], 4, False)
    assert isinstance(units[-2], LabelSelect)


def test_signs_count_the_squares_of_all_outputs() -> None:
    change = torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    inputs = torch.rand((4000, 5), generator=torch.Generator().manual_seed(0))
    signs = random_signs(torch.zeros(4000, 2, 2), inputs)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    square = float((signs * change).flatten(1).sum(1).square().mean())
    assert square == pytest.approx(float(change.square().sum()), rel=0.1)
    assert torch.equal(random_signs(torch.zeros(7, 2, 2), inputs[40:47]), signs[40:47])


def test_attribution_is_complete_and_same_in_any_batch() -> None:
    model, data = per_pixel()
    module, _, norms = prepared_network(model, data.sample_shape, regression=True)
    x = torch.from_numpy(data.train_x[:8])
    with torch.no_grad():
        given = module(x)
    (signs,) = target_coefficients("signs", given, torch.empty(0), x)
    found = attribute_all_layers(module, x, x.roll(1, 0), signs, {})
    assert float(found.completeness.max()) < 1e-4 * float(found.output_delta.abs().max())
    relevances = [
        measure(
            module,
            data,
            Settings(samples=24, reference="random", target="signs", batch=batch),
            np.random.default_rng(0),
            "cpu",
            norms,
        )
        for batch in (24, 5)
    ]
    for name, layer in relevances[0].layers.items():
        assert layer.classes is None
        assert np.allclose(layer.channels, relevances[1].layers[name].channels, rtol=1e-4)
    every = measure(
        module, data, Settings(8, "random", "output", 8), np.random.default_rng(0), "cpu", norms
    )
    assert every.completeness_delta < 1e-4


@pytest.mark.parametrize("criterion", ["taylor", "hessian", "gradient", "wanda", "l1"])
def test_other_criteria_take_squared_errors(criterion: str) -> None:
    model, data = autoencoder()
    module, _, norms = prepared_network(model, data.sample_shape, regression=True)
    settings = Settings(16, "random", "signs", 8, criterion)
    found = measure(module, data, settings, np.random.default_rng(0), "cpu", norms)
    assert all(np.isfinite(layer.channels).all() for layer in found.layers.values())
    assert sum(float(layer.channels.sum()) for layer in found.layers.values()) > 0


def test_score_is_one_at_best_whatever_the_task() -> None:
    wanted = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 8.0]], np.float32)
    assert score(wanted, wanted) == 1.0
    assert score(np.broadcast_to(wanted.mean(0), wanted.shape), wanted) == pytest.approx(0.0)
    assert score(-wanted, wanted) < 0
    assert score(wanted, np.array([1, 1, 0])) == pytest.approx(2 / 3)
    assert r_squared(np.ones((2, 2)), np.ones((2, 2))) == 1.0
    assert r_squared(np.zeros((2, 2)), np.ones((2, 2))) == 0.0
    answers = np.array([[1, 2], [3, 4], [5, 6]])
    assert agreeing(answers, answers) == 3
    assert agreeing(answers, answers + np.array([[0, 0], [0, 1], [1, 1]])) == 1


def test_loss_is_what_the_score_lacks() -> None:
    data = vectors()
    given = torch.from_numpy(data.train_y) + 0.1
    loss = Distillation(0.0, variance=variance_of(data)).loss(
        given, torch.from_numpy(data.train_y), None
    )
    assert float(loss) == pytest.approx(1 - r_squared(given.numpy(), data.train_y), rel=1e-4)
    wanted = torch.from_numpy(data.train_y)
    taught = Distillation(1.0).loss(given, wanted, given)
    assert float(taught) == 0.0
    assert sample_losses(given, wanted).shape == (len(given),)


class Ends(nn.Module):
    """A convolution, and what stands behind it."""

    def __init__(self, end: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.end(self.conv(x))
        return out


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (nn.ReLU(), r"end \(ReLU\): it gives the outputs, end with the Conv2d or Linear"),
        (nn.Softmax(1), r"end \(Softmax\): it changes the outputs"),
        (nn.MaxPool2d(2), r"end \(MaxPool2d\): it gives the outputs"),
    ],
)
def test_ends_that_are_no_layer_are_refused(end: nn.Module, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        require_support(Ends(end).eval(), (1, 8, 8), regression=True)


def test_classes_still_come_from_a_linear() -> None:
    require_support(Ends(nn.Identity()).eval(), (1, 8, 8), regression=True)
    with pytest.raises(UnsupportedError, match="it gives the logits, end with a Linear"):
        require_support(Ends(nn.Identity()).eval(), (1, 8, 8))


def test_shapes_that_do_not_fit_get_one_line() -> None:
    data = images()
    with pytest.raises(LiftFlowError, match=r"gives \(1, 8, 8\), the targets of blobs are \(2, 8"):
        check_fits(nn.Identity(), data)
    with pytest.raises(LiftFlowError, match=r"model gives \(12,\), the targets of vectors are \(3"):
        check_fits(nn.Identity(), dataclasses.replace(vectors(), test_y=vectors().test_y[:, :3]))
    assert check_fits(nn.Identity(), vectors()) == 0


def test_options_for_classes_are_refused(tmp_path: Path) -> None:
    ctx = Context(workdir=tmp_path, data=vectors())
    with pytest.raises(LiftFlowError, match="target margin asks for classes"):
        Attribute(target="margin").refuse(ctx)
    with pytest.raises(LiftFlowError, match="shift and mirror do not move the targets"):
        Retrain(mirror=True).refuse(ctx)
    Attribute().refuse(ctx)
    Retrain().refuse(ctx)
    assert Attribute().settings(vectors()).target == "signs"
    classes = dataclasses.replace(vectors(), classes=3)
    assert Attribute().settings(classes).target == "margin"


def test_a_goal_is_a_least_r_squared(dense: RunResult, tmp_path: Path) -> None:
    ctx = Context(workdir=tmp_path, data=vectors())
    with pytest.raises(InfeasibleError, match=r"an R\^2 of 0\.\d+ on the test samples, less"):
        ExportQonnx(least_accuracy=0.999).run(dense.stage("retrain"), ctx)


def test_board_gives_all_outputs_and_the_host_their_values(dense: RunResult) -> None:
    made, sent = dense.stage("synthesize"), dense.stage("package")
    assert made.bitstream is not None
    assert made.shell_frames == 50
    assert {"model.json", "expected.json", "driver.py", "autoencoder.bit"} <= set(sent.files)
    model = json.loads((sent.folder / "model.json").read_text())
    assert model["output"]["shape"] == [12]
    assert model["output"]["lanes"] * model["output"]["beats"] == 12
    expected = np.array(json.loads((sent.folder / "expected.json").read_text()))
    found = expected * model["output"]["step"]
    assert r_squared(found, vectors().test_y[: len(found)]) > 0.9
    assert "integer x 0." in (sent.folder / "README.md").read_text()


def test_manifest_has_all_outputs(pixels: RunResult) -> None:
    rtl = cast(RtlDesign, pixels.stage("generate-rtl"))
    stream = json.loads((rtl.folder / "manifest.json").read_text())["output"]
    assert stream["lanes"] * stream["beats"] == 2 * 8 * 8
    assert stream["signed"]
    model, data = pixel_chain()
    off = np.abs(rtl.predictions * rtl.step - streamed(outputs(model, data.test_x)))
    assert off.mean() < 0.1
