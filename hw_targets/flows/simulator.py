"""A compiled Verilator model: send frames through it, get outputs and cycle counts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.flows import process, verilator
from hw_targets.flows.beats import from_words, to_words, words_per_beat
from hw_targets.flows.process import USUAL, Limit
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import IntArray, Stream

HARNESS = Path(__file__).with_name("stream_harness.cpp")
SIZING_FIFO = Path(__file__).with_name("sizing_fifo.sv")
PREFIX = "Vmodel"
PATIENCE = 200_000
"""Cycles without any transfer after which a simulation counts as stuck."""
MINUTES = 360.0
"""A simulation that takes longer counts as hung."""
DONE, STUCK, WITHDRAWN = 0, 3, 4
"""What the harness ends with; anything else is a crash."""


@dataclass(frozen=True)
class Channel:
    """Prefixes of the ports of one stream in and the stream out that belongs to it.

    "" for a side that is not there, as where a kernel has more streams on the other.
    """

    slave: str = "s_axis"
    master: str = "m_axis"


@dataclass(frozen=True)
class Stimulus:
    """What one channel gets: frames (n, input elements), formats, and how often each side stalls.

    in_valid, out_ready: probability that a beat is offered or taken in a cycle; 1.0 never stalls.
    pace: clock cycles in which no more than one frame's beats are offered, evenly; 0 for any.
    input, output: None where the channel has no such side; without an input, frames is (n, 0).
    """

    frames: IntArray
    input: Stream | None
    output: Stream | None
    in_valid: float = 1.0
    out_ready: float = 1.0
    pace: int = 0


@dataclass(frozen=True)
class SimRun:
    """What came out of one channel.

    outputs: (n, output elements). frame_cycles: median clock cycles between the ends of frames in
    steady state (the first frame counts only if it is the only one). latency: clock cycles from
    the first frame's first input beat to its last output beat, both included. total_cycles: of
    the whole simulation. ends: cycle of the last output beat of each frame. fifo_max: highest
    occupancy of each FIFO, by name.
    """

    outputs: IntArray
    frame_cycles: int
    latency: int
    total_cycles: int
    ends: NDArray[np.int64]
    fifo_max: dict[str, int]


@dataclass(frozen=True)
class Simulator:
    """program: the executable. folder: where the memory files are. links: names of the FIFOs.

    limit: of a run.
    """

    program: Path
    folder: Path
    links: tuple[str, ...] = ()
    limit: Limit = field(default_factory=Limit)

    def run(
        self,
        frames: IntArray,
        in_stream: Stream,
        out_stream: Stream,
        *,
        in_valid: float = 1.0,
        out_ready: float = 1.0,
        seed: int = 0,
        patience: int = PATIENCE,
        depths: Sequence[int] = (),
        pace: int = 0,
    ) -> SimRun:
        """Send frames through the only channel; see `run_channels`."""
        stimulus = Stimulus(frames, in_stream, out_stream, in_valid, out_ready, pace)
        return self.run_channels((stimulus,), seed=seed, patience=patience, depths=depths)[0]

    def run_channels(
        self,
        stimuli: Sequence[Stimulus],
        *,
        seed: int = 0,
        patience: int = PATIENCE,
        depths: Sequence[int] = (),
    ) -> list[SimRun]:
        """Send frames through every channel at once until all have answered.

        `depths` are those of the FIFOs, one a link, for a build made for sizing.

        Raises:
            VerificationError: a channel made no transfer for `patience` cycles; names the frame
                and, for a top with probes, the occupancy of every FIFO. Or a beat out was
                withdrawn or changed before it was taken.
            LiftFlowError: the simulation crashed, hung, or gave no report that can be; its log is
                beside the program.
        """
        with tempfile.TemporaryDirectory() as temporary:
            scratch = Path(temporary)
            jobs = [_prepare(i, stimulus, scratch) for i, stimulus in enumerate(stimuli)]
            (scratch / "jobs.txt").write_text("\n".join(jobs) + "\n")
            arguments = (scratch / "jobs.txt", patience, seed, *depths)
            # Of this run's own name, as runs may be side by side; it stays where they fail.
            log = self.program.with_name(f"{self.program.name}-{scratch.name}.log")
            report = self._report([str(self.program), *map(str, arguments)], log)
            try:
                if report["stuck"] >= 0:
                    log.unlink()
                    raise self._stuck(report, stimuli[report["stuck"]], patience)
                fifo_max = dict(zip(self.links, report.get("fifo_max", ()), strict=True))
                found = [
                    _collect(i, stimulus, scratch, report, fifo_max)
                    for i, stimulus in enumerate(stimuli)
                ]
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                raise self._rubbish(f"{type(error).__name__}: {error}", log) from error
            log.unlink()
            return found

    def _report(self, command: list[str], log: Path) -> dict[str, Any]:
        """The last line that the simulation wrote, as it comes: JSON of an object."""
        status = process.call(
            command,
            tool="the simulator",
            where=str(self.program),
            cwd=self.folder,
            limit=self.limit,
            minutes=MINUTES,
            log=log,
        ).status
        said = process.read_log(log)
        if status == WITHDRAWN:
            log.unlink()
            raise VerificationError(process.last_lines(said), where="simulation")
        if status not in (DONE, STUCK):
            words = f"ended with status {status}; its last words: {process.last_lines(said)}"
            reason = process.died("the simulator", status, said) if status < 0 else words
            raise LiftFlowError(reason, where=str(self.program), mend=f"its log is {log}")
        try:
            report = json.loads((said.splitlines() or [""])[-1])
        except ValueError as error:
            raise self._rubbish(f"{error}: {process.last_lines(said)}", log) from error
        if not isinstance(report, dict):
            raise self._rubbish(process.last_lines(said), log)
        return report

    def _rubbish(self, what: str, log: Path) -> LiftFlowError:
        return LiftFlowError(
            f"the simulator gave no report that can be ({process.quoted(what)})",
            where=str(self.program),
            mend=f"run the same command again; its log is {log}",
        )

    def _stuck(self, report: dict[str, Any], stimulus: Stimulus, patience: int) -> Exception:
        channel = report["channels"][report["stuck"]]
        filled = ", ".join(
            f"{name} {count}"
            for name, count in zip(self.links, report.get("fifo_count", ()), strict=True)
        )
        total = len(stimulus.frames) * (stimulus.input.beats if stimulus.input else 0)
        return VerificationError(
            f"deadlock in frame {channel['frame']}: no transfer for {patience} cycles after "
            f"{channel['sent']} of {total} beats in and {channel['received']} beats out"
            + (f"; FIFOs hold {filled}" if filled else ""),
            where=f"simulation, channel {report['stuck']}",
        )


def build(
    folder: Path,
    top: str,
    sources: Sequence[str],
    build_dir: Path,
    *,
    channels: Sequence[Channel] = (Channel(),),
    links: Sequence[str] = (),
    defines: Sequence[str] = (),
    sizing: bool = False,
    strict: bool = False,
    optimize: str = "-O2",
    includes: Sequence[Path] = (),
    limit: Limit = USUAL,
) -> Simulator:
    """Compile `top` with the stream harness into `build_dir`.

    Args:
        folder: holds the sources and memory files; the simulator runs there.
        sources: file names relative to `folder`, in the order to read them.
        channels: the stream ports of the top; the default is `s_axis` and `m_axis`.
        links: names of the FIFOs a top of `Design` reports on; defines LF_PROBE if given.
        sizing: let each run choose the depth of every FIFO, and drop what they hold: cycles are
            the same, outputs mean nothing. Defines LF_SIZING, needs `links`.
        strict: see in every cycle whether a beat out is offered though it is not asked for.
        defines: macros to set. optimize, includes: see `verilator.build`, whose errors it raises.
            limit: of every tool called, and of each run of the simulator.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    (build_dir / "ports.h").write_text(_ports(channels, len(links), sizing, strict))
    probing = (("LF_PROBE",) if links else ()) + (("LF_SIZING",) if sizing else ())
    macros = dict.fromkeys((*defines, *probing), "1")
    program = verilator.build(
        top=top,
        sources=[
            SIZING_FIFO if sizing and source == Fifo.source else folder / source
            for source in sources
        ],
        harness=HARNESS,
        prefix=PREFIX,
        obj=build_dir,
        defines=macros,
        optimize=optimize,
        includes=includes,
        limit=limit,
    )
    return Simulator(program, folder.resolve(), tuple(links), limit)


