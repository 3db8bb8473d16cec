"""A simulated board: the whole shell with its accelerator, driven at its pins.

`SimulatedPort` looks to the host driver like the serial port of a real board, so the driver's own
protocol code is what gets tested.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from hw_targets.errors import LiftFlowError, VerificationError
from hw_targets.flows import process, verilator, yosys
from hw_targets.flows.process import USUAL, Limit, Watch
from hw_targets.shells.clocking import uart_divider
from hw_targets.shells.shell import Shell

_SIM = Path(__file__).parent / "sim"
HARNESS = _SIM / "harness.cpp"

FOLDER = "shell-simulation"
"""Where the simulated board of a compilation is built."""

MINUTES = 60.0
"""A simulation that takes longer over one command from outside counts as hung."""

LAST_SECONDS = 10.0
"""For a simulation that says nothing more to end."""

DIVIDER = 8
"""Clock cycles a bit in simulation: the same logic as on the board, with less waiting."""


@dataclass(frozen=True)
class SimulatedBoard:
    """A compiled simulation of a whole board, and what runs it.

    folder: the RTL folder, where the memory files are. divider: clock cycles a bit. limit: of what
    it does at one command from outside.
    """

    program: Path
    folder: Path
    oscillator_mhz: float
    mhz: float
    divider: int
    limit: Limit = field(default_factory=Limit)

    def arguments(self) -> list[str]:
        """argv of the program; times in ps."""
        half, cycle = round(0.5e6 / self.oscillator_mhz), round(1e6 / self.mhz)
        return [str(self.program.absolute()), str(half), str(cycle), str(self.divider)]


class SimulatedPort:
    """Serial port of a simulated board. timeout_cycles: how long `read` waits for bytes.

    Simulated time only moves on within `write`, `read`, `hold` and `press`.
    """

    def __init__(self, board: SimulatedBoard, timeout_cycles: int) -> None:
        self.timeout_cycles = timeout_cycles
        self._limit, self._log = board.limit, board.program.absolute().with_suffix(".log")
        self._process = process.start(
            board.arguments(),
            tool="the simulated board",
            cwd=board.folder,  # memories are read by paths relative to the design's folder
            log=self._log,
        )

    def write(self, data: bytes) -> int:
        """Send bytes to the board."""
        self._command(b"W" + struct.pack("<I", len(data)) + data)
        return len(data)

    def read(self, size: int) -> bytes:
        """At most `size` bytes from the board, fewer after `timeout_cycles`."""
        self._command(b"R" + struct.pack("<II", size, self.timeout_cycles))
        count = struct.unpack("<I", self._answer(4))[0]
        if count > size:
            raise LiftFlowError(
                f"the simulation gave {count} bytes where {size} were asked for",
                where="shell simulation",
                mend=f"run the same command again; its log is {self._log}",
            )
        return self._answer(count)

    def hold(self, level: int, cycles: int) -> None:
        """Keep the line to the board at rest (1) or broken (0)."""
        self._command(b"L" + struct.pack("<BI", level, cycles))

    def press(self, cycles: int) -> None:
        """Press the board's button."""
        self._command(b"P" + struct.pack("<I", cycles))

    def state(self) -> tuple[int, int]:
        """(clock cycles since the start modulo 2**32, LED pins)."""
        self._command(b"S")
        cycles, leds = struct.unpack("<II", self._answer(8))
        return cycles, leds

    def close(self) -> None:
        """End the simulation."""
        process.end(self._process)

    def __enter__(self) -> SimulatedPort:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _command(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._watched() as watch:
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died(watch) from error

    def _answer(self, size: int) -> bytes:
        assert self._process.stdout is not None
        with self._watched() as watch:
            data = self._process.stdout.read(size)
        if len(data) != size:
            raise self._died(watch)
        return data

    def _watched(self) -> Watch:
        return Watch(self._process, self._limit.seconds(MINUTES))

    def _died(self, watch: Watch) -> LiftFlowError:
        where = "shell simulation"
        try:
            status = self._process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:  # it closed its output and lives on
            process.end(self._process)
            status = self._process.returncode
        if watch.expired:
            seconds = self._limit.seconds(MINUTES)
            return process.overdue(
                "the simulated board", seconds, self._limit, where=where, log=self._log
            )
        said = process.read_log(self._log)
        if status < 0:
            return LiftFlowError(
                process.died("the simulation", status, said),
                where=where,
                mend=f"run the same command again; its log is {self._log}",
            )
        words = f"; its last words: {process.last_lines(said)}" if said.strip() else ""
        return VerificationError(
            f"the simulation ended with status {status}{words}",
            where=where,
            mend="this is a defect of the compilation, keep the run folder for a report",
        )


def build_simulator(
    shell: Shell,
    folder: Path,
    obj: Path,
    parameters: Mapping[str, int] | None = None,
    divider: int = DIVIDER,
    limit: Limit = USUAL,
) -> SimulatedBoard:
    """Compile the shell round the accelerator in `folder`.

    obj: folder for everything generated, the shell's sources among it. parameters: overrides of the
    top's parameters, such as shorter timeouts. limit: of every tool called.
    """
    shell.write(obj)
    sources = [
        *(folder / name for name in shell.accelerator.sources),
        *(obj / name for name in shell.simulated_sources),
    ]
    overrides = {"UART_DIVIDER": divider, **(parameters or {})}
    return _compiled(shell, sources, folder, obj, divider, overrides, limit=limit)


def build_netlist_simulator(
    shell: Shell, netlist: Path, obj: Path, limit: Limit = USUAL
) -> SimulatedBoard:
    """Compile what synthesis made of the whole board: device cells in place of RTL.

    netlist: Verilog of cells, as Yosys writes it. The line has the divider of the real one.
    """
    models = [yosys.library(name) for name in shell.platform.yosys_models]
    sources = [*models, *(_SIM / name for name in shell.platform.netlist_models), netlist]
    divider = uart_divider(shell.mhz, shell.baud)
    includes, defines = [models[0].parent], shell.platform.yosys_defines
    return _compiled(shell, sources, obj, obj, divider, {}, includes, defines, limit)


def _compiled(
    shell: Shell,
    sources: Sequence[Path],
    folder: Path,
    obj: Path,
    divider: int,
    parameters: Mapping[str, int],
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    limit: Limit = USUAL,
) -> SimulatedBoard:
    flags = (["-DLF_BUTTON"] if shell.pins.button else []) + (
        ["-DLF_LEDS"] if shell.pins.leds else []
    )
    program = verilator.build(
        top=shell.top,
        sources=[*(_SIM / name for name in shell.platform.models), *sources],
        harness=HARNESS,
        prefix="Vshell",
        obj=obj,
        parameters=parameters,
        cflags=flags,
        optimize="-O1",  # compiling is most of the time: -O2 takes twice as long and runs no faster
        timing=True,
        includes=includes,
        defines=dict.fromkeys(defines, "1"),
        limit=limit,
    )
    return SimulatedBoard(program, folder, shell.oscillator_mhz, shell.mhz, divider, limit)


def built_simulator(shell: Shell, folder: Path, obj: Path) -> SimulatedBoard | None:
    """What `build_simulator` made with its default parameters in `obj`, where it did."""
    program = obj / verilator.PROGRAM
    if not program.is_file():
        return None
    return SimulatedBoard(program, folder, shell.oscillator_mhz, shell.mhz, DIVIDER)
