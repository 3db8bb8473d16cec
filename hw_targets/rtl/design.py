"""A graph of kernels as a self-contained folder of RTL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hw_targets.rtl.add import Add
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Instance, IntArray, Source, Stream, require, source_texts
from hw_targets.rtl.manifest import Manifest, memory_files
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.top import TOP, Link, render_top
from hw_targets.rtl.width_converter import converters
from hw_targets.rtl.wiring import INPUT, evaluate, given, wired

LEAST_DEPTH = 2
_EXTENDED = (Threshold, Add)
"""Kernels whose input may have more bits than what comes: the top extends it."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Design:
    """Kernels from one input to one output, with converters and FIFOs put between them.

    instances: each behind those it takes from; the first takes the design's input, the last gives
    its output, and every stream between them is taken once.
    fifo_depths: one for each of `links`, in order; none given means `LEAST_DEPTH` everywhere.
    A depth of 0 leaves the FIFO out: the two neighbours are wired directly, ready included.
    pace: cycles a frame that width converters may take; no fewer than the slowest kernel does.

    Raises:
        ValueError: neighbours whose bits, signedness or elements a frame do not agree, streams
            that are not there, come too late or are taken by none or by two, names that are no
            identifiers or occur twice, or a wrong number of depths.
    """

    name: str
    instances: tuple[Instance, ...]
    fifo_depths: tuple[int, ...] = ()
    pace: int = 0

    def __post_init__(self) -> None:
        require(bool(self.instances), "design {name}: no kernels", name=self.name)
        for instance in self.instances:
            require(
                _NAME.fullmatch(instance.name) is not None,
                "{name}: not an identifier",
                name=instance.name,
            )
        _once([instance.name for instance in self.instances])
        _once([unit.name for unit in self.units])
        _once([name for name, _ in self._connections])
        require(
            len(self.fifo_depths) in (0, len(self._connections)),
            "design {name}: {given} FIFO depths for {links} links",
            name=self.name,
            given=len(self.fifo_depths),
            links=len(self._connections),
        )
        require(
            all(depth == 0 or depth >= LEAST_DEPTH for depth in self.fifo_depths),
            "design {name}: a FIFO depth is 0 (none) or at least {least}",
            name=self.name,
            least=LEAST_DEPTH,
        )

    @cached_property
    def units(self) -> tuple[Instance, ...]:
        """The instances with the width converters between them, each with its sources."""
        pace = max(self.pace, *(instance.kernel.cycles for instance in self.instances))
        units: list[Instance] = []
        free = {INPUT: self.instances[0].kernel.input}
        for instance, sources in zip(self.instances, wired(self.instances), strict=True):
            inputs = instance.kernel.inputs
            taken = []
            for number, (source, sink) in enumerate(zip(sources, inputs, strict=True)):
                stream = free.pop(source)
                _check(source, stream, instance, sink)
                prefix = f"{instance.name}_width{number if len(inputs) > 1 else ''}"
                steps = converters(
                    stream.lanes, sink.lanes, stream.bits, sink.elements, stream.signed, pace
                )
                for step, kernel in enumerate(steps):
                    name = prefix if len(steps) == 1 else f"{prefix}_{step}"
                    units.append(Instance(name, kernel, {}, (source,)))
                    source = Source(name)
                taken.append(source)
            units.append(replace(instance, sources=tuple(taken)))
            free |= given(instance)
        return tuple(units)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """One before every input of every unit, named after it, and `out`."""
        streams = {INPUT: self.input}
        for unit in self.units:
            streams |= given(unit)
        depths = self.fifo_depths or (LEAST_DEPTH,) * len(self._connections)
        return tuple(
            Link(name, streams[source], depth, source)
            for (name, source), depth in zip(self._connections, depths, strict=True)
        )

    @cached_property
    def _connections(self) -> tuple[tuple[str, Source], ...]:
        """Name and source of every link."""
        found = []
        for unit in self.units:
            sources = unit.sources or ()
            for number, source in enumerate(sources):
                name = unit.name if len(sources) == 1 else f"{unit.name}_{number}"
                found.append((name, source))
        return (*found, ("out", Source(self.instances[-1].name)))

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
        """The exact outputs of every instance in turn, each (frames, elements).

        Of an instance with several outputs, the first.
        """
        for _, values in evaluate(self.instances, frames):
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
        files = source_texts(kernels)
        sources = tuple(files)
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


def _once(names: list[str]) -> None:
    require(len(set(names)) == len(names), "names occur twice: {names}", names=names)


def _check(source: Source, out: Stream, sink: Instance, into: Stream) -> None:
    """Raise ValueError unless what `source` sends is what `sink` takes."""
    where = f"{source} -> {sink.name}"
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
    extended = isinstance(sink.kernel, _EXTENDED) and out.bits < into.bits
    require(
        out.bits == into.bits or extended,
        "{where}: elements of {out} bits, not {into}",
        where=where,
        out=out.bits,
        into=into.bits,
    )
