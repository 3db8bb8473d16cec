"""QONNX files as layers: what is read, and what is refused by node, reason and mend."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from qonnx_case import File, small
from quant_chain import CASES, chain

from compiler.pricing.qonnx_chain import read_qonnx
from compiler.pricing.source import Widths
from hw_targets.errors import LiftFlowError
from hw_targets.network import LayerShape, NetworkShape


@pytest.mark.parametrize("name", ["odd", "strided", "dense_on_images", "pointwise", "one_layer"])
def test_our_own_exports_are_the_networks_they_came_from(name: str) -> None:
    found = chain(name)
    network, widths, notes = read_qonnx(found.exported.path)
    expected = found.exported.network
    named = [
        dataclasses.replace(layer, name=own.name)
        for layer, own in zip(network.layers, expected.layers, strict=True)
    ]
    assert dataclasses.replace(network, name=expected.name, layers=tuple(named)) == expected
    case, hidden = CASES[name], len(expected.layers) - 1
    assert widths == Widths((case.weight_bits,) * (hidden + 1), (*[case.act_bits] * hidden, 0))
    assert notes == ()


def test_every_layer_has_its_own_bits(tmp_path: Path) -> None:
    network, widths, _ = read_qonnx(small().write(tmp_path / "small.onnx"))
    assert network == NetworkShape(
        "small",
        (
            LayerShape("conv2", "conv", 2, 8, (8, 8), (3, 3), padding=(1, 1, 1, 1), pool=2),
            LayerShape("matmul9", "dense", 128, 16),
            LayerShape("matmul14", "dense", 16, 4, activation=False),
        ),
        (2, 8, 8),
        6,
        False,
        4,
    )
    assert widths == Widths((3, 4, 6), (5, 4, 0))


def test_layers_are_called_as_their_weights(tmp_path: Path) -> None:
    file = File(8).quant(8).add("Gemm")
    file.nodes.pop()
    weights = file.weights(4, 8, name="head.fc.weight")
    file.last = file.nodes[0].output[0]
    network, _, _ = read_qonnx(file.add("Gemm", weights, transB=1).write(tmp_path / "a.onnx"))
    assert [(e.name, e.in_channels, e.out_channels) for e in network.layers] == [("head.fc", 8, 4)]


def test_a_signed_quantizer_behind_a_relu_has_a_bit_less(tmp_path: Path) -> None:
    file = File(8).quant(8, True).matmul(8, 4).add("Relu").quant(5, True).matmul(4, 3)
    network, widths, notes = read_qonnx(file.write(tmp_path / "a.onnx"))
    assert network.input_signed
    assert widths.acts == (4, 0)
    assert "5 bits with a sign behind a ReLU are 4 without" in notes[0]


def test_what_follows_the_logits_is_no_layer(tmp_path: Path) -> None:
    file = File(8).quant(8).matmul(8, 4)
    file.add("Mul", file.constant(0.5)).quant(8, True).add("Softmax").add("ArgMax")
    network, widths, notes = read_qonnx(file.write(tmp_path / "a.onnx"))
    assert len(network.layers) == 1
    assert widths == Widths((4,), (0,))
    assert "quantizer of the logits" in notes[0]


def test_constants_in_nodes_and_transposed_weights_are_seen(tmp_path: Path) -> None:
    """As Brevitas writes them before qonnx-cleanup."""
    file = File(8)
    value = onnx.numpy_helper.from_array(np.asarray(7.0, np.float32))
    bits = file.node("Constant", value=value)
    scale, zero = file.constant(1.0), file.constant(0.0)
    file.last = file.node("Quant", "x", scale, zero, bits, signed=0)
    weights = file.node("Transpose", file.weights(4, 8), perm=[1, 0])
    network, _, _ = read_qonnx(file.add("MatMul", weights).write(tmp_path / "a.onnx"))
    assert network.input_bits == 7
    assert (network.layers[0].in_channels, network.layers[0].out_channels) == (8, 4)


def test_bipolar_weights_have_one_bit(tmp_path: Path) -> None:
    file = File(8).quant(8)
    signs = file.node("BipolarQuant", file.constant(np.ones((8, 4))), file.constant(1.0))
    network, widths, _ = read_qonnx(file.add("MatMul", signs).write(tmp_path / "a.onnx"))
    assert (network.layers[0].in_channels, network.layers[0].out_channels) == (8, 4)
    assert widths == Widths((1,), (0,))


def test_an_input_without_a_quantizer_is_given_its_bits(tmp_path: Path) -> None:
    path = File(8).matmul(8, 4).write(tmp_path / "a.onnx")
    with pytest.raises(LiftFlowError, match=r"matmul1 .* input before it has no .* --input-bits"):
        read_qonnx(path)
    network, _, _ = read_qonnx(path, 8)
    assert (network.input_bits, network.input_signed) == (8, False)
    network, _, _ = read_qonnx(path, 5, True)
    assert (network.input_bits, network.input_signed) == (5, True)
    quantized = small().write(tmp_path / "b.onnx")
    with pytest.raises(LiftFlowError, match="leave out --input-bits"):
        read_qonnx(quantized, 8)


def dense() -> File:
    return File(8).quant(8).matmul(8, 4)


def image() -> File:
    return File(2, 8, 8).quant(8)


def hidden(file: File) -> File:
    return file.add("Relu").quant(4)


def joined() -> File:
    file = hidden(dense())
    branch = file.last
    return hidden(file.matmul(4, 4)).add("Add", branch).matmul(4, 3)


def two_flows() -> File:
    file = hidden(dense())
    return file.add("MatMul", file.node("Identity", file.last))


REFUSED: dict[str, tuple[Callable[[], File], str]] = {
    "branches": (joined, r"goes to 2 nodes .* chains; leave the branches out"),
    "activations multiplied": (two_flows, r"goes to 2 nodes"),
    "bipolar activations": (
        lambda: dense().add("BipolarQuant", "scale").matmul(4, 3),
        r"\(BipolarQuant\): 1 bit with a sign has no kernel; quantize to 2 to 8 bits",
    ),
    "average pooling": (
        lambda: hidden(image().conv(4, 2, 3)).add("GlobalAveragePool").matmul(4, 3),
        r"globalaveragepool\d+ \(GlobalAveragePool\): average pooling has no kernel",
    ),
    "truncation": (lambda: hidden(dense()).add("Trunc"), r"\(Trunc\): truncation"),
    "no kernel": (lambda: dense().add("Sigmoid"), r"\(Sigmoid\): no kernel computes it"),
    "weights as floats": (
        lambda: (lambda f: f.add("MatMul", f.constant(np.ones((8, 4)))))(File(8).quant(8)),
        r"\(MatMul\): its weights have no Quant node",
    ),
    "weights of 1 bit": (
        lambda: File(8).quant(8).matmul(8, 4, bits=1),
        "weights of -1 and 0 have no kernel",
    ),
    "weights of 0 bits": (lambda: File(8).quant(8).matmul(8, 4, bits=0), "0-bit weights"),
    "half a bit": (lambda: File(8).quant(7.5).matmul(8, 4), "not one whole constant"),
    "weights without sign": (
        lambda: File(8).quant(8).matmul(8, 4, signed=False),
        "weights without sign",
    ),
    "zero points": (lambda: File(8).quant(8, zero=3).matmul(8, 4), "zero point is not 0"),
    "scales by channel": (
        lambda: dense().add("Relu").quant(4, scale=np.ones(4)).matmul(4, 3),
        "scale differs from channel to channel",
    ),
    "wide activations": (
        lambda: dense().add("Relu").quant(12).matmul(4, 3),
        "12-bit activations have no kernel; use 1 to 8 bits",
    ),
    "signed activations": (lambda: dense().quant(4, True).matmul(4, 3), "keep their sign"),
    "nothing quantized between": (
        lambda: dense().add("Relu").matmul(4, 3),
        r"matmul2 \(MatMul\): nothing quantizes what it gives",
    ),
    "two quantizers": (lambda: hidden(dense()).quant(3).matmul(4, 3), "second quantizer"),
    "activation last": (lambda: hidden(dense()), "last layer has an activation"),
    "image last": (lambda: image().conv(4, 2, 3), "gives an image"),
    "grouped": (lambda: image().conv(4, 1, 3, group=2), "grouped convolutions"),
    "dilated": (lambda: image().conv(4, 2, 3, dilations=[2, 2]), "dilated"),
    "uneven padding": (lambda: image().conv(4, 2, 3, pads=[0, 0, 1, 1]), "side to side"),
    "padding not given": (
        lambda: image().conv(4, 2, 3, auto_pad="SAME_UPPER"),
        "not given in numbers",
    ),
    "too large a kernel": (lambda: image().conv(4, 2, 9), "do not fit"),
    "overlapping pooling": (
        lambda: hidden(image().conv(4, 2, 3)).add("MaxPool", kernel_shape=[3, 3], strides=[2, 2]),
        "MaxPool2d",
    ),
    "pooling first": (lambda: image().add("MaxPool", kernel_shape=[2, 2]), "before the first"),
    "not flattened": (
        lambda: hidden(image().conv(4, 2, 3)).matmul(144, 3),
        r"takes 144 features and gets 4 x 6 x 6; flatten",
    ),
    "norm behind pooling": (
        lambda: (
            lambda f: f.add("BatchNormalization", *[f.constant(np.ones(4)) for _ in range(4)])
        )(image().conv(4, 2, 3).add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])),
        "scales between",
    ),
    "input without a fixed shape": (lambda: File("n").quant(8).matmul(8, 4), "no fixed shape"),
    "sizes computed": (
        lambda: (lambda f: (f.node("Shape", f.last), f)[1])(hidden(image().conv(4, 2, 3))).add(
            "Flatten"
        ),
        "sizes are computed in the graph; run qonnx-cleanup",
    ),
    "no layer": (lambda: File(8).quant(8), "no Conv, MatMul or Gemm"),
    "floats": (lambda: File(8).add("Relu"), "no quantizers.*export QONNX from Brevitas"),
    "QCDQ": (
        lambda: File(8).add("DequantizeLinear", "s"),
        "QuantizeLinear and DequantizeLinear; export QONNX from Brevitas",
    ),
    "QCDQ in part": (
        lambda: (
            lambda f: f.add("MatMul", f.node("DequantizeLinear", f.constant(np.ones((8, 4)))))
        )(File(8).quant(8)),
        r"\(DequantizeLinear\): its bits are not told; export QONNX",
    ),
    "weights computed": (
        lambda: (lambda f: f.add("MatMul", f.node("Abs", f.constant(np.ones((8, 4))))))(
            File(8).quant(8)
        ),
        r"\(Abs\): what it makes of constants is not read; run qonnx-cleanup",
    ),
    "FINN's": (lambda: File(8).add("MultiThreshold", "s"), "lowered by FINN already"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_hardware_cannot_compute_is_refused(name: str, tmp_path: Path) -> None:
    make, said = REFUSED[name]
    path = make().write(tmp_path / "a.onnx")
    with pytest.raises(LiftFlowError, match=said) as refused:
        read_qonnx(path)
    assert str(path) in str(refused.value)
    assert refused.value.mend


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"hello, this is no model\n", "not an ONNX file"),
        (bytes(range(256)) * 4, "not an ONNX file"),
    ],
)
def test_rubbish_is_told_from_onnx(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(LiftFlowError, match=said):
        read_qonnx(path)
