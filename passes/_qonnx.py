"""QONNX files: written the same byte for byte every time, executed in batches in float64."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
QUANTIZERS = ("Quant", "BipolarQuant", "Sign")
NO_VALUE = 1e-10
"""Part of the greatest value that counts as zero, where only the sign is asked for."""
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
            model = ModelWrapper(str(raw))
            _unsigned_bits(model)
            _pad_windows(model, module)
            for at, node in enumerate(model.graph.node):
                node.doc_string = str(at)
            model = _numbered(cleanup_model(model))
    finally:
        raw.unlink(missing_ok=True)
    graph = model.model.graph
    graph.name = "liftflow"
    graph.doc_string = model.model.doc_string = ""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    path.write_bytes(model.model.SerializeToString(deterministic=True))


def _unsigned_bits(model: Any) -> None:
    """Brevitas (0.13.0) writes quantizers of one bit as -1 and 1; those of activations are 0, 1."""
    from onnx import TensorProto, helper

    graph = model.graph
    for at, node in enumerate(list(graph.node)):
        if node.op_type != "BipolarQuant":
            continue
        names = [f"{node.output[0]}_{each}" for each in ("zero_point", "bit_width")]
        for name, value in zip(names, (0.0, 1.0), strict=True):
            graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
        quant = helper.make_node(
            "Quant",
            [*node.input, *names],
            list(node.output),
            domain=node.domain,
            signed=0,
            narrow=0,
            rounding_mode="ROUND",
        )
        graph.node.remove(node)
        graph.node.insert(at, quant)


def _pad_windows(model: Any, module: nn.Module) -> None:
    """Max pooling over the edge gets padding below and to the right instead of `ceil_mode`.

    ONNX's shape inference counts a window more than there is where the last would lie in padding.
    """
    from onnx import helper

    pools = [node for node in model.graph.node if node.op_type == "MaxPool"]
    structure: Any = getattr(module, "structure", ())
    units = [unit for unit in structure if unit.kind == "max"]
    for node, unit in zip(pools, units, strict=bool(units)):
        stored = {each.name: each for each in node.attribute}
        if "ceil_mode" in stored and stored["ceil_mode"].i:
            node.attribute.remove(stored["ceil_mode"])
            node.attribute.remove(stored["pads"])
            node.attribute.append(helper.make_attribute("pads", unit.numbers[4:]))


def _numbered(model: Any) -> Any:
    """The model with node names that count in the order of execution, which doc strings tell.

    qonnx sorts a graph that branches breadth first, after every transformation.
    """
    graph = model.graph
    flowing, order = {graph.input[0].name}, []
    for node in graph.node:
        if flowing & set(node.input):
            flowing.update(node.output)
            order.append(int(node.doc_string))
    if order == sorted(order):
        return model
    nodes = sorted(graph.node, key=lambda node: int(node.doc_string))
    del graph.node[:]
    graph.node.extend(nodes)
    _renamed(graph)
    return model


def _renamed(graph: Any) -> None:
    """Names for nodes and tensors as qonnx gives them, in the order of the nodes.

    All at once: qonnx (1.0.0) does it one by one and trips over inputs that are left out.
    """
    counts: Counter[str] = Counter()
    constants = {tensor.name for tensor in graph.initializer}
    kept = {graph.input[0].name, graph.output[0].name, ""}
    names: dict[str, str] = {name: name for name in kept}
    for node in graph.node:
        node.name = f"{node.op_type}_{counts[node.op_type]}"
        counts[node.op_type] += 1
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_out{place}")
        for place, name in enumerate(name for name in node.input if name in constants):
            names.setdefault(name, f"{node.name}_param{place}")
        for tensors in (node.input, node.output):
            for place, name in enumerate(tensors):
                tensors[place] = names.get(name, name)
    for tensor in (*graph.initializer, *graph.value_info):
        tensor.name = names.get(tensor.name, tensor.name)
    for note in graph.quantization_annotation:
        note.tensor_name = names.get(note.tensor_name, note.tensor_name)


def _number(node: Any) -> int:
    """Place of a Quant node among those of the file, in the order of execution."""
    return int(node.name.rpartition("_")[2])


def execute(
    path: Path, samples: NDArray[np.float64], own_convolutions: bool = True
) -> NDArray[np.float64]:
    """Logits of float samples, (samples, classes), node by node in float64.

    In float32 the order of summation decides activations that lie next to a rounding edge, so
    that two right executors differ. qonnx executes the nodes, ONNX Runtime behind it. It has no
    float64 average pooling and no float64 convolution: these are computed by PyTorch, or, without
    `own_convolutions`, convolutions as Im2Col and MatMul (qonnx's own transformation), which takes
    many times as long.
    """
    batch = min(BATCH, len(samples))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _in_float64(path, batch, lower_convolutions=not own_convolutions)
        entry, result = model.graph.input[0].name, model.graph.output[0].name
        parts = []
        for start in range(0, len(samples), batch):
            part = samples[start : start + batch]
            filled = np.zeros((batch, *samples.shape[1:]), dtype=np.float64)
            filled[: len(part)] = part
            parts.append(_run(model, entry, filled, {result})[result][: len(part)])
    return np.concatenate(parts)


def activations(path: Path, samples: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Integers after every activation, in order, each (samples, elements), channels innermost.

    samples: floats, as for `execute`; a handful, all run in one batch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _in_float64(path, len(samples), lower_convolutions=True)
        quants = [node for node in model.graph.node if node.op_type in QUANTIZERS]
        names = [
            node.output[0] for node in sorted(quants, key=_number) if not _of_weights(model, node)
        ]
        found = _run(model, model.graph.input[0].name, samples, set(names))
    integers = []
    for name in names[1:]:  # the first is the network's input
        stream = _as_image(model, name, found[name])
        last = np.moveaxis(stream, 1, -1) if stream.ndim == 4 else stream
        integers.append(np.rint(last).astype(np.int64).reshape(len(samples), -1))
    return integers


def _of_weights(model: Any, node: Any) -> bool:
    """Does a quantizer take a constant, divided by its scale or not?"""
    source = model.find_producer(node.input[0])
    names = (node.input[0], *(source.input[:1] if source is not None else ()))
    return any(model.get_initializer(name) is not None for name in names)


_POINTWISE = (
    "BipolarQuant",
    "Sign",
    "BatchNormalization",
    "Quant",
    "Relu",
    "Div",
    "Mul",
    "Round",
    "Clip",
    "Add",
    "Cast",
)
"""What a quantizer is made of, or follows, value by value."""


def _as_image(model: Any, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The values of a quantizer; those of a flattened image in the image's shape again."""
    maker = model.find_producer(name)
    while maker is not None and maker.op_type in _POINTWISE:
        maker = model.find_producer(maker.input[0])
    if maker is None or maker.op_type not in ("Flatten", "Reshape"):
        return values
    before = model.get_tensor_shape(maker.input[0])
    return values.reshape(len(values), *before[1:]) if len(before) == 4 else values


def integer_weights(path: Path) -> list[NDArray[np.int64]]:
    """Weights of every layer of the file on its integer grid, in order, (out, ...)."""
    from qonnx.core.modelwrapper import ModelWrapper

    model = ModelWrapper(str(path))
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    found = []
    for node in sorted(layers, key=lambda node: _number(model.find_producer(node.input[1]))):
        quant = model.find_producer(node.input[1])
        weight, scale, zero, bits = (model.get_initializer(name) for name in quant.input)
        kinds = {each.name: each for each in quant.attribute}
        narrow, signed = kinds["narrow"].i, kinds["signed"].i
        most = 2 ** (int(bits) - signed) - 1
        least = (-most if narrow else -most - 1) if signed else 0
        grid = np.round(weight.astype(np.float64) / scale.astype(np.float64) + zero)
        grid = np.clip(grid, least, most).astype(np.int64)
        stored = {each.name: each.i for each in node.attribute}
        swapped = node.op_type == "MatMul" or (node.op_type == "Gemm" and not stored.get("transB"))
        found.append(grid.T if swapped else grid)
    return found


def _run(
    model: Any, entry: str, samples: NDArray[np.float64], kept: Container[str]
) -> dict[str, NDArray[Any]]:
    """The `kept` tensors of one batch, among those in use at the end; others are let go.

    qonnx's Im2Col mixes up the samples of a batch (1.0.0), so it gets them one at a time.
    """
    from qonnx.core.onnx_exec import execute_node

    graph = model.graph
    context: dict[str, NDArray[Any]] = {
        tensor.name: model.get_initializer(tensor.name) for tensor in graph.initializer
    }
    context[entry] = samples
    last = {name: at for at, node in enumerate(graph.node) for name in node.input}
    opset = model.model.opset_import[0].version
    for at, node in enumerate(graph.node):
        for name in node.output:
            context[name] = np.empty(0)  # qonnx looks for a place to write to
        if node.op_type == "Im2Col":
            source, result = node.input[0], node.output[0]
            images, parts = context[source], []
            for image in images:
                context[source] = image[None]
                execute_node(node, context, graph, opset)
                parts.append(context[result])
            context[source], context[result] = images, np.concatenate(parts)
        elif node.op_type in _OWN:
            inputs = [context[name] for name in node.input if name]
            context[node.output[0]] = _OWN[node.op_type](node, inputs)
        else:
            execute_node(node, context, graph, opset)
        for name in node.input:
            if last[name] == at and name not in kept:
                context.pop(name, None)
    return context


def _convolve(node: Any, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    import torch

    stored = _attributes(node, {"kernel_shape", "strides", "pads", "group", "dilations"})
    tensors = [torch.from_numpy(np.ascontiguousarray(each)) for each in inputs]
    padded = torch.nn.functional.pad(tensors[0], _padding(stored))
    result: NDArray[np.float64] = torch.nn.functional.conv2d(
        padded,
        tensors[1],
        tensors[2] if len(tensors) > 2 else None,
        stride=stored.get("strides", [1, 1]),
        dilation=stored.get("dilations", [1, 1]),
        groups=stored.get("group", 1),
    ).numpy()
    return result


def _average(node: Any, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    import torch

    known = {"kernel_shape", "strides", "pads", "ceil_mode", "count_include_pad"}
    stored = _attributes(node, known)
    pads = stored.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        raise ValueError(f"{node.name}: uneven padding {pads}")
    result: NDArray[np.float64] = torch.nn.functional.avg_pool2d(
        torch.from_numpy(np.ascontiguousarray(inputs[0])),
        stored["kernel_shape"],
        stored.get("strides", [1, 1]),
        pads[:2],
        ceil_mode=bool(stored.get("ceil_mode", 0)),
        count_include_pad=bool(stored.get("count_include_pad", 0)),
    ).numpy()
    return result


def _average_all(node: Any, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    _attributes(node, set())
    result: NDArray[np.float64] = inputs[0].mean(axis=(2, 3), keepdims=True)
    return result


def _repeat(node: Any, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Resize by whole factors, each value as often as they tell."""
    stored = _attributes(
        node, {"mode", "nearest_mode", "coordinate_transformation_mode", "cubic_coeff_a"}
    )
    factors = np.rint(inputs[-1]).astype(int).tolist()
    if stored["mode"] != b"nearest" or not np.array_equal(factors, inputs[-1]):
        raise ValueError(f"{node.name}: {stored['mode']!r} by {inputs[-1]} has no execution")
    result = inputs[0]
    for axis, factor in enumerate(factors):
        result = np.repeat(result, factor, axis)
    return result


def _attributes(node: Any, known: Container[str]) -> dict[str, Any]:
    """Attributes of a node by name. Raises ValueError for one that is not in `known`."""
    from onnx import helper

    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    for name, value in found.items():
        if name not in known and value not in (b"NOTSET", "NOTSET"):
            raise ValueError(f"{node.name}: {name} = {value!r} has no float64 execution")
    return found


def _padding(stored: Mapping[str, Any]) -> list[int]:
    """torch's order, the last axis first, of ONNX's pads (top, left, bottom, right)."""
    top, left, bottom, right = stored.get("pads", [0, 0, 0, 0])
    return [left, right, top, bottom]


def _sign(node: Any, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Sign, and BipolarQuant with a scale of its own; a sum of steps that is zero has none."""
    x = inputs[0].astype(np.float64)
    least = NO_VALUE * float(np.abs(x).max(initial=0.0))
    if node.op_type == "Sign":
        return np.asarray(np.where(np.abs(x) <= least, 0.0, np.sign(x)))
    return np.asarray(np.where(x >= -least, 1.0, -1.0) * inputs[1])


_OWN: dict[str, Callable[[Any, list[NDArray[Any]]], NDArray[np.float64]]] = {
    "Conv": _convolve,
    "AveragePool": _average,
    "GlobalAveragePool": _average_all,
    "Resize": _repeat,
    "Sign": _sign,
    "BipolarQuant": _sign,
}


def _in_float64(path: Path, batch: int, lower_convolutions: bool) -> Any:
    """A copy of the model with this batch size, every float tensor of double precision."""
    from onnx import TensorProto, helper, numpy_helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul

    model = ModelWrapper(str(path))
    if lower_convolutions:
        _without_groups(model)
        model = model.transform(LowerConvsToMatMul())
    for step in (InferShapes(), InferDataTypes()):
        model = model.transform(step)
    graph = model.model.graph
    for name in {name for node in graph.node for name in node.output}:
        if model.get_tensor_datatype(name) == DataType["BIPOLAR"]:
            model.set_tensor_datatype(name, DataType["INT2"])  # Im2Col pads it with 0
    flowing = {graph.input[0].name}
    for node in graph.node:
        while node.input[-1] == "":  # qonnx takes an input left out for a tensor
            del node.input[-1]
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


def _without_groups(model: Any) -> None:
    """Grouped convolutions become whole ones with zeros, as Im2Col knows no groups."""
    for node in model.graph.node:
        groups = [each for each in node.attribute if each.name == "group" and each.i > 1]
        if node.op_type != "Conv" or not groups:
            continue
        name = model.find_producer(node.input[1]).input[0]
        weight = model.get_initializer(name)
        parts = np.split(weight, groups[0].i)
        width = weight.shape[1]
        whole = np.zeros((len(weight), width * len(parts), *weight.shape[2:]), weight.dtype)
        for at, part in enumerate(parts):
            rows = slice(at * len(part), (at + 1) * len(part))
            whole[rows, at * width : (at + 1) * width] = part
        model.set_initializer(name, whole)
        model.set_tensor_shape(node.input[1], list(whole.shape))
        groups[0].i = 1


def _scale_outside(model: Any) -> None:
    """Quant(x, s) becomes Cast(Quant(x / s, 1)) * s: qonnx's Quant rounds its result to float32,
    which is exact for integers only."""
    from onnx import TensorProto, helper

    graph = model.model.graph
    one = "liftflow_one"
    model.set_initializer(one, np.asarray(1.0, dtype=np.float64))
    for quant in [node for node in graph.node if node.op_type == "BipolarQuant"]:
        shape = model.get_tensor_shape(quant.output[0])
        name, scale, result = f"{quant.output[0]}_sign", quant.input[1], quant.output[0]
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape))
        quant.input[1], quant.output[0] = one, name
        after = helper.make_node("Mul", [name, scale], [result])
        graph.node.insert(list(graph.node).index(quant) + 1, after)
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
