"""prepare: the IR it gives, that it computes the same, and what it refuses."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from chain_case import SHAPE, context, float_model, small_net
from torch import Tensor, nn

from hw_targets.errors import UnsupportedError, VerificationError
from passes import prepare
from passes._graph import ir_text
from passes.prepare import Prepare, require_support, support

GOLDEN = """\
x -> (2, 8, 8)
conv1: Conv2d(2, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) -> (8, 8, 8)
relu_1: ReLU() -> (8, 8, 8)
conv2: Conv2d(8, 12, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)) -> (12, 4, 4)
relu_2: ReLU() -> (12, 4, 4)
maxpool_1: MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False) -> (12, 2, 2)
flatten_1: Flatten(start_dim=1, end_dim=-1) -> (48,)
fc1: Linear(in_features=48, out_features=16, bias=True) -> (16,)
relu_3: ReLU() -> (16,)
fc2: Linear(in_features=16, out_features=4, bias=True) -> (4,)
"""


def ir(net: nn.Module, folder: Path, shape: tuple[int, ...] = SHAPE) -> str:
    """The prepared graph's text; running the pass proves it equal to `net`."""
    net.eval()
    prepared = Prepare().run(float_model(net, shape), context(folder, net, shape))
    return ir_text(prepared.module, shape)


def test_golden_ir_and_network_shape(tmp_path: Path) -> None:
    net = small_net()
    ctx = context(tmp_path, net)
    got = Prepare().run(float_model(net), ctx)
    assert ir_text(got.module, SHAPE) == GOLDEN
    assert (tmp_path / "prepared.txt").read_text() == GOLDEN
    assert [check.passed for check in ctx.checks] == [True, True]
    assert got.accuracy == 1.0
    assert got.network is not None
    assert [
        (s.name, s.kind, s.matrix, s.in_size, s.pool, s.activation) for s in got.network.layers
    ] == [
        ("conv1", "conv", (18, 8), (8, 8), 1, True),
        ("conv2", "conv", (72, 12), (8, 8), 2, True),
        ("fc1", "dense", (48, 16), (1, 1), 1, True),
        ("fc2", "dense", (16, 4), (1, 1), 1, False),
    ]
    assert got.network.macs == 18 * 8 * 64 + 72 * 12 * 16 + 48 * 16 + 16 * 4


def test_result_survives_pickling(tmp_path: Path) -> None:
    net = small_net()
    got = Prepare().run(float_model(net), context(tmp_path, net))
    again = pickle.loads(pickle.dumps(got))
    assert ir_text(again.module, SHAPE) == GOLDEN
    assert repr(again.module) == repr(got.module)
    x = torch.randn(4, *SHAPE)
    assert torch.equal(again.module(x), got.module(x))


def test_users_module_is_left_alone(tmp_path: Path) -> None:
    net = small_net()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    Prepare().run(float_model(net), context(tmp_path, net))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_sequential_shared_relu_and_dotted_names(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU(inplace=True)
            self.features = nn.Sequential(
                nn.Conv2d(2, 4, 2), nn.Identity(), nn.MaxPool2d(2), nn.MaxPool2d(2, 2), self.relu
            )
            self.head = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, affine=False), self.relu)
            self.last = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.log_softmax(self.last(self.head(self.features(x).flatten(1))), dim=1)

    text = ir(Net(), tmp_path, (2, 7, 7))
    names = [line.split(":")[0] for line in text.splitlines()[1:]]
    assert names == [*("features_0", "relu", "features_2", "flatten_1", "head_0", "relu_1", "last")]
    assert "MaxPool2d(kernel_size=4, stride=4" in text  # two by two is one by four
    assert "inplace" not in text
    assert "softmax" not in text


def test_plain_sequential_gets_identifiers(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(128, 6), nn.ReLU(), nn.Linear(6, 3))
    names = [line.split(":")[0] for line in ir(net, tmp_path).splitlines()[1:]]
    assert names == ["flatten_0", "linear_1", "relu_2", "linear_3"]


