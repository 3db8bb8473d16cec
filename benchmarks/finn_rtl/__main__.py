"""Our matrix-vector units beside FINN's RTL, through the same Yosys.

    python -m benchmarks.finn_rtl synthesis xc7 ecp5    # what is missing, resumable
    python -m benchmarks.finn_rtl tables                # docs/finn-rtl.md

Results are kept as JSON lines in `results.jsonl`; those of other sources or another Yosys are made
anew.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.calibration.synthesis import recipe_digest, synthesise, yosys_version
from benchmarks.finn_rtl import theirs
from benchmarks.finn_rtl.tables import write_page
from benchmarks.finn_rtl.units import units
from hw_targets.errors import LiftFlowError
from hw_targets.families import Family, load_family
from hw_targets.rtl.mvu import Mvu

RESULTS = Path(__file__).with_name("results.jsonl")
WORK = Path(__file__).parents[2] / "build" / "finn-rtl"


def load(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Rows, oldest first; none where there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def measure(name: str, unit: Mvu, family: Family, path: Path = RESULTS, work: Path = WORK) -> bool:
    """Synthesise a unit of ours and FINN's, unless that is done; whether it was not.

    Raises:
        MissingToolError: finn-plus is not installed.
        subprocess.SubprocessError: Yosys refused one of them or took too long.
    """
    mark = digest(unit, family)
    if any((row["name"], row["family"], row["digest"]) == (name, family.name, mark)
           for row in load(path)):  # fmt: skip
        return False
    place = work / f"{name.replace(' ', '-')}-{family.name}"
    row = {
        "name": name,
        "family": family.name,
        "digest": mark,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "tool": yosys_version(),
        "finn": version("finn-plus"),
        "unit": asdict(unit),
        "ours": synthesise(unit, family, place / "ours"),
        "theirs": theirs.synthesise(unit, family, place / "theirs"),
        "theirs_alone": theirs.synthesise_alone(unit, family, place / "theirs-alone"),
    }
    with path.open("a") as out:
        out.write(json.dumps(row) + "\n")
    print(f"{name} {family.name}: {row['ours']} beside {row['theirs']}", flush=True)
    return True


def digest(unit: Mvu, family: Family) -> str:
    """Short digest of what makes a row, but for Yosys."""
    text = f"{unit} {recipe_digest(Mvu, family)} {version('finn-plus')}"
    source = Path(theirs.__file__).read_bytes() + theirs.sources()
    return hashlib.sha256(text.encode() + source).hexdigest()[:12]


def main() -> int:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finn_rtl", description=lines[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("synthesis").add_argument("families", nargs="*", default=["xc7", "ecp5"])
    commands.add_parser("tables")
    options = parser.parse_args()
    if options.command == "tables":
        print(write_page(load()))
        return 0
    failed = 0
    for family in map(load_family, options.families):
        for name, unit in units(family).items():
            try:
                measure(name, unit, family)
            except (LiftFlowError, subprocess.SubprocessError, OSError) as error:
                failed += 1
                said = getattr(error, "stderr", "") or error
                print(f"{name} {family.name}: {said}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
