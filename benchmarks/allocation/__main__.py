"""How long the exact allocation of ResNet-50's 54 layers takes, and how far it is proven.

    python -m benchmarks.allocation [--board FILE|NAME] [--seeds 2]

The layers stand in a chain, downsampling ones in their place: joins have no kernel yet. What
rounding a layer costs is drawn: 4^-bits (the noise of rounding) times a log-normal weight of the
layer, a spread of e^1.5 as DeepLIFT finds it on trained networks. Goals of several rates and limits
of mean bits; every one is given the solver's time limit of `allocate`. Writes results.json beside
this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hw_targets.boards import load_board
from hw_targets.network import LayerShape, NetworkShape
from passes import _allocation_solve as solve
from passes._allocation_build import build_space
from passes._allocation_goal import Goal, require_calibrated
from passes._allocation_space import Errors
from passes.allocate import Allocate

RESULTS = Path(__file__).with_name("results.json")
BOARD = Path(__file__).with_name("xc7v2000t.toml")
SHARE = 0.9
"""Of the device: 25 million weights need most of it, even at two bits."""
SPREAD = 1.5
RATES = (0.9, 0.5, 0.1)
"""Shares of the fastest rate that are asked for."""
MEAN_BITS = (2.5, 3.0, 4.0)


def resnet50() -> NetworkShape:
    """Its 53 convolutions and one dense layer (He et al., 2016), at 224 x 224."""
    layers = [LayerShape("conv1", "conv", 3, 64, (224, 224), (7, 7), (2, 2), (3, 3, 3, 3), pool=2)]
    size, channels = 56, 64
    for stage, (blocks, middle) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            stride, outputs = 2 if block == 0 and stage > 1 else 1, 4 * middle
            name, here, there = f"layer{stage}.{block}", (size, size), (size // stride,) * 2
            layers += [
                LayerShape(f"{name}.conv1", "conv", channels, middle, here),
                LayerShape(
                    f"{name}.conv2", "conv", middle, middle, here, (3, 3), (stride,) * 2, (1,) * 4
                ),
                LayerShape(f"{name}.conv3", "conv", middle, outputs, there),
            ]
            if block == 0:
                shortcut = LayerShape(
                    f"{name}.downsample", "conv", channels, outputs, here, (1, 1), (stride,) * 2
                )
                layers.append(shortcut)
            channels, size = outputs, size // stride
    layers.append(LayerShape("fc", "dense", 2048, 1000, activation=False))
    return NetworkShape("resnet50", tuple(layers), (3, 224, 224), 8, False, 1000)


def drawn_errors(network: NetworkShape, task: Allocate, seed: int) -> list[Errors]:
    """What rounding the weights and activations of each layer costs."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in network.layers:
        weight, act = rng.lognormal(0.0, SPREAD, 2) / len(network.layers)
        found.append(
            Errors(
                {bits: weight * 4.0**-bits for bits in task.weight_bits},
                {bits: act * 4.0**-bits for bits in task.act_bits},
            )
        )
    return found


def run(board_name: str, seeds: int) -> list[dict[str, Any]]:
    """A row for each seed, rate and mean of bits."""
    board, network = load_board(board_name), resnet50()
    rows = []
    for seed in range(seeds):
        task = Allocate(board_name, board.clock.default_mhz)
        goal = Goal(board, board.clock.default_mhz, None, SHARE)
        errors = drawn_errors(network, task, seed)
        start = time.perf_counter()
        space = build_space(network, board, task.weight_bits, task.act_bits, errors)
        built = time.perf_counter() - start
        require_calibrated(space, goal)
        for mean in MEAN_BITS:
            limits = goal.limits(network, mean)
            start = time.perf_counter()
            fastest = solve.least_interval(space, limits, task.time_limit_s)
            searched = time.perf_counter() - start
            if fastest is None:
                rows.append({"seed": seed, "mean_bits": mean, "fits": False})
                continue
            for rate in RATES:
                asked = solve.Limits(limits.budget, int(fastest.interval / rate), mean)
                start, processor = time.perf_counter(), time.process_time()
                found = solve.least_error(space, asked, task.thrift, task.time_limit_s)
                seconds = time.perf_counter() - start
                assert found is not None
                row = {
                    "seed": seed,
                    "mean_bits": mean,
                    "rate": rate,
                    "fits": True,
                    "edges": len(space),
                    "build_s": round(built, 2),
                    "fastest_s": round(searched, 2),
                    "seconds": round(seconds, 2),
                    "processor_s": round(time.process_time() - processor, 2),
                    "gap": found.gap,
                    "fps": round(goal.clock_mhz * 1e6 / found.interval, 1),
                    "bits": round(found.mean_weight_bits, 3),
                }
                rows.append(row)
                print(row, flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--board", default=str(BOARD))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    rows = run(chosen.board, chosen.seeds)
    solved = [row for row in rows if row["fits"]]
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "share": SHARE,
        "board": load_board(chosen.board).name,
        "layers": len(resnet50().layers),
        "median_s": statistics.median(row["seconds"] for row in solved),
        "most_s": max(row["seconds"] for row in solved),
        "greatest_gap": max(row["gap"] for row in solved),
        "proven": sum(row["gap"] == 0 for row in solved),
        "within_0.1_percent": sum(row["gap"] <= 1e-3 for row in solved),
        "of": len(solved),
        "machine": {
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "processor": platform.machine(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "highspy")},
        },
        "rows": rows,
    }
    chosen.results.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "rows"}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