def test_a_wrong_result_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = prepare.steps

    def spoiled(chain: object) -> list[tuple[str, nn.Module]]:
        made = original(chain)  # type: ignore[arg-type]
        with torch.no_grad():
            made[-1][1].bias[0] += 0.01  # type: ignore[union-attr,index,operator]
        return made

    monkeypatch.setattr(prepare, "steps", spoiled)
    net = small_net()
    with pytest.raises(VerificationError, match="gives the user's outputs"):
        Prepare().run(float_model(net), context(tmp_path, net))


def test_all_problems_come_at_once_in_one_line() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, padding=1),
        nn.GELU(),
        nn.ConvTranspose2d(4, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    with pytest.raises(UnsupportedError) as caught:
        require_support(net.eval(), SHAPE)
    text = str(caught.value)
    assert text.startswith("2 layers cannot be mapped: ")
    assert "\n" not in text
    for part in (
        "1 (GELU): it has no kernel, use ReLU",
        "2 (ConvTranspose2d): it has no kernel, end the network before it, or use Upsample and ",
    ):
        assert part in text


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.fc = nn.Linear(128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(F.relu(self.conv(x) + x), 1))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Active(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(x.flatten(1), 0.5))


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.view(1, 128))


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (Branching(), "cannot be traced"),
        (Active(), "always active, pass training=self.training"),
        (FixedBatch(), "batch of any size"),
        (nn.Conv2d(2, 3, 8), "layer (Conv2d): it gives the logits, end with a Linear"),
        (nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)), "Flatten"),
        (nn.Identity(), "no layers"),
        (
            nn.Sequential(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
                          nn.Conv2d(2, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(3, 3)),
            "0 (AvgPool2d): its windows at the border hold fewer pixels",
        ),
        (
            nn.Sequential(nn.Conv2d(2, 3, 1), nn.MaxPool2d(3, 2, padding=1), nn.Flatten(),
                          nn.Linear(48, 3)),
            "(MaxPool2d): it pads values that may be negative",
        ),
    ],
)  # fmt: skip
def test_support_names_the_problem(net: nn.Module, says: str) -> None:
    problems = support(net, SHAPE)
    assert problems
    assert says in "; ".join(map(str, problems))


@pytest.mark.parametrize(
    "net",
    [
        Residual(),
        nn.Sequential(nn.Flatten(), nn.Linear(128, 4), nn.Linear(4, 3)),
        nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(128, 3)),
        nn.Sequential(nn.Conv2d(2, 3, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)),
    ],
)
def test_what_is_no_chain_is_supported_too(net: nn.Module) -> None:
    assert support(net.eval(), SHAPE) == []


def test_support_of_a_good_network_is_empty() -> None:
    assert support(small_net(), SHAPE) == []


class Averaging(nn.Module):
    def __init__(self, **options: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.fc = nn.Linear(4 * (16 if {"padding", "ceil_mode"} & set(options) else 9), 3)
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        y = F.avg_pool2d(F.relu(self.conv(x)), 3, 2, **self.options)  # type: ignore[arg-type]
        return self.fc(y.flatten(1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"divisor_override": 2}, "divisor_override has no kernel"),
        ({"ceil_mode": True}, "ceil_mode has no kernel"),
    ],
)
def test_averages_with_another_divisor_are_refused(
    tmp_path: Path, options: dict[str, object], says: str
) -> None:
    net = Averaging(**options).eval()
    with pytest.raises(UnsupportedError, match=says):
        Prepare().run(float_model(net), context(tmp_path, net))


@pytest.mark.parametrize("counted", [True, False])
def test_padded_average_is_kept(tmp_path: Path, counted: bool) -> None:
    net = Averaging(padding=1, count_include_pad=counted)
    assert "AvgPool2d(kernel_size=3, stride=2, padding=1)" in ir(net, tmp_path)


class Auxiliary(nn.Module):
    """A second head that training used and the output does not."""

    def __init__(self, *, last: bool) -> None:
        super().__init__()
        self.body, self.head, self.aux = nn.Linear(128, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.body(x.flatten(1)))
        if self.last:
            y = self.head(x)
            self.aux(x)
            return y
        self.aux(x)
        return self.head(x)


@pytest.mark.parametrize("last", [True, False])
def test_what_the_output_does_not_need_is_left_out(tmp_path: Path, last: bool) -> None:
    assert "aux" not in ir(Auxiliary(last=last), tmp_path)


