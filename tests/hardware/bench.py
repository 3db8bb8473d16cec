"""Many kernels side by side in one Verilator model, since every model costs seconds to compile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hw_targets.flows.simulator import Channel, Simulator, build
from hw_targets.rtl.kernel import RTL_DIR, Instance
from hw_targets.rtl.manifest import memory_files, memory_parameters

TOP = "bench"


def write_bench(instances: Sequence[Instance], folder: Path) -> list[str]:
    """Write sources, memories and a wrapper with ports `s<i>_*` and `m<i>_*`; returns sources."""
    sources = sorted({name for instance in instances for name in instance.kernel.sources})
    for source in sources:
        (folder / source).write_text((RTL_DIR / source).read_text())
    for instance in instances:
        for name, words in memory_files(instance).items():
            (folder / name).write_text("\n".join(words) + "\n")
    ports = ["input logic clk", "input logic rst"]
    blocks = []
    for index, instance in enumerate(instances):
        kernel = instance.kernel
        values = kernel.parameters() | memory_parameters(instance)
        parameters = ", ".join(
            f'.{key}("{value}")' if isinstance(value, str) else f".{key}({value})"
            for key, value in values.items()
        )
        links = []
        for prefix, side, stream in (("s", "input", kernel.input), ("m", "output", kernel.output)):
            back = "output" if side == "input" else "input"
            ports.append(f"{side} logic [{stream.width - 1}:0] {prefix}{index}_tdata")
            ports.append(f"{side} logic {prefix}{index}_tvalid")
            ports.append(f"{back} logic {prefix}{index}_tready")
            links += [
                f".{prefix}_axis_{part}({prefix}{index}_{part})"
                for part in ("tdata", "tvalid", "tready")
            ]
        blocks.append(
            f"{kernel.module} #({parameters}) u_{instance.name} "
            f"(.clk(clk), .rst(rst), {', '.join(links)});"
        )
    body = "\n".join(blocks)
    (folder / "bench.sv").write_text(f"module {TOP} ({', '.join(ports)});\n{body}\nendmodule\n")
    return [*sources, "bench.sv"]


def simulate(instances: Sequence[Instance], folder: Path) -> Simulator:
    """One model with a channel for each instance."""
    sources = write_bench(instances, folder)
    channels = [Channel(f"s{i}", f"m{i}") for i in range(len(instances))]
    return build(folder, TOP, sources, folder / "obj", channels=channels, optimize="-O0")
