"""Every example through the whole pipeline, to bit-exact simulation with random stalls.

    python -m benchmarks.examples [--data FOLDER] [--only NAMES] [--frames N] [--synthesis]
    python -m benchmarks.examples.tables

Each example is a process of its own, goes on where an earlier run stopped, and is a line of
results.jsonl, a failure too. --data is the folder of data sets that are not to be downloaded
(LIFTFLOW_DATA). --synthesis goes on to the bitstream where the tools are open. `tables` makes
docs/examples.md. What is printed goes to build/examples/NAME.log.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import IO

from benchmarks.compression.store import Row, Store
from benchmarks.examples.measure import NAMES, circumstances, measure
from hw_targets.errors import LiftFlowError

RESULTS = Path(__file__).with_name("results.jsonl")
WORK = Path("build/examples")


def one(name: str, frames: int, results: Path, synthesis: bool = False) -> int:
    """Measures one example in this process and stores its row, unless that is there."""
    try:
        row = measure(name, frames, WORK, synthesis)
    except Exception as error:
        if not isinstance(error, LiftFlowError):
            traceback.print_exc()
        said = " ".join(f"{type(error).__name__}: {error}".split())
        print(said, flush=True)
        put(results, {"name": name, "failed": said})
        return 1
    store = Store(results)
    if not store.has(name=name, key=row["key"]):
        put(results, row)
    return 0


def put(results: Path, row: Row) -> None:
    """The row in place of what is known of its example."""
    store = Store(results)
    store.drop(name=row["name"])
    store.add({**row, **circumstances(), "done": "failed" not in row})


def line(row: Row) -> str:
    """What came out, in a line."""
    if "failed" in row:
        return f"{row['name']}: {row['failed']}"
    return (
        f"{row['name']}: {row['frames']} frames, {row['mismatches']} mismatches, "
        f"{row['interval']} cycles a frame (bound {row['bound']}), latency {row['latency']}, "
        f"{row['fifo_bits']} FIFO bits, {row['total_s']} s"
    )


def within(command: list[str], seconds: int, log: IO[str]) -> int | None:
    """The command's status; None if it took longer, and was ended with all that it started."""
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--frames", type=int, default=100, help="3 of networks beyond 20M MACs")
    parser.add_argument("--limit", type=int, default=3600, help="seconds for an example")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--synthesis", action="store_true", help="ECP5 boards to the bitstream")
    parser.add_argument("--here", action="store_true", help="one example, in this process")
    chosen = parser.parse_args()
    if chosen.data:
        os.environ["LIFTFLOW_DATA"] = str(chosen.data.resolve())
    if chosen.here:
        return max(
            one(name, chosen.frames, chosen.results, chosen.synthesis) for name in chosen.only
        )
    failed = 0
    WORK.mkdir(parents=True, exist_ok=True)
    for name in chosen.only:
        command = [sys.executable, "-m", "benchmarks.examples", "--here", "--only", name]
        command += ["--frames", str(chosen.frames)]
        command += ["--results", str(chosen.results)]
        command += ["--synthesis"] if chosen.synthesis else []
        with (WORK / f"{name}.log").open("w") as log:
            status = within(command, chosen.limit, log)
        if status is None:
            put(chosen.results, {"name": name, "failed": f"not done in {chosen.limit} s"})
        failed += status != 0
        rows = [row for row in Store(chosen.results).rows if row["name"] == name]
        print(line(rows[-1]) if rows else f"{name}: ended with {status}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
