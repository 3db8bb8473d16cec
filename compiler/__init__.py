"""LiftFlow: from a trained PyTorch network to a verified FPGA accelerator.

The public door. Names load on first use, so that `import compiler` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compiler.api import compile_model, default_pipeline
    from compiler.config import Config, load_config
    from compiler.insight import explain_run
    from compiler.pipeline import Pipeline, RunResult
    from hw_targets.errors import LiftFlowError

_HOMES = {
    "compile_model": "compiler.api",
    "default_pipeline": "compiler.api",
    "Config": "compiler.config",
    "load_config": "compiler.config",
    "explain_run": "compiler.insight",
    "Pipeline": "compiler.pipeline",
    "RunResult": "compiler.pipeline",
    "LiftFlowError": "hw_targets.errors",
}

__all__ = [
    "Config",
    "LiftFlowError",
    "Pipeline",
    "RunResult",
    "compile_model",
    "default_pipeline",
    "explain_run",
    "load_config",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'compiler' has no attribute {name!r}")
