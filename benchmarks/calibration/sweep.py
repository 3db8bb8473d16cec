"""Synthesise every calibration point of a family and keep the results, one JSON line a point.

    python -m benchmarks.calibration.sweep ecp5 [--kernels Mvu Swu] [--workers 2] [--most 20]

Points already in the data file are left alone, unless their kernel's source or the synthesis script
has changed since: an interrupted sweep goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.calibration.points import COUNTS, points
from benchmarks.calibration.synthesis import recipe_digest, synthesise, yosys_version
from hw_targets.cost.features import KERNELS
from hw_targets.families import family_names, load_family
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.mvu import for_multipliers

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
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row["fields"].items()
    }
    return KERNELS[row["kernel"]](**values)


def point_key(kernel: Kernel) -> str:
    """What tells one point from another: class and fields."""
    return json.dumps([type(kernel).__name__, asdict(kernel)], sort_keys=True)


def sweep(family: str, kinds: tuple[str, ...], workers: int, most: int) -> int:
    """Synthesise what is missing of the first `most` points of each kernel.

    Returns the number of points that failed.
    """
    described = load_family(family)
    digests = {kind: recipe_digest(kind, described) for kind in set(map(type, points(kinds, most)))}
    done = {
        (json.dumps([row["kernel"], row["fields"]], sort_keys=True), row["recipe"])
        for row in load_points(family)
    }
    bits = described.multiplier.a_bits
    wanted = [for_multipliers(kernel, bits) for kernel in points(kinds, most)]
    todo = [k for k in wanted if (point_key(k), digests[type(k)]) not in done]
    tool = yosys_version()
    failed = 0
    print(f"{family}: {len(todo)} points to synthesise with {tool}")
    with ThreadPoolExecutor(workers) as pool, (DATA / f"{family}.jsonl").open("a") as out:
        jobs = {pool.submit(_timed, kernel, family, n): kernel for n, kernel in enumerate(todo)}
        for count, job in enumerate(as_completed(jobs), 1):
            kernel = jobs[job]
            row: dict[str, Any] = {
                "kernel": type(kernel).__name__,
                "fields": asdict(kernel),
                "tool": tool,
            }
            try:
                row.update(job.result())
            except (subprocess.SubprocessError, OSError) as error:
                failed += 1
                print(f"{kernel}: {getattr(error, 'stderr', '') or error}")
                continue
            out.write(json.dumps(row) + "\n")
            out.flush()
            print(f"{count}/{len(todo)} {row['seconds']:.1f} s {row['resources']} {kernel}")
    print(f"{described.name}: {failed} failed")
    return failed


def _timed(kernel: Kernel, family: str, number: int) -> dict[str, Any]:
    start = time.monotonic()
    described = load_family(family)
    # Taken now, not when the sweep began: sources may change while it runs.
    recipe = recipe_digest(type(kernel), described)
    found = synthesise(kernel, described, WORK / family / f"{number:04d}-{kernel.module}")
    seconds = round(time.monotonic() - start, 2)
    return {"recipe": recipe, "resources": found, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("family", choices=family_names())
    parser.add_argument("--kernels", nargs="+", choices=sorted(COUNTS), default=sorted(COUNTS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--most", type=int, default=max(COUNTS.values()), help="points a kernel")
    options = parser.parse_args()
    if sweep(options.family, tuple(options.kernels), options.workers, options.most):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
