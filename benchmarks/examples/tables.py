"""docs/examples.md, from the rows of results: `python -m benchmarks.examples.tables`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.compression.store import Row, read

PAGE = Path(__file__).parents[2] / "docs" / "examples.md"
RESULTS = Path(__file__).with_name("results.jsonl")
BY_SIZE = ("conv1d", "mlp", "autoencoder", "lenet5", "dscnn", "unet", "mobilenet", "resnet8",
           "resnet20", "cnv")  # fmt: skip
HEAD = """# Examples

Every network of `examples/` through all passes, from the float network to the simulated RTL. Made
by `python -m benchmarks.examples --data FOLDER`, then `python -m benchmarks.examples.tables`.

Little is trained here: {train} training samples, two epochs. That the hardware computes what the
quantized network does is what is measured, not how well either does its task; weights and data of
the folders without a data set are drawn from a seed.

- *exact*: claims of export, lowering, folding, RTL generation and simulation that hold, of all;
  each compares integers at one boundary, and one that does not hold ends the compilation.
- *frames*: sent through the RTL, once freely and once with random stalls on both sides;
  *mismatches*: frames whose answers differ from the quantized network's, of both runs. Values in
  front of an arg-max are compared bit for bit.
- *interval*: clock cycles between frames, measured; *bound*: the slowest unit's. *latency*: of one
  frame.
- *FIFO bits*: of all FIFOs as sized; *held*: as many words as each held when none was ever full
  and frames came at the pace of the slowest unit, which is what a depth by peak occupancy takes;
  *least*: two words each, FINN's default where nothing is sized, which stops where branches meet.
- *sizing*: seconds it took, with compiling; *total*: seconds of all passes up to the simulation.
- *made*: a row is of the compiler and the RTL of that day.
"""
PLACED = """
## Placed and routed

With `--synthesis`, on an ECP5 of speed grade 6, of the first seed that met 100 MHz; shell
included. What misses it with every seed is listed below as not done. LUTs, registers, multipliers
and block RAMs as allocation estimated them, before constants were fitted and FIFOs sized by
simulation, and as placed.
"""
PLACED_COLUMNS = ("network", "board", "MHz", "LUT", "placed", "FF", "placed", "DSP", "placed",
                  "BRAM", "placed")  # fmt: skip
COLUMNS = ("network", "board", "MACs", "units", "weight bits", "activation bits", "exact", "frames",
           "mismatches", "interval", "bound", "latency", "FIFO bits", "held",
           "least", "sizing s", "total s", "made")  # fmt: skip


def page(rows: Sequence[Row], train: int = 512) -> str:
    """The documentation's page."""
    known = {row["name"]: row for row in rows}
    ordered = [known[name] for name in BY_SIZE if name in known]
    whole = [row for row in ordered if "failed" not in row]
    parts = [HEAD.format(train=train), table(COLUMNS, map(cells, whole))]
    placed = [row for row in whole if "clock_mhz" in row]
    if placed:
        parts += [PLACED, table(PLACED_COLUMNS, map(placed_cells, placed))]
    failed = [row for row in ordered if "failed" in row]
    if failed:
        parts.append("Not done:\n")
        parts.append("".join(f"- {row['name']}: {row['failed']}\n" for row in failed))
    return "\n".join([*parts, made(ordered)])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def cells(row: Row) -> list[str]:
    held, claims = (sum(each[part] for each in row["exact"].values()) for part in (0, 1))
    sizing = row.get("sizing_s")
    return [
        row["name"],
        row["board"],
        f"{row['macs']:,}",
        str(row["units"]),
        spread(row["weight_bits"]),
        spread(row["act_bits"]),
        f"{held} of {claims}",
        str(row["frames"]),
        str(row["mismatches"]),
        f"{row['interval']:,}",
        f"{row['bound']:,}",
        f"{row['latency']:,}",
        f"{row['fifo_bits']:,}",
        *(
            f"{row[part]:,}" if part in row else ""
            for part in ("fifo_bits_held", "fifo_bits_least")
        ),
        "" if sizing is None else f"{sizing:.0f}",
        f"{row['total_s'] - row.get('seconds', {}).get('synthesize', 0.0):.0f}",
        row["date"],
    ]


def placed_cells(row: Row) -> list[str]:
    counts = [
        f"{row[when][name]:,.0f}"
        for name in ("lut", "ff", "dsp", "bram")
        for when in ("estimated", "placed")
    ]
    return [row["name"], row["board"], f"{row['clock_mhz']:.1f}", *counts]


def spread(bits: Sequence[int]) -> str:
    """The least and the greatest."""
    return str(bits[0]) if len(bits) == 1 else f"{bits[0]} to {bits[-1]}" if bits else ""


def made(rows: Sequence[Row]) -> str:
    """When, on what and with what."""
    found = sorted(
        {
            f"{row['date']}, {row['machine']['cores']} cores, {row['machine']['memory_gb']} GB, "
            + ", ".join(f"{name} {number}" for name, number in row["versions"].items())
            for row in rows
        }
    )
    return "".join(f"Made {line}.\n" for line in found)


def main() -> int:
    PAGE.write_text(page(read(RESULTS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
