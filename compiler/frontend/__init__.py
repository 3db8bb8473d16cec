"""The door for a user's own network and data: everything is checked before any long work.

Names load on first use: torch is imported only when a model is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compiler.frontend.data import load_dataset
    from compiler.frontend.fit import check_fits
    from compiler.frontend.model import load_module
    from compiler.frontend.source import input_format, load

_HOMES = {
    "check_fits": "compiler.frontend.fit",
    "input_format": "compiler.frontend.source",
    "load": "compiler.frontend.source",
    "load_dataset": "compiler.frontend.data",
    "load_module": "compiler.frontend.model",
}

__all__ = ["check_fits", "input_format", "load", "load_dataset", "load_module"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'compiler.frontend' has no attribute {name!r}")
