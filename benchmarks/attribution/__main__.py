"""Times DeepLIFT of all ResNet-20 layers: one pass for all against Captum layer by layer.

    python -m benchmarks.attribution [--data FOLDER] [--samples 256] [--batch 16] [--repeats 3]

Both are timed in this one run, on the same model and samples, in batches of the same size, and
compared bit by bit. With --data, weights and images are those of the folder (CIFAR-10 as JPEG),
otherwise random ones. Also measures the peak memory of the streamed scores at few and at many
samples, each in a process of its own. Writes results.json beside this file. One thread by default:
with more, a busy machine slows the many small operations of the layer-by-layer runs more than the
single pass and flatters the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
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

from benchmarks.data import load
from benchmarks.networks import resnet20
from passes.deeplift import attribute_all_layers

WEIGHTS = "resnet20-12fca82f.th"
MEMORY_SAMPLES = (64, 256, 1024)

RESULTS = Path(__file__).with_name("results.json")


def network(state: Path | None, samples: Tensor) -> nn.Module:
    """ResNet-20 in eval mode; without a state dict random, its batch norms fitted to `samples`."""
    torch.manual_seed(0)
    model = resnet20()
    if state is not None:
        loaded = torch.load(state, map_location="cpu", weights_only=True)["state_dict"]
        model.load_state_dict({key.removeprefix("module."): v for key, v in loaded.items()})
    else:
        # Activations of trained size: untouched statistics let them grow from block to block.
        with torch.no_grad():
            for _ in range(20):
                model.train()(samples[:64])
    return model.eval()


def images(data: Path | None, count: int) -> tuple[Tensor, Tensor]:
    """(count, 3, 32, 32) samples and references."""
    if data is None:
        torch.manual_seed(1)
        samples, references = torch.randn(2, count, 3, 32, 32)
        return samples, references
    test = torch.from_numpy(load("cifar10-jpeg", data).test_x[: 2 * count])
    return test[:count], test[count:]


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


def timed(
    function: Callable[[Tensor, Tensor], dict[str, Tensor]],
    batches: list[tuple[Tensor, Tensor]],
) -> tuple[float, list[dict[str, Tensor]]]:
    """(seconds over all batches, results of the first)."""
    start = time.perf_counter()
    first: list[dict[str, Tensor]] = []
    for samples, references in batches:
        result = function(samples, references)
        if not first:
            first.append(result)
    return time.perf_counter() - start, first


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """The record that results.json holds."""
    samples, references = images(chosen.data, chosen.samples)
    state = chosen.data / WEIGHTS if chosen.data else None
    model = network(state, samples)
    layers: dict[str, nn.Module] = {
        name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
    batches = list(zip(samples.split(chosen.batch), references.split(chosen.batch), strict=True))

    def ours(x: Tensor, r: Tensor) -> dict[str, Tensor]:
        return single_pass(model, layers, x, r, 3)

    def theirs(x: Tensor, r: Tensor) -> dict[str, Tensor]:
        return per_layer(model, layers, x, r, 3)

    ours(*batches[0])  # warm up both: threads, caches
    per_layer(model, dict([next(iter(layers.items()))]), *batches[0], 3)
    times: dict[str, list[float]] = {"per_layer": [], "single_pass": []}
    unequal: set[str] = set()
    for repeat in range(chosen.repeats):
        # Another batch is compared in each repeat, all of them are timed.
        turned = batches[repeat % len(batches) :] + batches[: repeat % len(batches)]
        seconds, expected = timed(theirs, turned)
        times["per_layer"].append(seconds)
        seconds, got = timed(ours, turned)
        times["single_pass"].append(seconds)
        unequal |= {n for n in layers if not torch.equal(got[0][n], expected[0][n])}
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "network": "ResNet-20",
        "data": "CIFAR-10 (JPEG), published weights" if chosen.data else "random, seeds 0 and 1",
        "layers": len(layers),
        "samples": chosen.samples,
        "batch": chosen.batch,
        "repeats": chosen.repeats,
        "seconds": times,
        "median_seconds": medians,
        "speedup": medians["per_layer"] / medians["single_pass"],
        "bit_identical": not unequal,
        "unequal_layers": sorted(unequal),
        "peak_mebibytes": {str(count): peak_memory(count) for count in MEMORY_SAMPLES},
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


def peak_memory(samples: int) -> float:
    """MiB that a process had at most, scoring ResNet-20 over so many of 2,048 random images."""
    script = SCORED.format(samples=samples)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return round(int(done.stdout) / 1024, 1)


SCORED = """
import resource
import numpy as np, torch
from benchmarks.networks import resnet20
from compiler.stages import Dataset
from passes._relevance import Settings, measure
from passes.prepare import prepared_network
torch.set_num_threads(1)
torch.manual_seed(0)
module, _, _ = prepared_network(resnet20().eval(), (3, 32, 32))
x = np.random.default_rng(0).normal(size=(2048, 3, 32, 32)).astype(np.float32)
data = Dataset("made", x, np.arange(2048) % 10, x[:1], np.zeros(1, np.int64), 10)
settings = Settings({samples}, "random", "margin", batch=32)
measure(module, data, settings, np.random.default_rng(0), "cpu")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10 images and weights")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    record = measure(chosen)
    chosen.out.write_text(json.dumps(record, indent=2) + "\n")
    for name, seconds in record["median_seconds"].items():
        print(f"{name:12} {seconds:8.3f} s for {record['layers']} layers")
    print(f"peak memory by samples, MiB: {record['peak_mebibytes']}")
    print(f"{record['speedup']:.1f} times faster, bit identical: {record['bit_identical']}")
    return 0 if record["bit_identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
