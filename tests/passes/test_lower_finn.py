"""lower_finn: the node sequence, exactness, stable bytes, the time limit."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quant_case import context
from quant_chain import CASES, chain

from hw_targets import finn_adapter
from hw_targets.errors import LiftFlowError, UnsupportedError, VerificationError
from hw_targets.finn_adapter import affine
from hw_targets.finn_adapter.session import apply
from passes.lower_finn import LowerFinn

GOLDEN = {
    "odd": """
        FMPadding ConvolutionInputGenerator MVAU Thresholding
        FMPadding ConvolutionInputGenerator MVAU Thresholding ConvolutionInputGenerator Pool
        FMPadding ConvolutionInputGenerator MVAU Thresholding
        MVAU Thresholding
        MVAU ElementwiseAdd LabelSelect""",
    "strided": """
        FMPadding ConvolutionInputGenerator MVAU Thresholding
        ConvolutionInputGenerator MVAU Thresholding
        MVAU ElementwiseAdd LabelSelect""",
    "dense_only": "MVAU Thresholding MVAU Thresholding MVAU ElementwiseAdd LabelSelect",
    "dense_on_images": "MVAU Thresholding MVAU ElementwiseAdd LabelSelect",
    "pointwise": """
        MVAU Thresholding ConvolutionInputGenerator MVAU Thresholding
        MVAU ElementwiseAdd LabelSelect""",
}


def nodes(path: Path) -> list[str]:
    from qonnx.core.modelwrapper import ModelWrapper

    return [node.op_type for node in ModelWrapper(str(path)).graph.node]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_node_sequence(name: str) -> None:
    assert nodes(chain(name).lowered.path) == GOLDEN[name].split()


@pytest.mark.parametrize("name", CASES)
def test_classes_and_activations_are_exact(name: str) -> None:
    checks = chain(name).checks["lower"]
    assert [check.passed for check in checks] == [True, True]


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    found = chain("odd")
    again = LowerFinn(frames=1).run(found.exported, context(tmp_path, found.data))
    assert again.path.read_bytes() == found.lowered.path.read_bytes()


def test_a_wrong_class_is_found(tmp_path: Path) -> None:
    found = chain("one_layer")
    wrong = replace(found.exported, predictions=(found.exported.predictions + 1) % 4)
    with pytest.raises(VerificationError, match="0 of 5 test samples"):
        LowerFinn(frames=5).run(wrong, context(tmp_path, found.data))


def test_thresholds_are_the_exact_ones() -> None:
    from qonnx.core.modelwrapper import ModelWrapper

    found = chain("odd_eight_bits")
    layers = affine.read(ModelWrapper(str(found.exported.path)))
    instances = finn_adapter.instances(found.folded.path, CASES["odd_eight_bits"].network)
    kernels = [each for each in instances if each.name.endswith("_threshold")]
    for layer, instance in zip(layers[:-1], kernels, strict=True):
        exact = np.ceil(layer.thresholds())
        given = instance.arrays["thresholds"]
        assert given.shape == (len(layer.bias), 255)
        # FINN clips thresholds to what the accumulator can reach.
        np.testing.assert_array_equal(given, np.clip(exact, given.min(), given.max()))


class _Restless:
    def __init__(self, pause: float) -> None:
        self.pause = pause

    def apply(self, model: Any) -> tuple[Any, bool]:
        time.sleep(self.pause)
        return model, True


@pytest.mark.parametrize("pause", [0.001, 30.0])
def test_a_transformation_without_end_is_named(pause: float) -> None:
    with pytest.raises(LiftFlowError, match=r"_Restless found no end in 0\.2 s"):
        apply(object(), _Restless(pause), 0.2)


def test_a_network_that_is_no_chain_is_refused(tmp_path: Path) -> None:
    from qonnx.core.modelwrapper import ModelWrapper

    found = chain("one_layer")
    model = ModelWrapper(str(found.exported.path))
    model.graph.node.remove(model.graph.node[0])
    model.save(str(tmp_path / "broken.onnx"))
    with pytest.raises(UnsupportedError):
        finn_adapter.lower(
            tmp_path / "broken.onnx", tmp_path / "out.onnx", input_bits=8, input_signed=True
        )


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(LiftFlowError, match="time_limit_s"):
        LowerFinn(time_limit_s=0)
