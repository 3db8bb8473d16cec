"""Runs the quantization passes on small networks, once a network, for several tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from quant_case import DIGITS, context, conv, dense, random_data, scored

from compiler.stages import DataflowModel, Dataset, InputFormat, QonnxModel, QuantModel
from hw_targets.lanes import Lanes
from hw_targets.network import NetworkShape
from passes.base import Check, Context
from passes.export_qonnx import ExportQonnx
from passes.fold import Fold
from passes.lower_finn import LowerFinn
from passes.quantize import Quantize

SIGNED = InputFormat(bits=8, signed=True, scale=1 / 127)


@dataclass(frozen=True)
class Case:
    network: NetworkShape
    input_format: InputFormat = DIGITS
    folding: tuple[tuple[str, tuple[int, int]], ...] = ()
    weight_bits: int = 4
    act_bits: int = 4
    lanes: tuple[tuple[str, Lanes], ...] = ()


@dataclass(frozen=True)
class Chain:
    data: Dataset
    quantized: QuantModel
    exported: QonnxModel
    lowered: DataflowModel
    folded: DataflowModel
    checks: dict[str, list[Check]]


ODD_SHAPE = NetworkShape(
    "odd",
    (
        conv("body.first", 3, 13, (9, 7)),
        conv("second", 13, 37, (9, 7), pool=2),
        conv("third", 37, 5, (4, 3)),
        dense("fourth", 60, 11),
        dense("last", 11, 6, activation=False),
    ),
    (3, 9, 7),
    8,
    True,
    6,
)
ODD_FOLDING = (
    ("body.first", (13, 3)),
    ("second", (37, 13)),
    ("third", (5, 37)),
    ("fourth", (11, 4)),
    ("last", (3, 11)),
)

CASES = {
    "odd": Case(ODD_SHAPE, SIGNED, ODD_FOLDING),
    "odd_eight_bits": Case(ODD_SHAPE, SIGNED, ODD_FOLDING, 8, 8),
    "strided": Case(
        NetworkShape(
            "strided",
            (
                conv("c1", 2, 6, (12, 8), stride=(2, 2)),
                conv("c2", 6, 8, (6, 4), kernel=(3, 1), padding=(0, 0, 0, 0)),
                dense("f", 128, 5, activation=False),
            ),
            (2, 12, 8),
            5,
            False,
            5,
        )
    ),
    "dense_only": Case(
        NetworkShape(
            "dense_only",
            (dense("f1", 64, 16), dense("f2", 16, 16), dense("f3", 16, 10, activation=False)),
            (64,),
            5,
            False,
            10,
        ),
        weight_bits=2,
        act_bits=2,
    ),
    "binary": Case(
        NetworkShape(
            "binary",
            (
                conv("c1", 3, 10, (6, 6), pool=2),
                conv("c2", 10, 8, (3, 3)),
                conv("c3", 8, 6, (3, 3), kernel=(1, 1), padding=(0, 0, 0, 0)),
                dense("f1", 54, 12),
                dense("f2", 12, 6, activation=False),
            ),
            (3, 6, 6),
            5,
            False,
            6,
        ),
        folding=(("c1", (5, 9)), ("c2", (2, 6)), ("f1", (4, 27)), ("f2", (6, 12))),
        weight_bits=1,
        act_bits=2,
    ),
    "dense_on_images": Case(
        NetworkShape(
            "dense_on_images",
            (dense("f1", 60, 16), dense("f2", 16, 3, activation=False)),
            (3, 4, 5),
            8,
            True,
            3,
        ),
        SIGNED,
    ),
    # SIMD divides the window, not the channels; lanes differ everywhere, two do not divide at all.
    "own_lanes": Case(
        NetworkShape(
            "own_lanes",
            (
                conv("c1", 3, 10, (6, 6), pool=2),
                conv("c2", 10, 4, (3, 3)),
                dense("f", 36, 6, activation=False),
            ),
            (3, 6, 6),
            5,
            False,
            6,
        ),
        folding=(("c1", (5, 9)), ("c2", (2, 9)), ("f", (3, 4))),
        lanes=(
            ("c1", Lanes(pad=1, window=3, act=2, end=2)),
            ("c2", Lanes(pad=2, window=5, act=1)),
            ("f", Lanes(act=2, end=1)),
        ),
    ),
    # All pixels of the kernel at once, then three at once, which a converter halves.
    "parallel_windows": Case(
        NetworkShape(
            "parallel_windows",
            (
                conv("c1", 3, 10, (6, 6), pool=2),
                conv("c2", 10, 4, (3, 3)),
                dense("f", 36, 6, activation=False),
            ),
            (3, 6, 6),
            5,
            False,
            6,
        ),
        folding=(("c1", (5, 27)), ("c2", (4, 15)), ("f", (3, 4))),
    ),
    "one_layer": Case(
        NetworkShape("one_layer", (dense("f1", 12, 4, activation=False),), (12,), 8, True, 4),
        SIGNED,
    ),
    "pointwise": Case(
        NetworkShape(
            "pointwise",
            (
                conv("p", 4, 8, (5, 5), kernel=(1, 1), padding=(0, 0, 0, 0)),
                conv("q", 8, 4, (5, 5), kernel=(5, 5), padding=(0, 0, 0, 0)),
                dense("f", 4, 3, activation=False),
            ),
            (4, 5, 5),
            5,
            False,
            3,
        )
    ),
}


@cache
def chain(name: str) -> Chain:
    """The passes from quantize to fold on one case; every proof of theirs is in `checks`."""
    case = CASES[name]
    root = Path(mkdtemp(prefix=f"liftflow-{name}-"))
    data = random_data(case.network)
    checks: dict[str, list[Check]] = {}

    def room(pass_name: str) -> Context:
        ctx = context(root / pass_name, data)
        checks[pass_name] = ctx.checks
        return ctx

    model = scored(
        case.network,
        data,
        case.weight_bits,
        case.act_bits,
        dict(case.folding),
        epochs=8,
        input_format=case.input_format,
        lanes=dict(case.lanes),
    )
    quantized = Quantize().run(model, room("quantize"))
    exported = ExportQonnx().run(quantized, room("export"))
    lowered = LowerFinn(frames=8).run(exported, room("lower"))
    folded = Fold().run(lowered, room("fold"))
    return Chain(data, quantized, exported, lowered, folded, checks)
