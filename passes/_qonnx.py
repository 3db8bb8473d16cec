"""QONNX files: written the same byte for byte every time, executed in batches in float64."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
BATCH = 128


def export(module: nn.Module, input_shape: tuple[int, ...], path: Path) -> None:
    """Write `module` as a cleaned QONNX file with batch size 1.

    The TorchScript exporter is used: it keeps layer names, takes half a second where the dynamo one
    takes nine, and leaves no stack traces (paths of this machine) in the file. Exporting leaves
    handlers in the module, so a copy is exported.
    """
    import torch
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    raw = path.with_suffix(".raw.onnx")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from brevitas.export import export_qonnx

            export_qonnx(
                copy.deepcopy(module).eval(),
                args=torch.zeros(1, *input_shape),
                export_path=str(raw),
                opset_version=OPSET,
                dynamo=False,
            )
            model = cleanup_model(ModelWrapper(str(raw)))
    finally:
        raw.unlink(missing_ok=True)
    graph = model.model.graph
    graph.name = "liftflow"
    graph.doc_string = model.model.doc_string = ""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    path.write_bytes(model.model.SerializeToString(deterministic=True))


def execute(path: Path, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits of float samples by qonnx's executor, (samples, classes), in float64.

    In float32 the order of summation decides activations that lie next to a rounding edge, so
    that two right executors differ. ONNX Runtime has no float64 convolution: a copy of the graph
    with convolutions as Im2Col and MatMul (qonnx's own transformation) is executed.
    """
    batch = min(BATCH, len(samples))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _in_float64(path, batch)
        entry, result = model.graph.input[0].name, model.graph.output[0].name
        parts = []
        for start in range(0, len(samples), batch):
            part = samples[start : start + batch]
            filled = np.zeros((batch, *samples.shape[1:]), dtype=np.float64)
            filled[: len(part)] = part
            parts.append(_run(model, entry, filled)[result][: len(part)])
    return np.concatenate(parts)


def activations(path: Path, samples: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Integers after every activation, in order, each (samples, elements), channels innermost.

    samples: floats, as for `execute`; a handful, all run in one batch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _in_float64(path, len(samples))
        found = _run(model, model.graph.input[0].name, samples)
        quants = [node for node in model.graph.node if node.op_type == "Quant"]
        streams = [
            found[node.output[0]]
            for node in quants
            if model.get_initializer(model.find_producer(node.input[0]).input[0]) is None
        ]
    integers = []
    for stream in streams[1:]:  # the first is the network's input
        last = np.moveaxis(stream, 1, -1) if stream.ndim == 4 else stream
        integers.append(np.rint(last).astype(np.int64).reshape(len(samples), -1))
    return integers


def _run(model: Any, entry: str, samples: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """All tensors of one batch, node by node through qonnx.

    qonnx's Im2Col mixes up the samples of a batch (1.0.0), so it gets them one at a time.
    """
    from qonnx.core.onnx_exec import execute_node

    context: dict[str, NDArray[Any]] = model.make_empty_exec_context()
    context[entry] = samples
    opset = model.model.opset_import[0].version
    for node in model.graph.node:
        if node.op_type == "Im2Col":
            source, result = node.input[0], node.output[0]
            images, parts = context[source], []
            for image in images:
                context[source] = image[None]
                execute_node(node, context, model.graph, opset)
                parts.append(context[result])
            context[source], context[result] = images, np.concatenate(parts)
        else:
            execute_node(node, context, model.graph, opset)
    return context


def _in_float64(path: Path, batch: int) -> Any:
    """A copy of the model with this batch size, every float tensor of double precision."""
    from onnx import TensorProto, helper, numpy_helper
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul

    model = ModelWrapper(str(path))
    for step in (LowerConvsToMatMul(), InferShapes(), InferDataTypes()):
        model = model.transform(step)
    graph = model.model.graph
    flowing = {graph.input[0].name}
    for node in graph.node:
        if flowing & set(node.input):
            flowing.update(node.output)
    for info in (*graph.input, *graph.output, *graph.value_info):
        # qonnx infers batch size 1 for Im2Col whatever it is given.
        if info.name in flowing:
            info.type.tensor_type.shape.dim[0].dim_value = batch
    for info in (*graph.input, *graph.output, *graph.value_info):
        if info.type.tensor_type.elem_type == TensorProto.FLOAT:
            info.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    _scale_outside(model)
    # qonnx hands a node to ONNX Runtime with the inputs it finds declared: declare constants too.
    declared = {info.name for info in graph.value_info}
    for tensor in graph.initializer:
        if tensor.name not in declared:
            graph.value_info.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return model


def _scale_outside(model: Any) -> None:
    """Quant(x, s) becomes Cast(Quant(x / s, 1)) * s: qonnx's Quant rounds its result to float32,
    which is exact for integers only."""
    from onnx import TensorProto, helper

    graph = model.model.graph
    one = "liftflow_one"
    model.set_initializer(one, np.asarray(1.0, dtype=np.float64))
    for quant in [node for node in graph.node if node.op_type == "Quant"]:
        source, scale, result = quant.input[0], quant.input[1], quant.output[0]
        shape = model.get_tensor_shape(result)
        names = {part: f"{result}_{part}" for part in ("steps", "single", "integer")}
        for part, name in names.items():
            kind = TensorProto.FLOAT if part == "single" else TensorProto.DOUBLE
            graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))
        place = list(graph.node).index(quant)
        quant.input[0], quant.input[1], quant.output[0] = names["steps"], one, names["single"]
        before = helper.make_node("Div", [source, scale], [names["steps"]])
        cast = helper.make_node(
            "Cast", [names["single"]], [names["integer"]], to=TensorProto.DOUBLE
        )
        after = helper.make_node("Mul", [names["integer"], scale], [result])
        for offset, node in ((0, before), (2, cast), (3, after)):
            graph.node.insert(place + offset, node)