def _ports(channels: Sequence[Channel], probes: int, sizing: bool, strict: bool) -> str:
    """Text of `ports.h`: what the harness has to know of the model."""
    slaves = [(index, channel.slave) for index, channel in enumerate(channels)]
    masters = [(index, channel.master) for index, channel in enumerate(channels)]
    lines = [
        f'#define MODEL_HEADER "{PREFIX}.h"',
        f"#define MODEL {PREFIX}",
        f"#define CHANNELS {len(channels)}",
        *_entries("SLAVES", slaves),
        *_entries("MASTERS", masters),
    ]
    if probes:
        lines += [
            f"#define PROBES {probes}",
            "#define PROBE_COUNT fifo_count",
            "#define PROBE_MAX fifo_max",
        ]
    if sizing:
        lines.append("#define PROBE_LIMIT fifo_limit")
    if strict:
        lines.append("#define STRICT")
    return "\n".join(lines) + "\n"


def _entries(name: str, sides: Sequence[tuple[int, str]]) -> list[str]:
    """A macro with an X(channel, tdata, tvalid, tready) for every side that is there."""
    ports = [
        f"    X({index}, {prefix}_tdata, {prefix}_tvalid, {prefix}_tready)"
        for index, prefix in sides
        if prefix
    ]
    return [f"#define {name}(X) \\", " \\\n".join(ports)]


