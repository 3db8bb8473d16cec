"""A linear chain of kernels as a self-contained folder of RTL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import RTL_DIR, Instance, IntArray, Stream, require
from hw_targets.rtl.manifest import Manifest, memory_files
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.top import TOP, Link, render_top
from hw_targets.rtl.width_converter import converters

LEAST_DEPTH = 2
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Design:
    """Kernels in the order the data takes, with converters and FIFOs put between them.

    fifo_depths: one for each of `links`, in order; none given means `LEAST_DEPTH` everywhere.
    A depth of 0 leaves the FIFO out: the two neighbours are wired directly, ready included.
    pace: cycles a frame that width converters may take; no fewer than the slowest kernel does.

    Raises:
        ValueError: neighbours whose bits, signedness or elements a frame do not agree, names that
            are no identifiers or occur twice, or a wrong number of depths.
    """

    name: str
    instances: tuple[Instance, ...]
    fifo_depths: tuple[int, ...] = ()
    pace: int = 0

    def __post_init__(self) -> None:
        require(bool(self.instances), "design {name}: no kernels", name=self.name)
        names = [unit.name for unit in self.units]
        for name in names:
            require(_NAME.fullmatch(name) is not None, "{name}: not an identifier", name=name)
        require(len(set(names)) == len(names), "names occur twice: {names}", names=names)
        require(
            len(self.fifo_depths) in (0, len(self.units) + 1),
            "design {name}: {given} FIFO depths for {links} links",
            name=self.name,
            given=len(self.fifo_depths),
            links=len(self.units) + 1,
        )
        require(
            all(depth == 0 or depth >= LEAST_DEPTH for depth in self.fifo_depths),
            "design {name}: a FIFO depth is 0 (none) or at least {least}",
            name=self.name,
            least=LEAST_DEPTH,
        )

    @cached_property
    def units(self) -> tuple[Instance, ...]:
        """The instances with the width converters between them."""
        units = [self.instances[0]]
        pace = max(self.pace, *(instance.kernel.cycles for instance in self.instances))
        for instance in self.instances[1:]:
            source, sink = units[-1].kernel.output, instance.kernel.input
            _check(units[-1], instance)
            steps = converters(
                source.lanes, sink.lanes, source.bits, sink.elements, source.signed, pace
            )
            for number, kernel in enumerate(steps):
                suffix = "" if len(steps) == 1 else f"_{number}"
                units.append(Instance(f"{instance.name}_width{suffix}", kernel, {}))
            units.append(instance)
        return tuple(units)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """One before every unit, named after it, and `out`."""
        names = [*(unit.name for unit in self.units), "out"]
        streams = [self.input, *(unit.kernel.output for unit in self.units)]
        depths = self.fifo_depths or (LEAST_DEPTH,) * len(names)
        return tuple(map(Link, names, streams, depths))

    @property
    def input(self) -> Stream:
        return self.units[0].kernel.input

    @property
    def output(self) -> Stream:
        return self.units[-1].kernel.output

    @property
    def bound_cycles(self) -> int:
        """Clock cycles a frame takes in steady state: those of the slowest unit."""
        return max(unit.kernel.cycles for unit in self.units)

    def reference(self, frames: IntArray) -> Iterator[IntArray]:
        """The exact outputs of every instance in turn, each (frames, elements)."""
        values = np.asarray(frames, dtype=np.int64)
        for instance in self.instances:
            values = instance.kernel.reference(values, instance.arrays)
            yield values

    def write(self, folder: Path) -> Manifest:
        """Write sources, memories, `top.sv` and `manifest.json`, all named relative to `folder`.

        Files a former manifest in the folder names are removed first.
        """
        folder.mkdir(parents=True, exist_ok=True)
        Manifest.remove(folder)
        kernels = [unit.kernel for unit in self.units]
        if any(link.depth for link in self.links):
            kernels.append(Fifo(1, LEAST_DEPTH, 1))
        sources = sorted({name for kernel in kernels for name in kernel.sources})
        files = {source: (RTL_DIR / source).read_text() for source in sources}
        memories: dict[str, str] = {}
        for unit in self.units:
            for file, words in memory_files(unit).items():
                memories[file] = "\n".join(words) + "\n"
        files |= memories
        files["top.sv"] = render_top(self.name, self.units, self.links)
        for name, text in files.items():
            (folder / name).write_text(text, newline="\n")
        manifest = Manifest(
            name=self.name,
            top=TOP,
            sources=(*sources, "top.sv"),
            memories=tuple(memories),
            input=self.input,
            output=self.output,
            units=self.units,
            links=self.links,
            files=files,
        )
        manifest.write(folder)
        return manifest


def _check(source: Instance, sink: Instance) -> None:
    """Raise ValueError unless what `source` sends is what `sink` takes."""
    out, into = source.kernel.output, sink.kernel.input
    where = f"{source.name} -> {sink.name}"
    require(
        out.elements == into.elements,
        "{where}: {out} elements a frame, not {into}",
        where=where,
        out=out.elements,
        into=into.elements,
    )
    require(
        out.signed == into.signed,
        "{where}: one is signed, the other is not",
        where=where,
    )
    extended = isinstance(sink.kernel, Threshold) and out.bits < into.bits
    require(
        out.bits == into.bits or extended,
        "{where}: elements of {out} bits, not {into}",
        where=where,
        out=out.bits,
        into=into.bits,
    )
