"""Times DeepLIFT of all ResNet-20 layers: one pass for all against Captum layer by layer.

    python -m benchmarks.attribution [--weights resnet20.th] [--samples 16] [--repeats 5]

Both are timed in this one run, on the same model and samples, and compared bit by bit. Writes
results.json beside this file. One thread by default: with more, a busy machine slows the many
small operations of the layer-by-layer runs more than the single pass and flatters the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from captum.attr import LayerDeepLift
from torch import Tensor, nn

from benchmarks.networks import resnet20
from compiler.frontend.model import fill, read_state
from passes.deeplift import attribute_all_layers

RESULTS = Path(__file__).with_name("results.json")


def network(weights: Path | None, samples: Tensor) -> nn.Module:
    """ResNet-20 in eval mode; without weights random, its batch norms fitted to `samples`."""
    torch.manual_seed(0)
    model = resnet20()
    if weights is not None:
        fill(model, read_state(weights), where=str(weights))
    else:
        # Activations of trained size: untouched statistics let them grow from block to block.
        with torch.no_grad():
            for _ in range(20):
                model.train()(samples)
    return model.eval()


def per_layer(
    model: nn.Module, layers: dict[str, nn.Module], samples: Tensor, references: Tensor, target: int
) -> dict[str, Tensor]:
    """Contributions by Captum, a run a layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: LayerDeepLift(model, layer).attribute(samples, references, target=target).detach()
            for name, layer in layers.items()
        }


def single_pass(
    model: nn.Module, layers: dict[str, nn.Module], samples: Tensor, references: Tensor, target: int
) -> dict[str, Tensor]:
    """Contributions by one backward pass for all layers."""
    coefficients = torch.zeros(len(samples), 10)
    coefficients[:, target] = 1
    found = attribute_all_layers(model, samples, references, coefficients, layers)
    return {name: record.contributions for name, record in found.layers.items()}


def timed(function: Callable[[], dict[str, Tensor]]) -> tuple[float, dict[str, Tensor]]:
    """(seconds, result)."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measure(weights: Path | None, count: int, repeats: int) -> dict[str, Any]:
    """The record that results.json holds."""
    torch.manual_seed(1)
    samples, references = torch.randn(2, count, 3, 32, 32)
    model = network(weights, samples)
    layers: dict[str, nn.Module] = {
        name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
    single_pass(model, layers, samples, references, 3)  # warm up both: threads, caches
    per_layer(model, dict([next(iter(layers.items()))]), samples, references, 3)
    times: dict[str, list[float]] = {"per_layer": [], "single_pass": []}
    unequal: set[str] = set()
    for _ in range(repeats):
        seconds, expected = timed(lambda: per_layer(model, layers, samples, references, 3))
        times["per_layer"].append(seconds)
        seconds, got = timed(lambda: single_pass(model, layers, samples, references, 3))
        times["single_pass"].append(seconds)
        unequal |= {name for name in layers if not torch.equal(got[name], expected[name])}
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "network": "ResNet-20",
        "weights": weights.name if weights else "random, seed 0",
        "layers": len(layers),
        "batch": count,
        "repeats": repeats,
        "seconds": times,
        "median_seconds": medians,
        "speedup": medians["per_layer"] / medians["single_pass"],
        "bit_identical": not unequal,
        "unequal_layers": sorted(unequal),
        "machine": {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load_average": round(os.getloadavg()[0], 1),
            "processor": platform.processor() or platform.machine(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": version("torch"),
            "captum": version("captum"),
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, help="state dict of a trained ResNet-20")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    record = measure(arguments.weights, arguments.samples, arguments.repeats)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n")
    for name, seconds in record["median_seconds"].items():
        print(f"{name:12} {seconds:8.3f} s for {record['layers']} layers")
    print(f"{record['speedup']:.1f} times faster, bit identical: {record['bit_identical']}")
    return 0 if record["bit_identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
