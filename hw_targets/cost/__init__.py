"""What hardware costs before it is built: LUT, FF, DSP and block RAM of kernels and designs.

Physical terms (`basis`) times coefficients fitted to synthesis results (`data/<family>.json`).
What was never calibrated is None, not 0. Names load on first use: a query for one layer needs
neither designs nor their latency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hw_targets.cost.layer import kernels_of
    from hw_targets.cost.model import (
        Estimate,
        estimate,
        estimate_many,
        estimate_units,
    )
    from hw_targets.cost.planned import network_kernels
    from hw_targets.cost.shell import estimate_design

_HOMES = {
    "Estimate": "model",
    "estimate": "model",
    "estimate_design": "shell",
    "estimate_many": "model",
    "estimate_units": "model",
    "kernels_of": "layer",
    "network_kernels": "planned",
}

__all__ = [
    "Estimate",
    "estimate",
    "estimate_design",
    "estimate_many",
    "estimate_units",
    "kernels_of",
    "network_kernels",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"hw_targets.cost.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'hw_targets.cost' has no attribute {name!r}")