def _prepare(index: int, stimulus: Stimulus, scratch: Path) -> str:
    """Write the input beats of one channel; returns its line of the job file."""
    source, sink = scratch / f"in_{index}.bin", scratch / f"out_{index}.bin"
    if stimulus.input:
        to_words(stimulus.frames, stimulus.input).tofile(source)
    fields = (
        len(stimulus.frames),
        stimulus.input.beats if stimulus.input else 0,
        stimulus.output.beats if stimulus.output else 0,
        words_per_beat(stimulus.input) if stimulus.input else 0,
        words_per_beat(stimulus.output) if stimulus.output else 0,
        stimulus.in_valid,
        stimulus.out_ready,
        stimulus.pace,
        source,
        sink,
    )
    return " ".join(map(str, fields))


def _collect(
    index: int,
    stimulus: Stimulus,
    scratch: Path,
    report: dict[str, Any],
    fifo_max: dict[str, int],
) -> SimRun:
    channel, count = report["channels"][index], len(stimulus.frames)
    ends = np.asarray(channel["last_out"], dtype=np.int64)
    starts = channel["first_in"]
    # Cycles only go up, and none lies behind the last: ValueError is what rubbish is told by.
    if len(ends) != (count if stimulus.output else 0) or (np.diff(ends) <= 0).any():
        raise ValueError(f"frames of channel {index} ended in cycles {ends[:8].tolist()}")
    if len(ends) and not 0 <= ends[0] <= ends[-1] <= report["cycles"]:
        raise ValueError(f"{report['cycles']} cycles, the last output in {ends[-1]}")
    outputs = np.zeros((count, 0), dtype=np.int64)
    if stimulus.output:
        words = np.fromfile(scratch / f"out_{index}.bin", dtype=np.uint32)
        outputs = from_words(words, count, stimulus.output)
    latency = int(ends[0] - starts[0] + 1) if starts and len(ends) else 0
    return SimRun(
        outputs=outputs,
        frame_cycles=int(np.median(np.diff(ends))) if len(ends) > 1 else latency,
        latency=latency,
        total_cycles=int(report["cycles"]),
        ends=ends,
        fifo_max=fifo_max,
    )
