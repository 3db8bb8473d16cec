"""lower_finn: the node sequence, exactness, stable bytes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from quant_case import context
from quant_chain import CASES, chain

from hw_targets import finn_adapter
from hw_targets.errors import LiftFlowError, UnsupportedError, VerificationError
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
    """In fractions, from the file's own numbers."""
    from qonnx.core.modelwrapper import ModelWrapper

    found = chain("odd_eight_bits")
    model = ModelWrapper(str(found.exported.path))

    def constant(name: str) -> list[Fraction]:
        return [Fraction(float(value)) for value in model.get_initializer(name).reshape(-1)]

    graph = ModelWrapper(str(found.lowered.path))
    steps_of = iter(
        graph.get_initializer(node.input[1])
        for node in graph.graph.node
        if node.op_type == "Thresholding"
    )
    step = [Fraction(0)]
    bias = [Fraction(0)]
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weights = constant(model.find_producer(node.input[1]).input[1])
            step, bias = [scale * step[0] for scale in weights], constant(node.input[2])
        elif node.op_type == "Quant" and model.get_initializer(node.input[0]) is None:
            (scale,) = constant(node.input[1])
            if len(bias) > 1:
                steps = next(steps_of)
                exact = [
                    [ceil(((k - Fraction(1, 2)) * scale - b) / s) for k in range(1, 256)]
                    for s, b in zip(step, bias, strict=True)
                ]
                # Clipped to what the accumulator can reach.
                np.testing.assert_array_equal(steps, np.clip(exact, steps.min(), steps.max()))
            step, bias = [scale], [Fraction(0)]
    assert next(steps_of, None) is None


def test_a_file_without_a_quantizer_at_its_input_is_refused(tmp_path: Path) -> None:
    from qonnx.core.modelwrapper import ModelWrapper

    found = chain("one_layer")
    model = ModelWrapper(str(found.exported.path))
    (quant,) = model.find_consumers("global_in")
    model.find_consumers(quant.output[0])[0].input[0] = "global_in"
    model.graph.node.remove(quant)
    model.save(str(tmp_path / "broken.onnx"))
    with pytest.raises(UnsupportedError, match="no quantizer is before it"):
        finn_adapter.lower(tmp_path / "broken.onnx", tmp_path / "out.onnx", found.exported.network)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(LiftFlowError, match="frames"):
        LowerFinn(frames=0)
