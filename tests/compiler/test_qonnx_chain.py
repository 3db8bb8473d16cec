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

from compiler.pricing.source import Widths
from compiler.qonnx.read import read_qonnx
from hw_targets.errors import LiftFlowError
from hw_targets.network import LayerShape, NetworkShape


@pytest.mark.parametrize("name", ["odd", "strided", "dense_on_images", "pointwise", "one_layer"])
def test_our_own_exports_are_the_networks_they_came_from(name: str) -> None:
    found = chain(name)
    network, widths, notes = read_qonnx(found.exported.path)
    expected = found.exported.network
    # Of a file even the fractions that float32 makes of whole biases are ordered.
    named = [
        dataclasses.replace(layer, name=own.name, rank_bits=0)
        for layer, own in zip(network.layers, expected.layers, strict=True)
    ]
    alike = dataclasses.replace(network, name=expected.name, layers=tuple(named), foreign=False)
    assert alike == expected
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
        foreign=True,
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
    # The quantizer decides between logits, so hardware has it.
    assert network.quantized_end
    assert [(unit.kind, unit.width) for unit in network.units] == [("layer", 0), ("quant", 8)]
    assert notes == ()


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


def normed(gain: float, *, behind: str = "") -> File:
    """A norm behind a convolution, or behind its `behind`."""
    file = image().conv(4, 2, 3)
    if behind:
        file.add(behind)
    file.add("BatchNormalization", *[file.constant(np.full(4, each)) for each in (gain, 1, 1, 1)])
    return hidden(file).add("Flatten").matmul(144, 3)


def weighted(kind: str) -> File:
    file = File(8).quant(8)
    return file.add("MatMul", file.node(kind, file.constant(np.ones((8, 4)))))


MAXIMUM = {"kernel_shape": [3, 3], "strides": [2, 2]}

READ: dict[str, tuple[Callable[[], File], list[str]]] = {
    "branches": (joined, ["layer", "relu", "layer", "relu", "add", "layer"]),
    "bipolar activations": (
        lambda: (lambda f: f.add("BipolarQuant", f.constant(0.5)))(dense()).matmul(4, 3),
        [],
    ),
    "averages": (
        lambda: hidden(image().conv(4, 2, 3)).add("GlobalAveragePool").quant(4).add("Flatten")
        .matmul(4, 3),
        ["layer", "relu", "average", "quant", "flatten", "layer"],
    ),
    "weights of 1 bit": (lambda: File(8).quant(8).matmul(8, 4, bits=1), []),
    "weights without sign": (lambda: File(8).quant(8).matmul(8, 4, signed=False), []),
    "weights by hand": (
        lambda: (lambda f: f.add("MatMul", f.constant(np.ones((8, 4)))))(File(8).quant(8)),
        [],
    ),
    "weights computed": (lambda: weighted("Abs"), []),
    "signed activations": (
        lambda: dense().quant(4, True).matmul(4, 3), ["layer", "quant", "layer"]
    ),
    "two quantizers": (
        lambda: hidden(dense()).quant(3).matmul(4, 3), ["layer", "relu", "quant", "layer"]
    ),
    "quantizer last": (lambda: hidden(dense()), ["layer", "quant"]),
    "image last": (lambda: image().conv(4, 2, 3), []),
    "grouped": (lambda: image().conv(4, 1, 3, group=2), ["layer"]),
    "dilated": (lambda: image().conv(4, 2, 3, dilations=[2, 2]), ["layer"]),
    "uneven padding": (lambda: image().conv(4, 2, 3, pads=[0, 0, 1, 1]), []),
    "padding to be found": (lambda: image().conv(4, 2, 3, auto_pad="SAME_UPPER"), []),
    "overlapping pooling": (
        lambda: hidden(image().conv(4, 2, 3)).add("MaxPool", **MAXIMUM).add("Flatten")
        .matmul(16, 3),
        ["layer", "relu", "max", "flatten", "layer"],
    ),
    "pooling first": (
        lambda: image().add("MaxPool", **MAXIMUM).conv(4, 2, 3), ["max", "layer"]
    ),
    "norm that turns the sign": (lambda: normed(-1), []),
    "norm behind a ReLU": (lambda: normed(1, behind="Relu"), []),
    "a signal": (
        lambda: (lambda f: f.add("Conv", f.weights(4, 2, 3)))(File(2, 9).quant(8)),
        ["unsqueeze", "layer"],
    ),
}  # fmt: skip
"""Files by what is special in them, and the units that they become; none for a chain."""


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str, tmp_path: Path) -> None:
    make, kinds = READ[name]
    network, widths, _ = read_qonnx(make().write(tmp_path / "a.onnx"))
    assert [unit.kind for unit in network.units] == kinds
    assert all(bits in range(1, 9) for bits in widths.weights)


