"""How quick the cost model answers: a million layers as columns, one layer, and from the shell.

    python -m benchmarks.queries [--layers 1000000] [--repeats 5] [--family ecp5]

Layers are drawn at random: dense and convolutions, padded and pooled ones, hidden and last, with
random bits, foldings and styles. Times are processor seconds, which a busy machine changes less
than the clock's, medians of several runs. Writes results.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hw_targets.cost.query import LayerQuery, layer_cost
from hw_targets.families import family_names

RESULTS = Path(__file__).with_name("results.json")
SINGLES = 2000
LINE = [
    *("cost", "--board", "ulx3s-85f", "--channels", "16:32", "--kernel", "3", "--size", "16x16"),
    *("--pad", "1", "--bits", "4:4:4", "--pe", "4", "--simd", "4"),
]


def random_layers(count: int, seed: int = 0) -> LayerQuery:
    """`count` layers in columns, of all kinds mixed."""
    rng = np.random.default_rng(seed)

    def drawn(*values: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        return rng.choice(np.array(values, dtype=np.float64), count)

    pe, simd = drawn(1, 2, 4, 8, 16), drawn(1, 2, 4, 8, 16)
    dense = rng.random(count) < 0.3
    side, kernel = drawn(8, 14, 16, 28, 32), drawn(1, 3, 3, 5)
    pad = np.where(kernel > 1, drawn(0, 1), 0.0)
    activation = (rng.random(count) < 0.9).astype(np.float64)

    def of_images(values: Any) -> Any:
        return np.where(dense, 1.0, values)

    return LayerQuery(
        in_channels=simd * drawn(1, 2, 3, 4, 8),
        out_channels=pe * drawn(1, 2, 3, 4, 8),
        in_bits=drawn(2, 3, 4, 6, 8),
        weight_bits=drawn(2, 3, 4, 6, 8),
        act_bits=np.where(activation > 0, drawn(2, 3, 4, 6), 0.0),
        pe=pe,
        simd=simd,
        in_h=of_images(side),
        in_w=of_images(side),
        kernel_h=of_images(kernel),
        kernel_w=of_images(kernel),
        stride_h=of_images(drawn(1, 1, 2)),
        stride_w=of_images(drawn(1, 1, 2)),
        pad_h=np.where(dense, 0.0, pad),
        pad_w=np.where(dense, 0.0, pad),
        pool=np.where(dense | (activation == 0), 1.0, drawn(1, 1, 2)),
        activation=activation,
        in_signed=drawn(0, 1),
        dsp=drawn(0, 1),
        block=drawn(0, 1),
        multiplier=drawn(0, 1),
    )


def random_singles(count: int, seed: int) -> list[LayerQuery]:
    """`count` layers of all kinds, one by one."""
    columns = vars(random_layers(count, seed))
    # What a kind of layer has not drawn is one number for all.
    rows = zip(*(np.broadcast_to(each, count).tolist() for each in columns.values()), strict=True)
    return [LayerQuery(*row) for row in rows]


def processor_seconds(task: Callable[[], object], repeats: int) -> float:
    """Median of several runs; the first, which fills caches, does not count."""
    task()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return statistics.median(found)


def shell_seconds(arguments: Sequence[str], repeats: int) -> tuple[float, float]:
    """Median processor and clock seconds of a Python of its own with these arguments."""
    command = [sys.executable, *arguments]
    processor, clock = [], []
    for _ in range(repeats + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        clock.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(processor[1:]), statistics.median(clock[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--family", choices=family_names(), default="ecp5")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    layers = random_layers(chosen.layers)
    found = layer_cost(layers, chosen.family)
    batch = processor_seconds(lambda: layer_cost(layers, chosen.family), chosen.repeats)
    # Other layers each time: answers are kept.
    fresh = iter([random_singles(SINGLES, seed) for seed in range(1, chosen.repeats + 2)])
    single = processor_seconds(
        lambda: [layer_cost(one, chosen.family) for one in next(fresh)], chosen.repeats
    )
    bare, _ = shell_seconds(["-c", "pass"], chosen.repeats)
    help_, _ = shell_seconds(["-m", "compiler.cli", "--help"], chosen.repeats)
    processor, clock = shell_seconds(["-m", "compiler.cli", *LINE], chosen.repeats)
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "family": chosen.family,
        "layers": chosen.layers,
        "calibrated": round(float(np.mean(found.inside)), 3),
        "layers_a_second": round(chosen.layers / batch),
        "single_microseconds": round(1e6 * single / SINGLES, 1),
        "python_processor_seconds": round(bare, 3),
        "help_processor_seconds": round(help_, 3),
        "shell_processor_seconds": round(processor, 3),
        "shell_seconds": round(clock, 3),
        "machine": {
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "processor": platform.machine(),
        },
        "versions": {"python": platform.python_version(), "numpy": version("numpy")},
    }
    chosen.results.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
