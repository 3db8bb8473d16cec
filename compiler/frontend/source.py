"""Model and data together: what a compilation starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from compiler.frontend.data import load_dataset
from compiler.frontend.fit import check_fits
from compiler.frontend.model import load_module
from compiler.stages import Dataset, FloatModel, InputFormat
from hw_targets.errors import LiftFlowError

INPUT_BITS = range(1, 9)


def load(
    *,
    name: str,
    factory: str,
    weights: Path | None,
    source: str,
    base: Path,
    input_bits: int | None = None,
    input_signed: bool | None = None,
    input_scale: float | None = None,
) -> tuple[FloatModel, Dataset]:
    """The user's network in eval mode on the CPU, and the data set with the network's classes.

    Args:
        name: of the compilation.
        factory: see `load_module`.
        weights: state dict relative to `base`, or None.
        source: of the data, see `load_dataset`.
        base: folder of the configuration.
        input_bits, input_signed, input_scale: integer format of the input; None chooses 8 bits,
            signed when the training samples have negative values, and the scale that maps their
            range on the integers.

    Raises:
        LiftFlowError: model or data cannot be loaded, or do not fit each other.
    """
    dataset = load_dataset(source, base)
    module = load_module(factory, base, weights)
    try:
        dataset, classes = _as_taken(module, dataset, source)
    except LiftFlowError as error:
        layer = f", {error.where}" if error.where else ""
        raise type(error)(error.what, where=f"{factory}{layer}", mend=error.mend) from error
    form = input_format(dataset, input_bits, input_signed, input_scale)
    model = FloatModel(name, module, dataset.sample_shape, form)
    return model, dataclasses.replace(dataset, classes=classes)


def _as_taken(module: nn.Module, dataset: Dataset, source: str) -> tuple[Dataset, int]:
    """`dataset` in the shape that `module` takes, and the number of classes.

    (N, A, B) in an .npz are grey images or signals of A channels: the network knows.

    Raises:
        LiftFlowError: it takes neither, or does not answer as the data asks.
    """
    try:
        return dataset, check_fits(module, dataset)
    except LiftFlowError as error:
        if not source.endswith(".npz") or dataset.sample_shape[0] != 1 or dataset.train_x.ndim != 4:
            raise
        train_x, test_x = dataset.train_x[:, 0], dataset.test_x[:, 0]
        signals = dataclasses.replace(dataset, train_x=train_x, test_x=test_x)
        try:
            return signals, check_fits(module, signals)
        except LiftFlowError:
            raise error from None


def input_format(
    data: Dataset,
    bits: int | None = None,
    signed: bool | None = None,
    scale: float | None = None,
) -> InputFormat:
    """The integer format of the accelerator's input; see `load` for what None chooses.

    Raises:
        LiftFlowError: a width out of range, a scale that is not positive, or an unsigned format
            for data with negative values.
    """
    low, high = float(data.train_x.min()), float(data.train_x.max())
    bits = 8 if bits is None else bits
    if bits not in INPUT_BITS:
        raise LiftFlowError(
            f"input_bits is {bits}", mend=f"choose {INPUT_BITS[0]} to {INPUT_BITS[-1]}"
        )
    if signed is None:
        signed = low < 0
    elif not signed and low < 0:
        raise LiftFlowError(
            f"input_signed is false but samples go down to {low:g}", mend="set it to true"
        )
    if scale is None:
        greatest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        scale = max(abs(low), abs(high)) / greatest or 1.0
    elif not scale > 0:
        raise LiftFlowError(f"input_scale is {scale:g}", mend="it must be positive")
    return InputFormat(bits, signed, scale)
