"""What FINN's builder leaves of figures, in the folder `report` of its output.

Files and keys: finn-plus 1.6.1, finn.builder.build_dataflow_steps and
finn.analysis.fpgadataflow.post_synth_res.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError

RESOURCES = "report/post_synth_resources.json"
"""Of the whole design, placed and routed, of Zynq boards; Alveo's have the device in the name."""
TIMING = "report/post_route_timing.rpt"
ESTIMATE = "report/estimate_network_performance.json"
SIMULATED = "report/rtlsim_performance.json"
"""Left by FINN's step_measure_rtlsim_performance."""


def resources(path: Path) -> dict[str, float]:
    """Resource name -> count of the whole design, shell included; uram where it tells.

    Raises:
        LiftFlowError: the file is not what FINN writes; names what is missing.
    """
    top = _entry(_read(path), "(top)", path)
    found = {
        "lut": _number(top, "LUT", path),
        "ff": _number(top, "FF", path),
        "dsp": _number(top, "DSP", path),
        "bram": 2 * _number(top, "BRAM_36K", path) + _number(top, "BRAM_18K", path),
    }
    if "URAM" in top:
        found["uram"] = _number(top, "URAM", path)
    return found


def estimated_fps(path: Path) -> float:
    """Frames a second that FINN's cycle model gives. Raises LiftFlowError."""
    return _number(_read(path), "estimated_throughput_fps", path)


def simulated_fps(path: Path) -> float:
    """Frames a second of FINN's RTL simulation: of its slowest output. Raises LiftFlowError."""
    outputs = _read(path)
    if not isinstance(outputs, list) or not outputs:
        raise _malformed(path, "no list of outputs")
    return min(_number(output, "throughput_fps", path) for output in outputs)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise _malformed(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"not JSON: {error}") from error


def _entry(data: Any, key: str, path: Path) -> Any:
    if not isinstance(data, dict) or key not in data:
        raise _malformed(path, f"no entry {key}")
    return data[key]


def _number(data: Any, key: str, path: Path) -> float:
    value = _entry(data, key, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _malformed(path, f"{key} is {value!r}, no number")
    return float(value)


def _malformed(path: Path, what: str) -> LiftFlowError:
    return LiftFlowError(what, where=str(path), mend="build it again with finn-plus")