def test_padding_that_onnx_leaves_open(tmp_path: Path) -> None:
    for kind, expected in (("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0))):
        file = image().conv(4, 2, 3, auto_pad=kind, strides=[2, 2])
        network, _, _ = read_qonnx(file.write(tmp_path / "a.onnx"))
        assert network.layers[0].padding == expected
        assert network.layers[0].out_size == (4, 4)


REFUSED: dict[str, tuple[Callable[[], File], str]] = {
    "activations multiplied": (two_flows, r"\(MatMul\): it multiplies activations"),
    "truncation": (
        lambda: (lambda f: f.add("Trunc", *map(f.constant, (1.0, 0.0, 8.0, 4.0))))(
            hidden(dense())
        ),
        r"\(Trunc\): it cuts bits off without rounding.*; use AveragePool and a Quant",
    ),
    "no kernel": (lambda: dense().add("Sigmoid"), r"\(Sigmoid\): no kernel computes it"),
    "weights as floats": (
        lambda: (lambda f: f.add("MatMul", f.constant(np.linspace(0, 1, 32).reshape(8, 4))))(
            File(8).quant(8)
        ),
        r"\(MatMul\): its weights have no Quant node",
    ),
    "weights of 0 bits": (lambda: File(8).quant(8).matmul(8, 4, bits=0), "0-bit weights"),
    "half a bit": (lambda: File(8).quant(7.5).matmul(8, 4), "not one whole constant"),
    "zero points": (lambda: File(8).quant(8, zero=3).matmul(8, 4), "zero point is not 0"),
    "scales by channel": (
        lambda: dense().add("Relu").quant(4, scale=np.arange(1, 5)).matmul(4, 3),
        "scale differs from channel to channel",
    ),
    "wide activations": (
        lambda: dense().add("Relu").quant(12).matmul(4, 3),
        "12-bit activations have no kernel; use 1 to 8 bits",
    ),
    "nothing quantized between": (
        lambda: dense().add("Relu").matmul(4, 3),
        r"matmul5 \(MatMul\): nothing quantizes what it takes",
    ),
    "activation last": (lambda: dense().add("Relu"), "last layer has an activation"),
    "too large a kernel": (lambda: image().conv(4, 2, 9), "do not fit"),
    "padded pooling of values with a sign": (
        lambda: image().conv(4, 2, 3).quant(4, True)
        .add("MaxPool", kernel_shape=[3, 3], pads=[1] * 4),
        r"\(MaxPool\): it pads values that may be negative",
    ),
    "not flattened": (
        lambda: hidden(image().conv(4, 2, 3)).matmul(144, 3),
        r"takes 144 features and gets 4 x 6 x 6; flatten",
    ),
    "norm that turns the sign behind a ReLU": (
        lambda: normed(-1, behind="Relu"), "not above 0; put it before the ReLU"
    ),
    "norm of no gain": (lambda: normed(0), "it scales by 0"),
    "input without a fixed shape": (lambda: File("n").quant(8).matmul(8, 4), "no fixed shape"),
    "no layer": (lambda: File(8).quant(8), "no Conv, MatMul or Gemm"),
    "floats": (lambda: File(8).add("Relu"), "no quantizers.*export QONNX from Brevitas"),
    "QCDQ": (
        lambda: File(8).add("DequantizeLinear", "s"),
        "QuantizeLinear and DequantizeLinear; export QONNX from Brevitas",
    ),
    "QCDQ in part": (
        lambda: weighted("DequantizeLinear"),
        r"\(DequantizeLinear\): its bits are not told; export QONNX",
    ),
    "outputs whose bias is no whole number": (
        lambda: (lambda f: f.add("Conv", f.weights(4, 2, 3, 3), f.constant([0.0, 0.2, 1.0, 2.0])))(
            image()
        ),
        r"\(Conv\): its outputs are the answer, and their bias is no multiple of 0.25, the step of "
        "its sums; quantize the bias with that scale",
    ),
    "weights of -128 that are turned": (
        lambda: (lambda f: hidden(f.add("MatMul", f.constant(np.full((8, 4), -128))).add("Neg")))(
            File(8).quant(8)
        ).matmul(4, 3),
        "its weights have no opposites of 8 bits; quantize them narrow, without -128",
    ),
    "FINN's": (lambda: File(8).add("MultiThreshold", "s"), "lowered by FINN already"),
    "rounding unheard of": (
        lambda: (lambda f: (f.nodes[0].attribute.pop(), f.nodes[0].attribute.append(
            onnx.helper.make_attribute("rounding_mode", "DICE")), f)[2])(dense()),
        "it rounds by DICE, which QONNX does not know",
    ),
}  # fmt: skip


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = hidden(dense()).add("Sigmoid")
    file.last = file.nodes[-1].input[0]
    file.matmul(4, 3, bits=12).add("Relu").quant(4, zero=1.0).matmul(3, 3)
    path = file.add("Tanh").write(tmp_path / "a.onnx")
    with pytest.raises(LiftFlowError) as refused:
        read_qonnx(path)
    told = str(refused.value)
    assert told.startswith(f"{path}: 3 nodes have no hardware: node matmul")
    assert "(Quant): its zero point is not 0; quantize symmetrically" in told
    assert "12-bit weights have no kernel; quantize them to 1 to 8 bits" in told
    assert "(Tanh): no kernel computes it; use Clip and a quantizer" in told
    assert "\n" not in told


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
