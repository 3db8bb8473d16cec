"""A network to price: from a compilation's TOML file or from a QONNX file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.config import DEFAULT_BOARD, Goals, load_config
from hw_targets.cost.basis.products import MOST_BITS
from hw_targets.errors import LiftFlowError, UnsupportedError
from hw_targets.network import NetworkShape
from hw_targets.rtl.mvu import WEIGHT_BITS

if TYPE_CHECKING:
    from compiler.config import Config

DEFAULT_BITS = 4
ACT_BITS = range(1, MOST_BITS + 1)
"""Widths of activations and of the network's input that the kernels have."""


@dataclass(frozen=True)
class Widths:
    """Bits of every layer, in order; the last layer's activations (logits) have 0.

    full: of layers whose weights hold the least value of their bits, the bits of what they take, 0
    of others; none at all where there is no such layer. Their rows cannot share a multiplier.
    """

    weights: tuple[int, ...]
    acts: tuple[int, ...]
    full: tuple[int, ...] = ()


@dataclass(frozen=True)
class Source:
    """A network with its bits, and what its file says of board and goals.

    notes: what a reader of the prices must know of how the file was read.
    """

    path: Path
    network: NetworkShape
    widths: Widths
    board: str = DEFAULT_BOARD
    goals: Goals = field(default_factory=Goals)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """Bits by flags; None where a flag was not given. signed: the input, with `input_bits`."""

    weight_bits: int | None = None
    act_bits: int | None = None
    input_bits: int | None = None
    signed: bool = False

    def __post_init__(self) -> None:
        """Raises LiftFlowError for a width that no kernel has, or a sign without a width."""
        if self.signed and self.input_bits is None:
            raise LiftFlowError(
                "a sign without a width", where="--signed", mend="give --input-bits too"
            )
        for flag, value, known in (
            ("--weight-bits", self.weight_bits, WEIGHT_BITS),
            ("--act-bits", self.act_bits, ACT_BITS),
            ("--input-bits", self.input_bits, ACT_BITS),
        ):
            if value is not None and value not in known:
                raise LiftFlowError(
                    f"{value} bits", where=flag, mend=f"give {known[0]} to {known[-1]}"
                )


def load_source(path: Path, given: Given) -> Source:
    """The network in a TOML file of a compilation, or in a QONNX file.

    Raises:
        LiftFlowError: the file is missing, is neither, cannot be read, holds what hardware cannot
            compute, or has bits of its own beside those given.
    """
    kind = path.suffix.lower()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise LiftFlowError(what, where=str(path), mend="name a .toml or an .onnx file")
    if kind == ".toml":
        return _from_config(load_config(path), path, given)
    if kind == ".onnx":
        from compiler.qonnx.read import read_qonnx

        _refuse_bits(path, given)
        network, widths, notes = read_qonnx(path, given.input_bits, given.signed)
        return Source(path, network, widths, notes=notes)
    raise LiftFlowError(
        f"{path.suffix or 'a name without suffix'} is neither .toml nor .onnx",
        where=str(path),
        mend="give the TOML file of a compilation (docs/configuration.md) or a QONNX file",
    )


def _refuse_bits(path: Path, given: Given) -> None:
    for flag, value in (("--weight-bits", given.weight_bits), ("--act-bits", given.act_bits)):
        if value is not None:
            raise LiftFlowError(
                "a QONNX file has bits of its own", where=str(path), mend=f"leave out {flag}"
            )


def _from_config(config: Config, path: Path, given: Given) -> Source:
    if config.file is not None and given.input_bits is not None:
        raise LiftFlowError(
            "--input-bits is for QONNX files",
            where=str(path),
            mend="set input_bits in the [data] section",
        )
    from compiler import frontend
    from compiler.api import _board_beside
    from passes._network_shape import network_shape
    from passes.prepare import prepared_network

    start, data = frontend.load(
        name=config.name,
        factory=config.model.factory,
        weights=config.model.weights,
        source=config.data.source,
        base=config.base,
        input_bits=config.data.input_bits,
        input_signed=config.data.input_signed,
        input_scale=config.data.input_scale,
    )
    try:
        module, _, _ = prepared_network(start.module, start.input_shape, data.regression)
    except UnsupportedError as error:
        raise UnsupportedError(error.what, where=str(path), mend=error.mend) from error
    network = network_shape(module, config.name, start.input_shape, start.input, data.regression)
    weight_bits, act_bits = given.weight_bits or DEFAULT_BITS, given.act_bits or DEFAULT_BITS
    governors = {unit.governor for unit in network.units}
    widths = Widths(
        (weight_bits,) * len(network.layers),
        tuple(
            act_bits if layer.activation or layer.name in governors else 0
            for layer in network.layers
        ),
    )
    notes = ("the network as it is, before filters are pruned",)
    return Source(path, network, widths, _board_beside(config), config.goals, notes)
