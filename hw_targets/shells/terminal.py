"""A simulated board behind a pseudo-terminal, for any program that opens a serial port."""

from __future__ import annotations

import os
import select
import threading
import tty
from contextlib import suppress
from types import TracebackType

from hw_targets.errors import LiftFlowError
from hw_targets.shells.simulator import SimulatedBoard, SimulatedPort

STEP_CYCLES = 20_000
"""Most clock cycles between two looks at the terminal."""

REST_CYCLES = 10_000_000
REST_SECONDS = 0.02
"""A board on whose line nothing moved for so long is simulated at this pace only."""


class BoardTerminal:
    """Bridges the UART pins of a simulated board to the pseudo-terminal at `path`.

    It may be opened and closed as often as one likes; the board runs on meanwhile.
    """

    def __init__(self, board: SimulatedBoard) -> None:
        self._port = SimulatedPort(board, STEP_CYCLES)
        self._master, self._slave = os.openpty()
        # This end is kept open, so that the board outlives those who open and close the other.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._failure: LiftFlowError | None = None
        self._thread = threading.Thread(target=self._bridge, daemon=True)

    def press(self, cycles: int) -> None:
        """Press the board's button, whatever is on the line."""
        with self._turn:
            self._port.press(cycles)

    def cycles(self) -> int:
        """Clock cycles simulated so far, modulo 2**32."""
        with self._turn:
            return self._port.state()[0]

    def __enter__(self) -> BoardTerminal:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises LiftFlowError if the simulation hung or crashed, or ended by itself."""
        self._ended.set()
        self._thread.join()
        self._port.close()
        os.close(self._master)
        os.close(self._slave)
        if self._failure:
            raise self._failure from error

    def _bridge(self) -> None:
        quiet = 0
        try:
            while not self._ended.is_set():
                wait = REST_SECONDS if quiet > REST_CYCLES else 0
                ready, _, _ = select.select([self._master], [], [], wait)
                quiet += STEP_CYCLES
                with self._turn:
                    if ready:
                        self._port.write(os.read(self._master, 4096))
                    answer = self._port.read(1)
                if ready or answer:
                    quiet = 0
                with suppress(BlockingIOError):  # nobody reads: lost, as on a real line
                    os.write(self._master, answer)
        except LiftFlowError as failure:
            self._failure = failure
