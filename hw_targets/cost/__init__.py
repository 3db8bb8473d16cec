"""What hardware costs before it is built: LUT, FF, DSP and block RAM of kernels and designs.

Physical terms (`basis`) times coefficients fitted to synthesis results (`data/<family>.json`).
What was never calibrated is None, not 0.
"""

from hw_targets.cost.layer import kernels_of
from hw_targets.cost.model import Estimate, estimate, estimate_design, estimate_many, estimate_units
from hw_targets.cost.planned import network_kernels

__all__ = [
    "Estimate",
    "estimate",
    "estimate_design",
    "estimate_many",
    "estimate_units",
    "kernels_of",
    "network_kernels",
]
