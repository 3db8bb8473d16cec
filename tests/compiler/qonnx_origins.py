"""QONNX files as other programs make them, small enough to be simulated in seconds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx_case import File


def shipped(name: str) -> Path:
    """A file of the qonnx package's own data."""
    import qonnx

    return Path(qonnx.__file__).parent / "data" / "onnx" / name


def espcn(path: Path, side: int = 6) -> Path:
    """The quantized super-resolution network that qonnx ships, for images of `side` pixels.

    It is fully convolutional, so that nothing but the shape of its input changes; its 64 channels
    are cut to 8, that simulation ends soon.
    """
    proto = onnx.load(str(shipped("bsd300x3-espcn/nn_resize/quant_model.onnx")))
    graph = proto.graph
    kept = {"conv1": 8, "conv2": 8, "conv3": 4}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    widths = [*kept.values(), 3]
    values = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    into = 3
    for node, out in zip(convs, widths, strict=True):
        quant = makers[node.input[1]]
        for name in (*quant.input[:2], node.input[2]):
            array = numpy_helper.to_array(values[name])[:out]
            array = array[:, :into] if name == quant.input[0] else array
            values[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))
        into = out
    for node, out in zip((n for n in graph.node if n.op_type == "BatchNormalization"), widths,
                         strict=False):  # fmt: skip
        for name in node.input[1:]:
            array = np.ascontiguousarray(numpy_helper.to_array(values[name])[:out])
            values[name].CopyFrom(numpy_helper.from_array(array, name))
    entry = graph.input[0]
    del graph.input[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(entry.name, 1, (1, 3, side, side)))
    output = graph.output[0].name
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    onnx.save(proto, str(path))
    return path


def tfc(path: Path, weight_bits: int, act_bits: int) -> Path:
    """FINN's TFC of the QONNX model zoo ("FINN-TFC_W1A1" and its kin), 6 x 6 pixels and 12 wide.

    The zoo's files have to be downloaded; the nodes are theirs: Reshape, 2x - 1 at the input, a
    quantizer, and for each layer MatMul, BatchNormalization and quantizer.
    """
    rng = np.random.default_rng(weight_bits)
    file = File(1, 6, 6)
    file.add("Reshape", file.integers(1, -1)).add("Mul", file.constant(2.0))
    file.add("Sub", file.constant(1.0))

    def act() -> None:
        if act_bits == 1:
            file.add("BipolarQuant", file.constant(1.0))
        else:
            file.quant(act_bits, signed=True, scale=1.0)

    def weights(*shape: int) -> str:
        drawn = file.constant(rng.normal(size=shape))
        if weight_bits == 1:
            return file.node("BipolarQuant", drawn, file.constant(1.0))
        return file.quantized(drawn, weight_bits, scale=0.5)

    act()
    for into, out in ((36, 12), (12, 12)):
        file.add("MatMul", weights(into, out))
        norm = (rng.uniform(0.3, 2, out) * rng.choice([-1, 1], out), rng.normal(size=out),
                rng.normal(size=out), rng.uniform(1, 9, out))  # fmt: skip
        file.add("BatchNormalization", *map(file.constant, norm))
        act()
    file.add("MatMul", weights(12, 5)).add("Mul", file.constant(0.3))
    return file.add("Add", file.constant(rng.normal(size=1))).write(path)


