"""Synthesise every calibration point of a family and keep the results, one JSON line a point.

    python -m benchmarks.calibration.sweep ecp5 [--kernels Mvu Swu] [--most 20]
        [--workers 2 | --ray ADDRESS]

Points already in the data file are left alone, unless their kernel's source or the synthesis script
has changed since: an interrupted sweep goes on where it stopped. Points run on Ray, on this machine
or on a cluster whose machines share this folder; one whose worker dies or whose synthesis fails is
tried three times, then listed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.calibration.points import COUNTS, points
from benchmarks.calibration.synthesis import recipe_digest, synthesise, yosys_version
from compiler import ray_pool
from hw_targets.cost.features import KERNELS
from hw_targets.errors import LiftFlowError
from hw_targets.families import family_names, load_family
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.multiplier import for_multipliers
from hw_targets.rtl.table_logic import TableLogic

DATA = Path(__file__).parent / "data"
WORK = Path(__file__).parents[2] / "build" / "calibration"


def load_points(family: str) -> list[dict[str, Any]]:
    """Rows of a family's data file, oldest first; none when there is no file."""
    path = DATA / f"{family}.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def kernel_of(row: Mapping[str, Any]) -> Kernel:
    """The kernel of a row; what JSON made lists of are tuples again."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row["fields"].items()
    }
    if values.get("logic"):
        values["logic"] = TableLogic(**values["logic"])
    return KERNELS[row["kernel"]](**values)


def point_key(kernel: Kernel) -> str:
    """What tells one point from another: class and fields."""
    return json.dumps([type(kernel).__name__, asdict(kernel)], sort_keys=True)


def sweep(
    family: str,
    kinds: tuple[str, ...],
    most: int,
    workers: int | None = None,
    address: str | None = None,
) -> int:
    """Synthesise what is missing of the first `most` points of each kernel, on Ray.

    workers: points at once in a pool on this machine, as many as cores by default. address: of a
    Ray cluster instead.

    Returns the number of points that failed, which are listed.
    """
    described = load_family(family)
    listed = list(points(kinds, most))
    digests = {kind: recipe_digest(kind, described) for kind in set(map(type, listed))}
    done = {
        (json.dumps([row["kernel"], row["fields"]], sort_keys=True), row["recipe"])
        for row in load_points(family)
    }
    bits = described.multiplier.a_bits
    wanted = [for_multipliers(kernel, bits) for kernel in listed]
    todo = [k for k in wanted if (point_key(k), digests[type(k)]) not in done]
    tool = yosys_version()
    failed: list[str] = []
    print(f"{family}: {len(todo)} points to synthesise with {tool}")
    if not todo:
        return 0
    call = partial(measure, family=family, work=WORK / family)
    with (DATA / f"{family}.jsonl").open("a") as out:
        found = ray_pool.run(todo, call, address, workers, where="calibration")
        for count, one in enumerate(found, 1):
            if one.result is None:
                failed.append(f"{one.item}: {one.error}")
                print(failed[-1])
                continue
            row = {"kernel": type(one.item).__name__, "fields": asdict(one.item), "tool": tool}
            row.update(one.result)
            out.write(json.dumps(row) + "\n")
            out.flush()
            print(f"{count}/{len(todo)} {row['seconds']:.1f} s {row['resources']} {one.item}")
    print("\n".join([f"{family}: {len(failed)} failed", *failed]))
    return len(failed)


def measure(kernel: Kernel, family: str, work: Path) -> dict[str, Any]:
    """What is measured of a point, in a folder of its own below `work`, which does not stay.

    Raises:
        RuntimeError: Yosys failed; its last words.
    """
    start = time.monotonic()
    described = load_family(family)
    # Taken now, not when the sweep began: sources may change while it runs.
    recipe = recipe_digest(type(kernel), described)
    work.mkdir(parents=True, exist_ok=True)
    # A worker that was killed may have left Yosys writing: no two tries share a folder.
    with tempfile.TemporaryDirectory(prefix=f"{kernel.module}-", dir=work) as folder:
        try:
            found = synthesise(kernel, described, Path(folder))
        except subprocess.CalledProcessError as error:
            last = (error.stderr or str(error)).strip().splitlines()[-1]
            raise RuntimeError(f"yosys, status {error.returncode}: {last}") from None
    seconds = round(time.monotonic() - start, 2)
    return {"recipe": recipe, "resources": found, "seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("family", choices=family_names())
    parser.add_argument("--kernels", nargs="+", choices=sorted(COUNTS), default=sorted(COUNTS))
    parser.add_argument("--most", type=int, default=max(COUNTS.values()), help="points a kernel")
    parser.add_argument("--workers", type=int, help="points at once here; as many as cores")
    parser.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster, instead of this machine")
    options = parser.parse_args()
    kinds = tuple(options.kernels)
    try:
        failed = sweep(options.family, kinds, options.most, options.workers, options.ray)
    except LiftFlowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
