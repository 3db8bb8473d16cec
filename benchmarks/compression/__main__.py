"""Compares criteria on the same networks, data, budgets, procedures and seeds.

    python -m benchmarks.compression --data FOLDER [--tasks structured] [--networks resnet20] ...

Each experiment (task, network, method, seed) is appended to results/<task>-<network>.jsonl as soon
as it is done; what is there already is not run again. `python -m benchmarks.compression.tables`
makes the tables and plots of the documentation.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.compression import bits, cost, sharing, structured, unstructured
from benchmarks.compression.bench import Bench, Row, Settings
from benchmarks.compression.floats import RECIPES
from benchmarks.compression.store import Store
from passes.base import PRECISIONS

RESULTS = Path(__file__).with_name("results")

Experiment = Callable[[Bench, str, int], Iterator[Row]]

TASKS: dict[str, tuple[Experiment, tuple[str, ...]]] = {
    "structured": (structured.run, structured.METHODS),
    "unstructured": (unstructured.run, unstructured.METHODS),
    "sharing": (sharing.run, sharing.METHODS),
    "bits": (bits.run, bits.METHODS),
    "cost": (cost.run, cost.METHODS),
}


def circumstances() -> Row:
    """When, with what and on what."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "captum", "brevitas")},
        },
    }


def experiment(bench: Bench, task: str, method: str, seed: int, store: Store) -> None:
    """Runs one experiment unless `store` has it."""
    chosen = bench.settings
    key = {
        "network": bench.name,
        "method": method,
        "seed": seed,
        "samples": chosen.samples,
        "tested": chosen.tested,
        "tuned": chosen.tuned,
        "trained": chosen.trained,
        "levels": list(chosen.levels) or None,
        "precision": chosen.precision,
    }
    if store.has(**key):
        return
    store.drop(**key)
    started = time.perf_counter()
    rows = list(TASKS[task][0](bench, method, seed))
    for row in rows[:-1]:
        store.add({**key, **row})
    last = {"float": bench.model.accuracy, **circumstances(), "done": True}
    store.add({**key, **rows[-1], **last})
    took = time.perf_counter() - started
    print(f"{task} {bench.name} {method} seed {seed}: {took:.0f} s {rows}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data and weights")
    parser.add_argument("--floats", type=Path, default=Path("build/compression"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--networks", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--methods", nargs="+", help="a choice of the tasks' methods")
    parser.add_argument("--levels", nargs="+", type=float, default=[], help="a choice of theirs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=256, help="samples of attribution")
    parser.add_argument("--tested", type=int, default=2500, help="test images of an accuracy")
    parser.add_argument("--tuned", type=int, default=6400, help="images of a fine-tuning")
    parser.add_argument("--trained", type=int, default=6400, help="images of a QAT")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="of layers in training"
    )
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    settings = Settings(
        tuple(range(chosen.seeds)),
        chosen.samples,
        chosen.tested,
        chosen.tuned,
        chosen.trained,
        tuple(chosen.levels),
        chosen.precision,
    )
    chosen.results.mkdir(parents=True, exist_ok=True)
    for network in chosen.networks:
        bench = Bench.open(network, chosen.data, chosen.floats, settings)
        for task in chosen.tasks:
            store = Store(chosen.results / f"{task}-{network}.jsonl")
            methods = [m for m in TASKS[task][1] if not chosen.methods or m in chosen.methods]
            for seed in settings.seeds:
                for method in methods:
                    if task == "bits" and not bits.tells(bench, method):
                        continue
                    experiment(bench, task, method, seed, store)
    return 0


if __name__ == "__main__":
    sys.exit(main())
