"""The only way to FINN: what the rest of LiftFlow asks of it, in LiftFlow's own terms.

FINN is imported inside these functions, under `session.finn_session`, which also undoes what FINN
wants of the environment. Importing this package imports neither FINN nor QONNX.
"""

from __future__ import annotations

from hw_targets.finn_adapter.execute import channels_last, disagreements, execute, trace
from hw_targets.finn_adapter.fold import Folding, FoldingConfig, fold
from hw_targets.finn_adapter.instances import instances
from hw_targets.finn_adapter.lower import bipolar_names, lower, threshold_names
from hw_targets.finn_adapter.nodes import node_luts
from hw_targets.finn_adapter.parts import matrix_name
from hw_targets.finn_adapter.vendor import build_config, estimates, rehearse, vendor_folding
from hw_targets.rtl.kernel import Instance, IntArray

__all__ = [
    "Folding",
    "FoldingConfig",
    "Instance",
    "IntArray",
    "bipolar_names",
    "build_config",
    "channels_last",
    "disagreements",
    "estimates",
    "execute",
    "fold",
    "instances",
    "lower",
    "matrix_name",
    "node_luts",
    "rehearse",
    "threshold_names",
    "trace",
    "vendor_folding",
]
