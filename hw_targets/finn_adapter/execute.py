"""FINN's own Python execution of a lowered or folded graph, node by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_targets.finn_adapter.session import finn_session
from hw_targets.rtl.kernel import Instance
from hw_targets.rtl.wiring import evaluate

IntArray = NDArray[np.int64]


def execute(path: Path, frames: IntArray) -> IntArray:
    """Classes of integer frames, (frames,), by FINN's Python model.

    frames: (frames, channels, height, width) or (frames, features), as `InputFormat.encode` gives
    them. Slow: meant for some hundred frames.
    """
    return trace(path, frames)[-1][1][:, 0]


def trace(path: Path, frames: IntArray) -> list[tuple[str, IntArray]]:
    """What every node gives, in order: (node name, (frames, elements) integers)."""
    with finn_session(path.parent):
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_node

        model = ModelWrapper(str(path))
        entry = model.graph.input[0].name
        shape = model.get_tensor_shape(entry)
        opset = model.model.opset_import[0].version
        found: dict[str, list[IntArray]] = {node.name: [] for node in model.graph.node}
        empty = model.make_empty_exec_context()
        for frame in channels_last(frames):
            context = dict(empty)
            context[entry] = frame.reshape(shape).astype(np.float32)
            for node in model.graph.node:
                execute_node(node, context, model.graph, opset)
                values = np.asarray(context[node.output[0]], dtype=np.float64)
                found[node.name].append(np.rint(values).astype(np.int64).ravel())
        return [(name, np.stack(values)) for name, values in found.items()]


def disagreements(path: Path, instances: tuple[Instance, ...], frames: IntArray) -> tuple[str, ...]:
    """Names of our kernels that do not give, on integer frames, what FINN's nodes give.

    FINN's window before a pooling that has no kernel of ours is passed over.
    """
    expected = dict(trace(path, frames))
    found = evaluate(instances, channels_last(frames))
    return tuple(name for name, values in found if not np.array_equal(values, expected[name]))


def channels_last(frames: IntArray) -> IntArray:
    """Frames flattened as they stream, (frames, elements): pixels in raster order, channels
    innermost."""
    images = np.moveaxis(frames, 1, -1)
    return np.ascontiguousarray(images).reshape(len(frames), -1)
