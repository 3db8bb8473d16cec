"""From a QONNX chain to a FINN graph of hardware nodes: an ordered recipe, each step limited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hw_targets.errors import UnsupportedError, VerificationError
from hw_targets.finn_adapter import affine, rewrites
from hw_targets.finn_adapter.session import apply, finn_session

FLOAT32_ERROR = 1e-4
"""FINN's float32 thresholds and the exact ones may differ by this, relative to 1 + |T|."""

Say = Callable[[str, float], None]


def _silent(text: str, share: float) -> None:
    del text, share


def lower(
    source: Path,
    target: Path,
    *,
    input_bits: int,
    input_signed: bool,
    time_limit_s: float = 300.0,
    say: Say = _silent,
) -> tuple[str, ...]:
    """Lower the QONNX file `source` to FINN hardware nodes in `target`; their types in order.

    The graph's input is integer frames (1, height, width, channels) or (1, features), its output
    the class index. Thresholds are integers computed exactly; nothing is folded yet (PE = SIMD = 1
    or all channels). The file's bytes depend on nothing but the source.

    Raises UnsupportedError naming a node that has no hardware, LiftFlowError naming a
    transformation that takes longer than `time_limit_s`.
    """
    with finn_session(target.parent):
        from qonnx.core.modelwrapper import ModelWrapper

        model = ModelWrapper(str(source))
        layers = affine.read(model)
        model = rewrites.take_integers(model, input_bits, input_signed)
        for number, (text, steps) in enumerate(RECIPE):
            say(text, number / len(RECIPE))
            if steps is _hardware:
                model = rewrites.flatten_channels_last(model)
                model = rewrites.drop_leading_flatten(model)
                _set_integers(model, layers)
            for step in steps():
                model = apply(model, step, time_limit_s)
        _require_hardware(model)
        model.model.graph.name = "liftflow"
        target.write_bytes(model.model.SerializeToString(deterministic=True))
        return tuple(node.op_type for node in model.graph.node)


def _convert() -> Iterator[Any]:
    from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

    yield ConvertQONNXtoFINN()
    yield GiveUniqueNodeNames()
    yield GiveReadableTensorNames()


def _streamline() -> Iterator[Any]:
    """Scales and biases go down the chain into thresholds, or, at the end, out of the arg-max."""
    from finn.transformation.streamline import absorb, reorder
    from finn.transformation.streamline.collapse_repeated import CollapseRepeatedMul
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.insert_topk import InsertTopK

    for _ in range(2):  # pooling and flatten may both lie between two layers
        yield reorder.MoveMulPastMaxPool()
        yield reorder.MoveScalarLinearPastInvariants()
    yield reorder.MoveScalarMulPastConv()
    yield reorder.MoveScalarMulPastMatMul()
    yield CollapseRepeatedMul()
    yield absorb.AbsorbAddIntoMultiThreshold()
    yield absorb.AbsorbMulIntoMultiThreshold()
    yield reorder.MoveMulPastAdd()
    yield InsertTopK(k=1)
    yield absorb.AbsorbScalarMulAddIntoTopK()
    yield InferDataTypes()


def _channels_last() -> Iterator[Any]:
    from finn.transformation.streamline import absorb, reorder
    from qonnx.transformation.infer_data_layouts import InferDataLayouts
    from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
    from qonnx.transformation.make_input_chanlast import MakeInputChannelsLast

    yield InferDataLayouts()
    yield MakeInputChannelsLast()
    yield LowerConvsToMatMul()
    yield InferDataLayouts()
    for _ in range(2):  # a transpose moves past thresholds, then past pooling, then meets the next
        yield absorb.AbsorbTransposeIntoMultiThreshold()
        yield reorder.MakeMaxPoolNHWC()
    yield absorb.AbsorbConsecutiveTransposes()


def _hardware() -> Iterator[Any]:
    from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
    from finn.transformation.fpgadataflow.convert_to_hw.elementwise_binary_operation import (
        InferElementwiseBinaryOperation,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.label_select import InferLabelSelectLayer
    from finn.transformation.fpgadataflow.convert_to_hw.pool import InferPool
    from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
        InferQuantizedMatrixVectorActivation,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
    from finn.transformation.fpgadataflow.minimize_accumulator_width import (
        MinimizeAccumulatorWidth,
    )
    from finn.transformation.move_reshape import RemoveCNVtoFCFlatten
    from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
    from qonnx.transformation.infer_data_layouts import InferDataLayouts
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    yield InferShapes()
    yield InferDataTypes()
    yield InferDataLayouts()
    # Thresholds first: MVAU_rtl takes no fused ones.
    yield InferThresholdingLayer()
    yield InferQuantizedMatrixVectorActivation()
    yield InferElementwiseBinaryOperation()
    yield InferLabelSelectLayer()
    yield InferPool()
    yield InferConvInpGen()
    yield RemoveCNVtoFCFlatten()
    yield InferDataTypes()
    yield MinimizeAccumulatorWidth()
    yield RoundAndClipThresholds()
    yield InferDataTypes()


def _names() -> Iterator[Any]:
    from qonnx.transformation.general import (
        GiveReadableTensorNames,
        GiveUniqueNodeNames,
        RemoveStaticGraphInputs,
        RemoveUnusedTensors,
        SortGraph,
    )

    yield SortGraph()
    yield RemoveStaticGraphInputs()
    yield RemoveUnusedTensors()
    yield GiveUniqueNodeNames()
    yield GiveReadableTensorNames()


RECIPE: tuple[tuple[str, Callable[[], Iterator[Any]]], ...] = (
    ("converting QONNX", _convert),
    ("streamlining", _streamline),
    ("channels last", _channels_last),
    ("inferring hardware", _hardware),
    ("naming", _names),
)
"""In this order; the integers are set before the hardware is inferred."""


def _set_integers(model: Any, layers: tuple[affine.Affine, ...]) -> None:
    """Replace FINN's float32 thresholds and last bias by the exact integers."""
    nodes = [node for node in model.graph.node if node.op_type == "MultiThreshold"]
    if len(nodes) != len(layers) - 1:
        raise UnsupportedError(
            f"{len(nodes)} activations for {len(layers)} layers", where="lower-finn"
        )
    for node, layer in zip(nodes, layers[:-1], strict=True):
        off = rewrites.set_thresholds(model, node, layer.thresholds())
        if off > FLOAT32_ERROR:
            raise VerificationError(
                f"thresholds of {node.name} differ from FINN's by {off:.1e}", where="lower-finn"
            )
    bias = layers[-1].integer_bias()
    add = next((node for node in model.graph.node if node.op_type == "Add"), None)
    if add is None:
        if np.any(bias):
            raise UnsupportedError("the last bias was lost", where="lower-finn")
        return
    before = model.get_initializer(add.input[1])
    if np.abs(before - bias).max() > 0.25:
        raise VerificationError("the last bias differs from FINN's", where="lower-finn")
    model.set_initializer(add.input[1], bias.astype(np.float32).reshape(before.shape))


def _require_hardware(model: Any) -> None:
    from finn.util.fpgadataflow import is_fpgadataflow_node

    for node in model.graph.node:
        if not is_fpgadataflow_node(node):
            raise UnsupportedError(
                f"node {node.name} ({node.op_type}) has no hardware in FINN",
                where="lower-finn",
                mend="change the layer, or report the network",
            )
