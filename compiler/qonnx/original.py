"""What the file itself gives, by qonnx's own executor: the judge of how it was read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.qonnx.graph import WEIGHTED
from compiler.qonnx.value import Value
from hw_targets.errors import LiftFlowError, VerificationError

NEAR = 1e-3
"""Part of the greatest output by which outputs of a frame may differ: qonnx computes in float32."""


def execute_original(
    path: Path, begin: tuple[str, Value], end: tuple[str, Value], frames: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Outputs (samples, ...), channels first, of samples as behind the input's quantizer.

    begin: the tensor that the input's quantizer takes, and what it is. end: the tensor of the
    outputs, likewise.

    Raises:
        LiftFlowError: qonnx does not execute the file.
    """
    from qonnx.core.onnx_exec import execute_onnx

    name, value = begin
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = _cut(path, name, value, end[0])
            found = [
                execute_onnx(model, {name: _laid_out(value, frame)})[end[0]] for frame in frames
            ]
        except Exception as error:  # of whatever kind: it is the executor's, and the file's
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise LiftFlowError(
                f"qonnx's own executor does not compute it ({told[:200]})",
                where=str(path),
                mend="correct the file; onnx.checker.check_model may name the node",
            ) from error
    return np.stack([_as_samples(end[1], each) for each in found])


def require_alike(path: Path, found: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    """Raises VerificationError unless most frames have the outputs of the file.

    In float32 an activation beside a rounding edge may fall on the other side: then a frame
    differs. A file that was misread differs in all of them.
    """
    rows = found.reshape(len(found), -1), expected.reshape(len(expected), -1)
    greatest = float(np.abs(rows[1]).max(initial=0.0))
    alike = (np.abs(rows[0] - rows[1]).max(axis=1) <= NEAR * greatest).sum()
    if 2 * int(alike) < len(found):
        raise VerificationError(
            f"as it was read it gives other outputs than by qonnx's executor on "
            f"{len(found) - int(alike)} of {len(found)} frames",
            where=str(path),
            mend="this is a defect of LiftFlow's: please send the file",
        )


def _cut(path: Path, entry: str, value: Value, output: str) -> Any:
    """The part of the graph between two tensors, for one sample."""
    import onnx
    from onnx import TensorProto, helper
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.fold_constants import FoldConstants
    from qonnx.transformation.infer_shapes import InferShapes

    proto = onnx.load(str(path))
    graph = proto.graph
    makers = {name: node for node in graph.node for name in node.output}
    wanted, stack, seen = [], [output], set()
    while stack:
        name = stack.pop()
        node = makers.get(name)
        if name == entry or node is None or name in seen:
            continue
        seen.update(node.output)
        wanted.append(node)
        stack += node.input
    keep = {node.output[0] for node in wanted}
    nodes = [node for node in graph.node if node.output and node.output[0] in keep]
    for node in nodes:
        if node.op_type in (*WEIGHTED, "Trunc", "IntQuant", "FloatQuant"):
            node.domain = "qonnx.custom_op.general"
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(entry, TensorProto.FLOAT, value.file_shape))
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    model = ModelWrapper(proto)
    for step in (
        InferShapes(),
        FoldConstants(exclude_op_types=[*WEIGHTED, "QuantizeLinear", "DequantizeLinear"]),
        InferShapes(),
    ):
        model = model.transform(step)
    return model


def _laid_out(value: Value, sample: NDArray[np.float64]) -> NDArray[np.float32]:
    """A sample as the file's tensor has it, in a batch of one."""
    if value.image or len(value.shape) == 1:
        flat = sample.reshape(-1)
        flat = flat if value.order is None else flat[value.order]
        return flat.reshape(1, -1).astype(np.float32)
    full = sample.reshape(value.shape)
    left = [axis for axis in range(len(value.shape)) if axis not in value.axes]
    return np.transpose(full, (*value.axes, *left)).reshape(value.file_shape).astype(np.float32)


def _as_samples(value: Value, output: NDArray[Any]) -> NDArray[np.float64]:
    """A tensor of the file, channels first."""
    left = [axis for axis in range(len(value.shape)) if axis not in value.axes]
    full = np.asarray(output, np.float64).reshape(
        [value.shape[axis] for axis in (*value.axes, *left)]
    )
    return np.transpose(full, np.argsort((*value.axes, *left)))
