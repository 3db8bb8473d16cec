"""The way through: one pass a file, in the order of `ORDER`, loaded when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from passes.base import Check, Context, Pass

ORDER: dict[str, str] = {
    "prepare": "Prepare",
    "attribute": "Attribute",
    "prune-filters": "PruneFilters",
    "prune-weights": "PruneWeights",
    "finetune": "Finetune",
    "allocate": "Allocate",
    "quantize": "Quantize",
    "share-weights": "ShareWeights",
    "retrain": "Retrain",
    "explain": "Explain",
    "export-qonnx": "ExportQonnx",
    "lower-finn": "LowerFinn",
    "fold": "Fold",
    "generate-rtl": "GenerateRtl",
    "simulate": "Simulate",
    "synthesize": "Synthesize",
    "package": "Package",
}


def load(name: str) -> type[Pass[Any, Any]]:
    """The pass class called `name` (as on the command line). Raises KeyError if there is none."""
    module = import_module(f"passes.{name.replace('-', '_')}")
    found: type[Pass[Any, Any]] = getattr(module, ORDER[name])
    return found


__all__ = ["ORDER", "Check", "Context", "Pass", "load"]
