"""A simulated board behind a pseudo-terminal, driven by the host driver through pyserial."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import serial
from standin import DIGEST, expected, standin

from hw_targets.boards import load_board
from hw_targets.errors import LiftFlowError
from hw_targets.shells.driver import LiftFlowDevice
from hw_targets.shells.protocol import INFER, request
from hw_targets.shells.shell import Shell
from hw_targets.shells.simulator import SimulatedBoard, build_simulator
from hw_targets.shells.terminal import BoardTerminal

FRAMES = np.random.default_rng(4).integers(0, 255, (24, 16)).tolist()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> SimulatedBoard:
    folder = tmp_path_factory.mktemp("board")
    shell = Shell(load_board("ulx3s-85f"), standin(folder), 50.0)
    return build_simulator(shell, folder, folder / "obj", {"TIMEOUT_LOG2": 12})


@pytest.fixture(scope="module")
def terminal(board: SimulatedBoard) -> Iterator[BoardTerminal]:
    with BoardTerminal(board) as terminal:
        yield terminal


def opened(terminal: BoardTerminal) -> serial.Serial:
    """The line, with far less patience than a user's driver has."""
    return serial.Serial(terminal.path, 1_000_000, timeout=1.0)


def labels(device: LiftFlowDevice, frames: list[list[int]]) -> list[int]:
    return [result.label for result in device.infer(frames).results]


def test_every_program_that_opens_the_port_is_answered(terminal: BoardTerminal) -> None:
    for _ in range(3):  # the board outlives those who open and close its line
        with opened(terminal) as line:
            device = LiftFlowDevice(line)
            assert device.identify().digest == DIGEST[:16]
            assert labels(device, FRAMES[:8]) == [expected(frame) for frame in FRAMES[:8]]


def test_the_driver_gets_over_what_was_left_on_the_line(terminal: BoardTerminal) -> None:
    """Wrong bytes, frames cut off and an answer nobody took, by hosts that came before."""
    for left in (b"\xa5\x01", b"\x00\xff" * 40, request(INFER, bytes(16)), b"\xa5\x77\xff\xff" * 9):
        with opened(terminal) as line:
            line.write(left)
        with opened(terminal) as line:
            assert labels(LiftFlowDevice(line), FRAMES[:2]) == [expected(f) for f in FRAMES[:2]]


def test_resets_in_the_middle_of_frames_are_got_over(terminal: BoardTerminal) -> None:
    with opened(terminal) as line:
        device = LiftFlowDevice(line)
        for at, frame in enumerate(FRAMES[:3]):
            line.write(request(INFER, bytes(16))[: 5 + 4 * at])
            terminal.press(100)
            assert labels(device, [frame]) == [expected(frame)]


def test_time_goes_on_without_a_host(terminal: BoardTerminal) -> None:
    before = terminal.cycles()
    with opened(terminal) as line:
        assert line.read(1) == b""
    assert terminal.cycles() > before


def test_a_simulation_that_ends_is_told(board: SimulatedBoard) -> None:
    def talk() -> None:
        with BoardTerminal(board) as terminal:
            terminal._port._process.kill()
            with opened(terminal) as line:
                line.write(b"x")
                line.read(1)

    with pytest.raises(LiftFlowError, match="the simulation was killed by SIGKILL"):
        talk()