@pytest.mark.parametrize(
    "middle", [nn.AdaptiveAvgPool2d(4), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, padding=1, groups=4)]
)
def test_chains_without_kernels_are_no_hardware_chains(tmp_path: Path, middle: nn.Module) -> None:
    relu = [nn.ReLU()] if isinstance(middle, nn.Conv2d) else []
    pool = nn.AdaptiveAvgPool2d(1) if not isinstance(middle, nn.AvgPool2d) else nn.Identity()
    if isinstance(middle, nn.AdaptiveAvgPool2d):
        middle = nn.Identity()
    size = 4 * 16 if isinstance(middle, nn.AvgPool2d) else 4
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), middle, *relu, pool, nn.Flatten(),
        nn.Linear(size, 3),
    ).eval()  # fmt: skip
    got = Prepare().run(float_model(net), context(tmp_path, net))
    assert got.network is not None
    assert not got.network.chain


class Unknown(nn.Module):
    """Nothing that it does after its first layer has a form."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")
        self.steps = nn.Sequential(
            nn.LeakyReLU(), nn.ELU(), nn.Sigmoid(), nn.Tanh(), nn.Hardswish(),
            nn.Hardtanh(-1, 2), nn.ReflectionPad2d(1), nn.ZeroPad2d(-1), nn.ConstantPad2d(1, 0.5),
            nn.MaxPool2d(2, 1, dilation=2), nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Upsample(scale_factor=1.5), nn.AdaptiveAvgPool2d((5, 4)), nn.LayerNorm(4),
            nn.AvgPool2d(2, divisor_override=3),
        )  # fmt: skip
        self.fc = nn.Linear(4 * 4 * 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.steps(self.conv(x)).clamp(-1, 3)
        x = F.pad(x, (1, 1, 0, 0), mode="replicate")[:, :, :, 1:-1]
        x = F.interpolate(x, size=(5, 2), mode="nearest")
        x = F.leaky_relu(F.hardtanh(x, 0.1, 1.0).transpose(2, 3))
        x = F.interpolate(x, size=(4, 2), mode="nearest")
        return self.fc(x.flatten(1))


SAYS = {
    "conv (Conv2d)": "padding with reflect has no kernel, use zeros",
    "steps.0 (LeakyReLU)": "it has no kernel, use ReLU or ReLU6",
    "steps.1 (ELU)": "it has no kernel, use ReLU or ReLU6",
    "steps.2 (Sigmoid)": "it has no kernel, use ReLU or ReLU6",
    "steps.3 (Tanh)": "it has no kernel, use ReLU or ReLU6",
    "steps.4 (Hardswish)": "it has no kernel, use ReLU or ReLU6",
    "steps.5 (Hardtanh)": "clipping to -1.0 .. 2.0 has no kernel, use limits of 0 and m > 0",
    "steps.6 (ReflectionPad2d)": "it has no kernel, pad with zeros",
    "steps.7 (ZeroPad2d)": "it cuts off pixels, pad by no less than 0",
    "steps.8 (ConstantPad2d)": "padding with 0.5 has no kernel, pad with zeros",
    "steps_9 (MaxPool2d)": "dilation has no kernel, use dilation=1",
    "steps.10 (Upsample)": 'upsampling by bilinear has no kernel, use mode="nearest"',
    "steps.11 (Upsample)": "is no whole factor, use a whole scale_factor",
    "steps.12 (AdaptiveAvgPool2d)": "its windows over (24, 24) differ in size",
    "steps.13 (LayerNorm)": "it has no kernel, use BatchNorm after the convolution",
    "steps_14 (AvgPool2d)": "divisor_override has no kernel, leave it out",
    "clamp (clamp)": "clipping to -1 .. 3 has no kernel",
    "pad (pad)": "padding with replicate has no kernel, pad with zeros",
    "getitem (getitem)": "it takes part of a tensor, use x[:, :, ::s, ::s]",
    "interpolate (interpolate)": "(2, 2) to (5, 2) is no whole factor",
    "interpolate_1 (interpolate)": "(2, 5) to (4, 2) is no whole factor",
    "hardtanh (hardtanh)": "clipping to 0.1 .. 1.0 has no kernel",
    "transpose (transpose)": "it has no kernel, bring samples to (channels, ...) in the data set",
    "leaky_relu (leaky_relu)": "it has no kernel, use ReLU or ReLU6",
}


def test_all_that_has_no_form_is_told_at_once() -> None:
    with pytest.raises(UnsupportedError) as caught:
        prepare.prepared_network(Unknown().eval(), SHAPE)
    text = str(caught.value)
    for layer, says in SAYS.items():
        assert f"{layer}: " in text
        assert says in text.split(f"{layer}: ")[1].split("; ")[0]
    assert text.count("; ") + 1 == len(SAYS)


class Signal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding=1)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu6(self.conv(x)).mean(-1))


class Squeezed(nn.Module):
    """Ways to come to a vector."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 37, 3)
        self.fc = nn.Linear(37 if way in ("squeeze", "max") else 37 * 36, 3)
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        if self.way == "squeeze":
            return self.fc(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))
        if self.way == "max":
            return self.fc(F.adaptive_max_pool2d(x, (1, 1)).flatten(1))
        flat = {
            "method": lambda: x.flatten(1),
            "torch": lambda: torch.flatten(x, 1),
            "view": lambda: x.view(x.size(0), -1),
            "reshape": lambda: x.reshape(x.shape[0], -1),
            "sizes": lambda: x.reshape(-1, 37 * 36),
            "same": lambda: F.adaptive_avg_pool2d(x, 6).view(-1, 37 * 36),
        }
        return self.fc(flat[self.way]())


