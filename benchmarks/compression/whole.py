"""ResNet-20 through the whole compiler to exact QONNX: half its MACs gone, 4 bits on average.

    python -m benchmarks.compression.whole --data FOLDER [--until finetune]

Runs the passes as `liftflow compile` does, in build/compression; an interrupted run goes on.
Writes results/whole-resnet20.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.compression.__main__ import RESULTS
from benchmarks.compression.bench import unseen
from benchmarks.compression.floats import RECIPES, dataset_of, float_model
from compiler.api import default_pipeline
from compiler.config import Goals
from compiler.instruments import Ledger, Progress
from compiler.pipeline import RunResult
from compiler.stages import QonnxModel, QuantModel, ScoredModel

NETWORK = "resnet20"
AUGMENTED = {"shift": 4, "mirror": True}
OPTIONS: dict[str, dict[str, Any]] = {
    "prune-filters": {"macs": 0.5, "steps": 5},
    "finetune": {
        "epochs": 12,
        "lr": 0.03,
        "decay": 5e-4,
        "clip": 5.0,
        "precision": "bfloat16",
        **AUGMENTED,
    },
    "allocate": {"mean_weight_bits": 4.0, "mean_act_bits": 5.0, "act_bits": (3, 4, 5, 6, 8)},
    "retrain": {
        "epochs": 24,
        "lr": 0.01,
        "samples": 25_600,
        "batch": 128,
        "holdout": 0.02,
        "precision": "bfloat16",
        **AUGMENTED,
    },
}


def record(result: RunResult, float_accuracy: float) -> dict[str, Any]:
    """What results/whole-resnet20.json holds."""
    scored: ScoredModel = result.stage("allocate")
    quant: QuantModel = result.stage("retrain")
    qonnx: QonnxModel = result.stage("export-qonnx")
    assert scored.pruned is not None
    assert scored.allocation is not None
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "network": NETWORK,
        "options": OPTIONS,
        "tested": len(qonnx.predictions),
        "accuracy": {
            "float": float_accuracy,
            "pruned": scored.pruned.accuracy,
            "fine-tuned": scored.accuracy,
            "quantized": quant.accuracy,
            "QONNX": qonnx.accuracy,
        },
        "macs_removed": 1 - scored.pruned.macs_after / scored.pruned.macs_before,
        "mean_weight_bits": scored.allocation.mean_weight_bits,
        "bits": {
            name: [choice.weight_bits, choice.act_bits]
            for name, choice in scored.allocation.layers.items()
        },
        "checks": [
            {"claim": check.claim, "measured": check.measured, "passed": check.passed}
            for one in result.records
            for check in one.checks
        ],
        "seconds": {one.name: round(one.seconds, 1) for one in result.records},
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "captum", "brevitas", "qonnx")},
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data and weights")
    parser.add_argument("--floats", type=Path, default=Path("build/compression"))
    parser.add_argument("--output", type=Path, default=Path("build/compression"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--tested", type=int, default=2500, help="test images of an accuracy")
    parser.add_argument("--until", default="export-qonnx")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    data = unseen(dataset_of(NETWORK, chosen.data), chosen.tested)
    start = float_model(NETWORK, data, chosen.floats, chosen.data)
    assert RECIPES[NETWORK].input == start.input
    pipeline = default_pipeline("pynq-z2", Goals(), OPTIONS).until(chosen.until)
    result = pipeline.run(
        start, data, chosen.output / NETWORK, instruments=[Progress(Console()), Ledger()]
    )
    if "export-qonnx" in result:
        found = record(result, result.stage("prepare").accuracy)
        chosen.results.mkdir(parents=True, exist_ok=True)
        file = chosen.results / f"whole-{NETWORK}.json"
        file.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps({key: found[key] for key in ("accuracy", "macs_removed")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
