"""What skip paths of the examples are expected to hold, beside their FIFOs as sized.

    python -m benchmarks.examples.skips [--data FOLDER]

Prints a line for every example whose branches meet again: bits of the FIFOs in front of joints by
`hw_targets.cost.skips`, at the interval that was measured, and those of all its FIFOs, kept in
results.jsonl. Nothing is compiled.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.compression.store import Row, Store
from benchmarks.examples.measure import example
from hw_targets.cost.backlog import joins
from hw_targets.cost.planned import planned_units
from hw_targets.cost.skips import Unfolded, skip_depths
from hw_targets.network import NetworkShape

RESULTS = Path(__file__).with_name("results.jsonl")


def skip_bits(network: NetworkShape, interval: int) -> int:
    """Bits of the FIFOs in front of joints, as `liftflow cost` and `allocate` price them."""
    units, _ = planned_units(network, [Unfolded.of(each) for each in network.layers], interval)
    return sum(
        depth * stream.width
        for unit in units
        if joins(unit.kernel)
        for depth, stream in zip(
            skip_depths(network, interval, unit), unit.kernel.inputs, strict=True
        )
    )


def line(row: Row) -> str:
    """Empty for a chain, and for an example that has no row."""
    if "failed" in row or row["chain"]:
        return ""
    expected = skip_bits(example(row["name"]), row["interval"])
    sized, least = row["fifo_bits"], row["fifo_bits_least"]
    return (
        f"{row['name']}: {expected:,} bits expected of skip paths; all FIFOs {sized:,} as sized, "
        f"{least:,} of the least depth"
        if expected
        else ""
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    chosen = parser.parse_args()
    if chosen.data:
        os.environ["LIFTFLOW_DATA"] = str(chosen.data.resolve())
    for row in Store(RESULTS).rows:
        told = line(row)
        if told:
            print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
