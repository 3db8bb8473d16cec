"""Whole designs through Yosys with the flow's own script: flattened, and with the units kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.calibration.synthesis import (
    counting_text,
    placed_cells,
    resources,
    run_yosys,
    script,
)
from hw_targets.families import Family
from hw_targets.flows import ecp5_registers, yosys
from hw_targets.rtl.design import Design
from hw_targets.rtl.manifest import Manifest
from hw_targets.rtl.top import TOP

_READ = "read_slang --threads 1"
_KEEP = " --keep-hierarchy"


def whole(design: Design, family: Family, folder: Path) -> dict[str, Any]:
    """Resources of the flattened design as placed, ports unbuffered, and the seconds it took.

    Raises:
        subprocess.CalledProcessError: Yosys refused the design.
        subprocess.TimeoutExpired: it took longer than calibration's limit.
    """
    manifest = design.write(folder)
    start = time.monotonic()
    counted = resources(manifest.top, list(manifest.sources), family, folder)
    if family.output_registers:
        counted = family.count(placed_cells(folder, registers=True)[manifest.top])
    return {"resources": counted, "seconds": round(time.monotonic() - start, 1)}


def by_unit(design: Design, family: Family, folder: Path) -> dict[str, Any]:
    """Resources of every unit and FIFO, each synthesised within its own borders; see `whole`.

    What a flattened design has less than their sum is what flattening saves. Glue in the top is
    left out: it is wires.
    """
    manifest = design.write(folder)
    modules = {
        **{f"fifo_{link.name}": "lf_fifo" for link in design.links if link.depth},
        **{unit.name: unit.kernel.module for unit in design.units},
    }
    paths = {
        name: f"{module}${TOP}.{name if name.startswith('fifo_') else 'u_' + name}"
        for name, module in modules.items()
    }
    first, *rest = _script(manifest, family).splitlines()
    if _KEEP not in first:
        first = first.replace(_READ, _READ + _KEEP)
    keep = [f"setattr -mod -set keep_hierarchy 1 {path}" for path in paths.values()]
    start = time.monotonic()
    run_yosys("\n".join([first, *keep, *rest]) + "\n", folder)
    counted = _cells(folder, family)
    units = {name: family.count(counted[path]) for name, path in paths.items()}
    return {"units": units, "seconds": round(time.monotonic() - start, 1)}


def digest(design: Design, family: Family, folder: Path) -> str:
    """Short digest of RTL, memories, script and counting: a row with another is out of date."""
    manifest = design.write(folder)
    text = (manifest.digest + _script(manifest, family)).encode() + counting_text(family)
    if family.output_registers:
        text += Path(ecp5_registers.__file__).read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]


def _cells(folder: Path, family: Family) -> dict[str, Counter[str]]:
    """Module -> its cells by type."""
    if family.output_registers:
        return placed_cells(folder)
    modules = json.loads((folder / yosys.STATISTICS).read_text())["modules"]
    return {
        name.removeprefix("\\"): Counter(module["num_cells_by_type"])
        for name, module in modules.items()
    }


def _script(manifest: Manifest, family: Family) -> str:
    return script(manifest.top, list(manifest.sources), family)
