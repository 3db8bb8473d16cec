"""A user's network: made by their own factory, filled with their own weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from compiler.frontend.locate import brief, call
from hw_targets.errors import LiftFlowError

_WEIGHT_SUFFIXES = (".pt", ".pth", ".th")


def load_module(factory: str, base: Path, weights: Path | None = None) -> nn.Module:
    """The user's module in eval mode, float32, on the CPU.

    Args:
        factory: `file.py:name` (relative to `base`) or `package.module:name`, a function or class
            that gives an `nn.Module` when called without arguments.
        base: folder of the configuration.
        weights: state dict written by `torch.save`, relative to `base`; None keeps the factory's.

    Raises:
        LiftFlowError: whatever keeps the module from being made or filled.
    """
    made = call(factory, base)
    if not isinstance(made, nn.Module):
        raise LiftFlowError(
            f"it returned {type(made).__name__}, not a torch.nn.Module",
            where=factory,
            mend="name a function or class that gives the network when called without arguments",
        )
    if weights is not None:
        fill(made, read_state(base / weights), where=str(weights))
    return made.cpu().float().eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in `path`, wrappers and `module.` prefixes taken off.

    Raises:
        LiftFlowError: no such file, not a format that is read, or no state dict in it.
    """
    if not path.is_file():
        raise LiftFlowError("no such weights file", where=str(path))
    if path.suffix == ".safetensors":
        raise LiftFlowError(
            "safetensors files are not read",
            where=str(path),
            mend="save the state dict with torch.save(model.state_dict(), 'weights.pt')",
        )
    if path.suffix not in _WEIGHT_SUFFIXES:
        raise LiftFlowError(
            f"weights must be one of {', '.join(_WEIGHT_SUFFIXES)}",
            where=str(path),
            mend="save the state dict with torch.save(model.state_dict(), 'weights.pt')",
        )
    try:
        # weights_only: a weights file must not be able to run code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise LiftFlowError(
            "it holds more than tensors",
            where=str(path),
            mend="save only the state dict: torch.save(model.state_dict(), 'weights.pt')",
        ) from error
    except Exception as error:
        raise LiftFlowError(f"cannot be read: {brief(error)}", where=str(path)) from error
    return _unwrap(content, path)


def fill(module: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Copies `state` into `module`; every key must be there, none too many, all of equal shape.

    Raises:
        LiftFlowError: says which keys do not match, the first of them by name.
    """
    own = module.state_dict()
    # Batch norms saved before they counted their batches lack this; it has no effect in eval mode.
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [
        f"{len(keys)} {kind} ({_first(keys)})"
        for kind, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
        )
        if keys
    ]
    if problems:
        raise LiftFlowError(
            f"weights do not match the model: {', '.join(problems)}",
            where=where,
            mend="use the weights this factory's network was trained to",
        )
    bad = [key for key, value in state.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise LiftFlowError(f"{len(bad)} tensors are not finite ({_first(bad)})", where=where)
    module.load_state_dict(dict(state), strict=False)


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise LiftFlowError(
            "it holds no state dict",
            where=str(path),
            mend="save it with torch.save(model.state_dict(), 'weights.pt')",
        )
    # DataParallel puts `module.` before every key.
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {key.removeprefix(prefix): value for key, value in content.items()}


def _first(names: list[str], most: int = 2) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
