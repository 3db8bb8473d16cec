"""Does the network take these samples, and does it answer as the data asks?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from compiler.frontend.locate import brief
from compiler.stages import Dataset
from hw_targets.errors import LiftFlowError


def check_fits(model: nn.Module, data: Dataset) -> int:
    """The number of classes `model` scores, 0 of a regression; runs it once on one test sample.

    Raises:
        LiftFlowError: the sample does not fit (names the layer, what it expects and what it got),
            or the output is not one finite score for each of the data's classes; of a regression,
            not of the targets' shape.
    """
    sample = torch.from_numpy(data.test_x[:1])
    entered: list[tuple[str, nn.Module, Any]] = []
    try:
        with torch.no_grad(), _recording(model.eval(), entered):
            output = model(sample)
    except Exception as error:
        raise _misfit(error, entered, data) from error
    if data.regression:
        _check_outputs(output, data)
        return 0
    if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[0] != 1:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise LiftFlowError(
            f"for one sample the model gives {got}, not (1, classes)",
            mend="let forward return one tensor of class scores",
        )
    classes = output.shape[1]
    if classes < data.classes:
        raise LiftFlowError(
            f"the model scores {classes} classes, {data.name} has {data.classes}",
            mend="use the data the model was trained on",
        )
    _check_finite(output)
    return classes


def _check_outputs(output: object, data: Dataset) -> None:
    wanted = tuple(data.test_y.shape[1:])
    got = tuple(output.shape[1:]) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or got != wanted:
        raise LiftFlowError(
            f"for one sample the model gives {got}, the targets of {data.name} are {wanted}",
            mend="give targets of the outputs' shape, or integer labels for classes",
        )
    if output.ndim not in (2, 4):
        raise LiftFlowError(
            f"for one sample the model gives {got}",
            mend="let forward return (outputs,) or (channels, height, width) a sample",
        )
    _check_finite(output)


def _check_finite(output: Tensor) -> None:
    if not bool(torch.isfinite(output).all()):
        raise LiftFlowError("the model's output is not finite", mend="check its weights")


@contextmanager
def _recording(model: nn.Module, entered: list[tuple[str, nn.Module, Any]]) -> Iterator[None]:
    """Leaves the (name, module, input shape) of every module entered and not yet left."""

    def enter(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            shape = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else None
            entered.append((name, module, shape))

        return hook

    def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
        entered.pop()

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _misfit(
    error: Exception, entered: list[tuple[str, nn.Module, Any]], data: Dataset
) -> LiftFlowError:
    what = f"the model does not take samples of shape {data.sample_shape}"
    mend = "give samples as (channels, height, width), as the model was trained on"
    layer = next(((n, m, s) for n, m, s in reversed(entered) if n), None)
    if layer is None:
        return LiftFlowError(f"{what}: {brief(error)}", mend=mend)
    name, module, shape = layer
    expected = _expected(module)
    if expected is None or shape is None:
        return LiftFlowError(f"{what}: {brief(error)}", where=name, mend=mend)
    return LiftFlowError(f"{what}: expected {expected}, got {shape[1:]}", where=name, mend=mend)


def _expected(module: nn.Module) -> str | None:
    if isinstance(module, nn.Conv2d):
        return f"({module.in_channels}, height, width)"
    if isinstance(module, nn.Linear):
        return f"({module.in_features},)"
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return f"{module.num_features} channels"
    return None