def keras(path: Path, batch: str | int = "unk__1") -> Path:
    """As `qonnx.converters.keras` writes a QKeras network of Conv2D, MaxPooling2D and Dense.

    By its source (qonnx, src/qonnx/converters/keras.py and qkeras/): tf2onnx makes the graph,
    images are turned to channels first before a convolution and back behind it, kernels are
    initializers that a Transpose turns, `quantized_bits(b, i)` is a Quant of a power of two,
    rounding "ROUND", `quantized_relu` an unsigned one behind a Relu; weights, biases and
    activations have one each. QKeras itself is not needed: the nodes are put together here.
    """
    rng = np.random.default_rng(7)
    file = File(6, 6, 2)

    def drawn(*shape: int, bits: int = 4, scale: float = 2.0**-3) -> str:
        return file.quantized(file.constant(rng.normal(size=shape) / 2), bits, scale=scale)

    file.shape = (batch, 6, 6, 2)
    file.quant(6, signed=True, scale=2.0**-5)
    file.add("Transpose", perm=[0, 3, 1, 2])
    kernel = drawn(3, 3, 2, 5)
    kernel = file.node("Transpose", kernel, perm=[3, 2, 0, 1])
    bias = drawn(5, bits=5, scale=2.0**-4)
    file.add("Conv", kernel, bias, auto_pad="SAME_UPPER", strides=[1, 1], kernel_shape=[3, 3])
    file.add("Relu").quant(4, scale=2.0**-2)
    file.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    file.add("Transpose", perm=[0, 2, 3, 1])
    file.add("Reshape", file.integers(-1, 45))
    file.add("MatMul", drawn(45, 8))
    file.add("Add", drawn(8, bits=5, scale=2.0**-4))
    file.add("Relu").quant(3, scale=2.0**-1)
    file.add("MatMul", drawn(8, 4))
    file.add("Add", drawn(4, bits=8, scale=2.0**-7))
    return file.add("Softmax", axis=-1).write(path)


def xnor(path: Path, padded: bool = False) -> Path:
    """By hand: signs of weights as plain initializers, Sign and BipolarQuant of activations."""
    rng = np.random.default_rng(int(padded))
    file = File(3, 6, 6).quant(8, signed=True, scale=1.0)

    def signs(*shape: int) -> str:
        return file.constant(rng.choice([-1.0, 1.0], shape))

    pads = [1, 1, 1, 1] if padded else [0, 0, 0, 0]
    file.add("Conv", signs(6, 3, 3, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    file.add("BipolarQuant", file.constant(1.0))
    file.add("Conv", signs(8, 6, 3, 3), kernel_shape=[3, 3], pads=pads)
    file.add("Sign").add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).add("Flatten")
    size = 3 if padded else 2
    file.add("MatMul", signs(8 * size * size, 10)).add("BipolarQuant", file.constant(0.5))
    return file.add("MatMul", signs(10, 4)).write(path)


def brevitas(path: Path) -> Path:
    """Exported by Brevitas from quant layers of its own, with its own defaults for scales."""
    import brevitas.nn as qnn
    import torch
    from brevitas.export import export_qonnx
    from torch import nn

    torch.manual_seed(3)

    class Block(nn.Module):
        """A residual block: both arms share a quantizer."""

        def __init__(self) -> None:
            super().__init__()
            self.shared = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
            self.conv = qnn.QuantConv2d(6, 6, 3, padding=1, bias=False, weight_bit_width=3)
            self.norm = nn.BatchNorm2d(6)
            self.act = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.shared(x)
            return self.act(x + self.shared(self.norm(self.conv(x))))

    network = nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantConv2d(2, 6, 3, padding=1, weight_bit_width=4, bias=False),
        nn.BatchNorm2d(6),
        qnn.QuantReLU(bit_width=3, return_quant_tensor=True),
        Block(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        qnn.QuantLinear(54, 4, bias=True, weight_bit_width=4),
    )
    frames = torch.randn(64, 2, 6, 6)
    for _ in range(3):
        network(frames)  # sets scales and moments
    network.eval()
    network(frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(network, args=frames[:1], export_path=str(path), dynamo=False)
    return path


def by_qonnx(path: Path, frames: NDArray[Any], output: str = "") -> NDArray[np.float32]:
    """Outputs of frames, as the file has its input, by qonnx's cleanup and executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    proto = onnx.load(str(path))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = cleanup_model(ModelWrapper(proto))
        entry, end = model.graph.input[0].name, model.graph.output[0].name
        found = [
            execute_onnx(model, {entry: frame[None].astype(np.float32)})[end] for frame in frames
        ]
    return np.concatenate(found)
