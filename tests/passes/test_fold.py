"""fold: the allocated folding on the graph, by FINN's own means, and exact kernels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from quant_case import context
from quant_chain import CASES, chain

from compiler.stages import LayerChoice
from hw_targets import finn_adapter
from hw_targets.errors import LiftFlowError, VerificationError
from passes.fold import Fold


@pytest.mark.parametrize("name", CASES)
def test_kernels_are_exact_on_every_test_sample(name: str) -> None:
    checks = chain(name).checks["fold"]
    assert [check.passed for check in checks] == [True, True, True]
    assert checks[-1].measured == "40 of 40 test samples"


def test_units_follow_their_matrix() -> None:
    folding = chain("odd").folded.folding
    found = {
        name: (attributes.get("PE"), attributes.get("SIMD"))
        for name, attributes in folding.items()
        if name != "Defaults"
    }
    assert found == {
        "body_first_pad": (None, 3),
        "body_first_window": (None, 3),
        "body_first_mvu": (13, 3),
        "body_first_threshold": (13, None),
        "second_pad": (None, 13),
        "second_window": (None, 13),
        "second_mvu": (37, 13),
        "second_threshold": (37, None),
        "second_pool_window": (None, 37),
        "second_pool": (37, None),
        "third_pad": (None, 37),
        "third_window": (None, 37),
        "third_mvu": (5, 37),
        "third_threshold": (5, None),
        "fourth_mvu": (11, 4),
        "fourth_threshold": (11, None),
        "last_mvu": (3, 11),
        "last_bias": (3, None),
        "label": (3, None),
    }


def test_finns_own_apply_config_makes_the_same_graph() -> None:
    from finn.transformation.general import ApplyConfig
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp

    found = chain("odd")
    written = json.loads((found.folded.path.parent / "folding.json").read_text())
    assert written == dict(found.folded.folding)
    model = ModelWrapper(str(found.lowered.path)).transform(ApplyConfig(written))
    folded = ModelWrapper(str(found.folded.path))
    for mine, theirs in zip(folded.graph.node, model.graph.node, strict=True):
        attributes = getCustomOp(mine).get_nodeattr_types()
        for name in attributes:
            if any(each.name == name for each in mine.attribute):
                assert getCustomOp(mine).get_nodeattr(name) == pytest.approx(
                    getCustomOp(theirs).get_nodeattr(name)
                )


def test_a_folding_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    found = chain("one_layer")
    choice = SimpleNamespace(pe=3, simd=4, arithmetic="lut", memory="auto")
    with pytest.raises(LiftFlowError, match="f1: PE 3 and SIMD 4 do not divide"):
        finn_adapter.fold(
            found.lowered.path, tmp_path / "f.onnx", found.lowered.network, {"f1": choice}
        )


def test_another_networks_graph_is_refused(tmp_path: Path) -> None:
    found = chain("one_layer")
    other = chain("dense_on_images").lowered
    wrong = replace(found.lowered, network=other.network, allocation=other.allocation)
    with pytest.raises(VerificationError, match="f1_mvu is a"):
        Fold().run(wrong, context(tmp_path, found.data))


def test_other_bits_than_allocated_are_refused(tmp_path: Path) -> None:
    found = chain("one_layer")
    layers = {"f1": LayerChoice(5, 0, 1, 1, "lut", "auto", 48)}
    wrong = replace(found.lowered, allocation=replace(found.lowered.allocation, layers=layers))
    with pytest.raises(LiftFlowError, match="4 bit weights in the graph, 5 allocated"):
        Fold().run(wrong, context(tmp_path, found.data))


def test_a_wrong_prediction_is_found(tmp_path: Path) -> None:
    found = chain("one_layer")
    predictions = found.lowered.predictions.copy()
    predictions[3] = (predictions[3] + 1) % 4
    with pytest.raises(VerificationError, match="39 of 40 test samples"):
        Fold().run(replace(found.lowered, predictions=predictions), context(tmp_path, found.data))
