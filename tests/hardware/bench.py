"""Many kernels side by side in one Verilator model, since every model costs seconds to compile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice, zip_longest
from pathlib import Path

from hw_targets.flows.simulator import Channel, SimRun, Simulator, Stimulus, build
from hw_targets.rtl.kernel import Instance, IntArray, literal, source_texts
from hw_targets.rtl.manifest import memory_files, memory_parameters

TOP = "bench"


def write_bench(instances: Sequence[Instance], folder: Path) -> list[str]:
    """Write sources, memories and a wrapper; returns sources.

    Stream k of instance i has the ports `s<i>_<k>_*` or `m<i>_<k>_*`.
    """
    sources = source_texts(instance.kernel for instance in instances)
    for source, text in sources.items():
        (folder / source).write_text(text)
    for instance in instances:
        for name, words in memory_files(instance).items():
            (folder / name).write_text("\n".join(words) + "\n")
    ports = ["input logic clk", "input logic rst"]
    blocks = []
    for index, instance in enumerate(instances):
        kernel = instance.kernel
        values = kernel.parameters() | memory_parameters(instance)
        parameters = ", ".join(f".{key}({literal(value)})" for key, value in values.items())
        links = []
        for prefix, streams in (("s", kernel.inputs), ("m", kernel.outputs)):
            side, back = ("input", "output") if prefix == "s" else ("output", "input")
            names = [f"{prefix}{index}_{number}" for number in range(len(streams))]
            for name, stream in zip(names, streams, strict=True):
                ports.append(f"{side} logic [{stream.width - 1}:0] {name}_tdata")
                ports.append(f"{side} logic {name}_tvalid")
                ports.append(f"{back} logic {name}_tready")
            for part in ("tdata", "tvalid", "tready"):
                wires = ", ".join(f"{name}_{part}" for name in reversed(names))
                links.append(f".{prefix}_axis_{part}({{{wires}}})")
        blocks.append(
            f"{kernel.module} #({parameters}) u_{instance.name} "
            f"(.clk(clk), .rst(rst), {', '.join(links)});"
        )
    body = "\n".join(blocks)
    (folder / "bench.sv").write_text(f"module {TOP} ({', '.join(ports)});\n{body}\nendmodule\n")
    return [*sources, "bench.sv"]


@dataclass(frozen=True)
class Bench:
    """A model of the instances side by side.

    A channel of the simulator is stream k in and stream k out of an instance, as far as there are.
    """

    simulator: Simulator
    instances: tuple[Instance, ...]

    def run(
        self,
        frames: Sequence[Sequence[IntArray]],
        stalls: Sequence[tuple[float, float]] = ((1.0, 1.0),),
        seed: int = 0,
    ) -> list[list[SimRun]]:
        """Send frames through all of them at once; results by instance and channel.

        Args:
            frames: of every input stream of every instance, each (n, elements).
            stalls: `in_valid` and `out_ready` of the first channel of every instance, the second
                and so on, and again from the start.
        """
        stimuli = []
        for instance, given in zip(self.instances, frames, strict=True):
            kernel, empty = instance.kernel, given[0][:, :0]
            sides = zip_longest(given, kernel.inputs, kernel.outputs)
            for (values, into, out), (in_valid, out_ready) in zip(sides, cycle(stalls)):
                data = empty if values is None else values
                stimuli.append(Stimulus(data, into, out, in_valid, out_ready))
        runs = iter(self.simulator.run_channels(stimuli, seed=seed))
        return [list(islice(runs, _channels(instance))) for instance in self.instances]


def simulate(instances: Sequence[Instance], folder: Path) -> Bench:
    """Compile one model of all instances."""
    sources = write_bench(instances, folder)
    channels = [
        Channel(
            f"s{index}_{number}" if number < len(instance.kernel.inputs) else "",
            f"m{index}_{number}" if number < len(instance.kernel.outputs) else "",
        )
        for index, instance in enumerate(instances)
        for number in range(_channels(instance))
    ]
    simulator = build(
        folder, TOP, sources, folder / "obj", channels=channels, strict=True, optimize="-O0"
    )
    return Bench(simulator, tuple(instances))


def _channels(instance: Instance) -> int:
    return max(len(instance.kernel.inputs), len(instance.kernel.outputs))
