"""Which streams the instances of a design take, and whether every stream is taken once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hw_targets.rtl.kernel import Instance, IntArray, Source, Stream, require

INPUT = Source("")
"""The design's own input."""


def given(instance: Instance) -> dict[Source, Stream]:
    """The streams an instance gives."""
    outputs = instance.kernel.outputs
    return {Source(instance.name, number): stream for number, stream in enumerate(outputs)}


def wired(instances: Sequence[Instance]) -> tuple[tuple[Source, ...], ...]:
    """The sources of every instance.

    Raises:
        ValueError: a stream is not there, comes too late (as in a cycle), or is taken twice or, the
            last instance's output apart, by none; an instance has not a source for each input.
    """
    names = {instance.name for instance in instances}
    there = {INPUT}
    free = {INPUT}
    before = INPUT
    found = []
    for instance in instances:
        sources = (before,) if instance.sources is None else instance.sources
        require(
            len(sources) == len(instance.kernel.inputs),
            "{name}: {sources} sources for {inputs} input streams",
            name=instance.name,
            sources=len(sources),
            inputs=len(instance.kernel.inputs),
        )
        for source in sources:
            where = f"{source} -> {instance.name}"
            late = source.instance in names
            require(source in there or not late, "{where}: does not come before it", where=where)
            require(source in there, "{where}: there is no such stream", where=where)
            require(source in free, "{where}: is taken twice", where=where)
            free.remove(source)
        names.discard(instance.name)
        there |= given(instance).keys()
        free |= given(instance).keys()
        before = Source(instance.name)
        found.append(sources)
    free.discard(before)
    require(not free, "taken by none: {free}", free=", ".join(sorted(map(str, free))))
    return tuple(found)


def evaluate(instances: Sequence[Instance], frames: IntArray) -> Iterator[tuple[str, IntArray]]:
    """Name and exact outputs, (frames, elements), of every instance in turn.

    Of an instance with several outputs, the first.
    """
    values = {INPUT: np.asarray(frames, dtype=np.int64)}
    for instance, sources in zip(instances, wired(instances), strict=True):
        taken = [values.pop(source) for source in sources]
        outputs = instance.kernel.compute(taken, instance.arrays)
        values |= zip(given(instance), outputs, strict=True)
        yield instance.name, outputs[0]
