"""Whole designs side by side in one Verilator model, since every model costs seconds to compile."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hw_targets.flows.simulator import Channel, Simulator, build
from hw_targets.rtl.design import Design
from hw_targets.rtl.kernel import Instance, Source
from hw_targets.rtl.top import TOP

BENCH = "bench"


def simulator_of(designs: Sequence[Design], folder: Path, optimize: str = "-O0") -> Simulator:
    """One model with a channel for each design."""
    sources: dict[str, None] = {}
    ports, blocks, channels = ["input logic clk", "input logic rst"], [], []
    for index, design in enumerate(designs):
        own = renamed(design, f"d{index}_")
        manifest = own.write(folder / f"{index}")
        for file in manifest.files:
            if file != "top.sv":
                (folder / file).write_text(manifest.files[file])
        sources |= dict.fromkeys(name for name in manifest.sources if name != "top.sv")
        text = manifest.files["top.sv"].replace(f"module {TOP}", f"module {TOP}_{index}")
        (folder / f"top_{index}.sv").write_text(text)
        links = ["clk(clk)", "rst(rst)"]
        for prefix, side, stream in (("s", "input", own.input), ("m", "output", own.output)):
            back = "output" if side == "input" else "input"
            ports.append(f"{side} logic [{stream.width - 1}:0] {prefix}{index}_tdata")
            ports.append(f"{side} logic {prefix}{index}_tvalid")
            ports.append(f"{back} logic {prefix}{index}_tready")
            links += [
                f"{prefix}_axis_{part}({prefix}{index}_{part})"
                for part in ("tdata", "tvalid", "tready")
            ]
        wires = ", ".join(f".{link}" for link in links)
        blocks.append(f"{TOP}_{index} u_{index} ({wires});")
        channels.append(Channel(f"s{index}", f"m{index}"))
    body = "\n".join(blocks)
    (folder / "bench.sv").write_text(f"module {BENCH} ({', '.join(ports)});\n{body}\nendmodule\n")
    tops = [f"top_{index}.sv" for index in range(len(designs))]
    files = [*sources, *tops, "bench.sv"]
    return build(folder, BENCH, files, folder / "obj", channels=channels, optimize=optimize)


def renamed(design: Design, prefix: str) -> Design:
    """The design with a prefix on every unit's name, so that memory files have their own."""

    def source(given: Source) -> Source:
        return given if not given.instance else Source(prefix + given.instance, given.stream)

    instances = tuple(
        Instance(
            prefix + each.name,
            each.kernel,
            each.arrays,
            None if each.sources is None else tuple(map(source, each.sources)),
        )
        for each in design.instances
    )
    return dataclasses.replace(design, instances=instances)