@pytest.mark.parametrize(
    "way", ["method", "torch", "view", "reshape", "sizes", "same", "max", "squeeze"]
)
def test_every_way_to_a_vector(way: str, tmp_path: Path) -> None:
    text = ir(Squeezed(way), tmp_path)
    assert text.count("Flatten") == 1


def test_signals_become_images_of_one_row(tmp_path: Path) -> None:
    assert (
        ir(Signal(), tmp_path, (2, 9))
        == """\
x -> (2, 9)
unsqueeze_1: Unsqueeze() -> (2, 1, 9)
conv: Conv2d(2, 4, kernel_size=(1, 3), stride=(1, 1), padding=(0, 1)) -> (4, 1, 9)
relu6_1: ClippedReLU(6) -> (4, 1, 9)
avgpool_1: AdaptiveAvgPool2d(output_size=1) -> (4, 1, 1)
flatten_1: Flatten(start_dim=1, end_dim=-1) -> (4,)
last: Linear(in_features=4, out_features=3, bias=True) -> (3,)
"""
    )


def test_signals_that_are_flattened_at_once_stay_vectors(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(18, 6), nn.ReLU6(), nn.Linear(6, 3))
    assert "Unsqueeze" not in ir(net, tmp_path, (2, 9))


@pytest.mark.parametrize("uneven", [False, True])
def test_padding_before_a_convolution_is_its_own_where_sides_are_alike(
    uneven: bool, tmp_path: Path
) -> None:
    net = nn.Sequential(
        nn.ZeroPad2d((1, 1 + uneven, 2, 2)), nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3),
    )  # fmt: skip
    text = ir(net, tmp_path)
    if uneven:
        assert "conv2d_1_pad: Pad(3, 2, 3, 3) -> (2, 14, 13)" in text
        assert "stride=(1, 1)) -> (3, 12, 11)" in text
    else:
        assert "Pad(" not in text
        assert "padding=(3, 2)" in text


@pytest.mark.parametrize(
    ("kernel", "whole"), [((6, 6), True), (6, True), ((6, 3), False), (3, False)]
)
def test_an_average_of_the_whole_image_needs_no_window(
    kernel: int | tuple[int, int], whole: bool
) -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.AvgPool2d(kernel), nn.Flatten(), nn.LazyLinear(3)
    )
    x = torch.rand(2, *SHAPE)
    wanted = network.eval()(x)
    module, *_ = prepare.prepared_network(network, SHAPE)
    kinds = {type(each) for each in module.modules()}
    assert (nn.AdaptiveAvgPool2d in kinds) == whole
    assert (nn.AvgPool2d in kinds) != whole
    torch.testing.assert_close(module(x), wanted)
