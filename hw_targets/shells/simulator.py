"""A simulated board: the whole shell with its accelerator, driven at its pins.

`SimulatedPort` looks to the host driver like the serial port of a real board, so the driver's own
protocol code is what gets tested.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hw_targets.errors import VerificationError
from hw_targets.flows import verilator, yosys
from hw_targets.shells.clocking import uart_divider
from hw_targets.shells.shell import Shell

_SIM = Path(__file__).parent / "sim"
HARNESS = _SIM / "harness.cpp"

FOLDER = "shell-simulation"
"""Where the simulated board of a compilation is built."""

DIVIDER = 8
"""Clock cycles a bit in simulation: the same logic as on the board, with less waiting."""


@dataclass(frozen=True)
class SimulatedBoard:
    """A compiled simulation of a whole board, and what runs it.

    folder: the RTL folder, where the memory files are. divider: clock cycles a bit.
    """

    program: Path
    folder: Path
    oscillator_mhz: float
    mhz: float
    divider: int

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
        self._process = subprocess.Popen(
            board.arguments(),
            cwd=board.folder,  # memories are read by paths relative to the design's folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def write(self, data: bytes) -> int:
        """Send bytes to the board."""
        self._command(b"W" + struct.pack("<I", len(data)) + data)
        return len(data)

    def read(self, size: int) -> bytes:
        """At most `size` bytes from the board, fewer after `timeout_cycles`."""
        self._command(b"R" + struct.pack("<II", size, self.timeout_cycles))
        return self._answer(struct.unpack("<I", self._answer(4))[0])

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
        self._process.kill()
        self._process.communicate()

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
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def _answer(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) != size:
            raise self._died()
        return data

    def _died(self) -> VerificationError:
        return VerificationError(
            f"the simulation ended with status {self._process.wait()}",
            where="shell simulation",
            mend="this is a defect of the compilation, keep the run folder for a report",
        )


def build_simulator(
    shell: Shell,
    folder: Path,
    obj: Path,
    parameters: Mapping[str, int] | None = None,
    divider: int = DIVIDER,
) -> SimulatedBoard:
    """Compile the shell round the accelerator in `folder`.

    obj: folder for everything generated, the shell's sources among it. parameters: overrides of the
    top's parameters, such as shorter timeouts.
    """
    shell.write(obj)
    sources = [
        *(folder / name for name in shell.accelerator.sources),
        *(obj / name for name in shell.simulated_sources),
    ]
    overrides = {"UART_DIVIDER": divider, **(parameters or {})}
    return _compiled(shell, sources, folder, obj, divider, overrides)


def build_netlist_simulator(shell: Shell, netlist: Path, obj: Path) -> SimulatedBoard:
    """Compile what synthesis made of the whole board: device cells in place of RTL.

    netlist: Verilog of cells, as Yosys writes it. The line has the divider of the real one.
    """
    models = [yosys.library(name) for name in shell.platform.yosys_models]
    sources = [*models, *(_SIM / name for name in shell.platform.netlist_models), netlist]
    divider = uart_divider(shell.mhz, shell.baud)
    includes, defines = [models[0].parent], shell.platform.yosys_defines
    return _compiled(shell, sources, obj, obj, divider, {}, includes, defines)


def _compiled(
    shell: Shell,
    sources: Sequence[Path],
    folder: Path,
    obj: Path,
    divider: int,
    parameters: Mapping[str, int],
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
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
    )
    return SimulatedBoard(program, folder, shell.oscillator_mhz, shell.mhz, divider)


def built_simulator(shell: Shell, folder: Path, obj: Path) -> SimulatedBoard | None:
    """What `build_simulator` made with its default parameters in `obj`, where it did."""
    program = obj / verilator.PROGRAM
    if not program.is_file():
        return None
    return SimulatedBoard(program, folder, shell.oscillator_mhz, shell.mhz, DIVIDER)
