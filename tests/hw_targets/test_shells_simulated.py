"""Whole simulated boards, driven at their pins by the real host driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from standin import DIGEST, expected, expected_outputs, standin

from hw_targets.boards import load_board
from hw_targets.errors import LiftFlowError
from hw_targets.shells.accelerator import Accelerator
from hw_targets.shells.driver import LiftFlowDevice
from hw_targets.shells.protocol import (
    IDENTIFY,
    INFER,
    STATUS_TEXT,
    Format,
    ProtocolError,
    request,
)
from hw_targets.shells.shell import Shell
from hw_targets.shells.simulator import SimulatedPort, build_simulator

SHORT = {"TIMEOUT_LOG2": 12, "NO_RESULT_LOG2": 13}


def simulated(folder: Path, unit: Accelerator, divider: int = 8) -> SimulatedPort:
    shell = Shell(load_board("ulx3s-85f"), unit, 50.0)
    board = build_simulator(shell, folder, folder / "obj", SHORT, divider)
    return SimulatedPort(board, 20_000)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPort]:
    folder = tmp_path_factory.mktemp("board")
    with simulated(folder, standin(folder)) as port:
        yield port


@pytest.fixture
def device(port: SimulatedPort) -> LiftFlowDevice:
    """A device on the shared board, which must work: the test before left it ready."""
    device = LiftFlowDevice(port)
    device.identify()
    return device


def frames(count: int, elements: int = 16, limit: int = 255) -> list[list[int]]:
    return np.random.default_rng(3).integers(0, limit, (count, elements)).tolist()


def test_identifies_itself(device: LiftFlowDevice) -> None:
    identity = device.identify()
    assert identity.digest == DIGEST[:16]
    assert identity.input == Format(16, 8, 1, signed=False)
    assert identity.output == Format(1, 4, 1, signed=False)
    assert (identity.version, identity.classes, identity.clock_khz) == (2, 16, 50_000)


def test_classifies_and_shows_the_class(device: LiftFlowDevice, port: SimulatedPort) -> None:
    sent = frames(20)
    results = device.infer(sent).results
    assert [result.label for result in results] == [expected(frame) for frame in sent]
    # 16 beats in, one cycle later the class: counted from the first to the last, both included.
    assert {result.cycles for result in results} == {17}
    assert port.state()[1] == results[-1].label


def test_any_width_of_stream_and_all_outputs(tmp_path: Path) -> None:
    """At the divider of a real line, and with an answer longer than 255 bytes."""
    unit = standin(tmp_path, lanes=7, bits=5, beats=3, outputs=(3, 7, 100))
    with simulated(tmp_path, unit, divider=50) as port:
        device = LiftFlowDevice(port)
        identity = device.identify()
        assert identity.input == Format(21, 5, 7, signed=False)
        assert identity.output == Format(300, 7, 3, signed=True)
        assert identity.classes == 0
        sent = frames(2, elements=21, limit=31)
        results = device.infer(sent).results
        assert [result.outputs for result in results] == [
            expected_outputs(frame, 7, 300) for frame in sent
        ]
        assert {result.cycles for result in results} == {3 + 100}


def test_frames_of_several_block_rams(tmp_path: Path) -> None:
    """In with a few words in the last bank, out with a single one."""
    unit = standin(tmp_path, beats=2 * 2048 + 4, outputs=(1, 7, 2048 + 1))
    with simulated(tmp_path, unit) as port:
        device = LiftFlowDevice(port)
        device.identify()
        sent = frames(2, elements=4100)
        results = device.infer(sent).results
        assert [result.outputs for result in results] == [
            expected_outputs(frame, 7, 2049) for frame in sent
        ]
        assert {result.cycles for result in results} == {4100 + 2049}


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (request(INFER, bytes(16))[:-1] + b"\x00", "bad checksum"),
        (request(INFER, bytes(15)), "bad length"),
        (request(INFER, bytes(400)), "bad length"),
        (request(IDENTIFY, b"x"), "bad length"),
        (request(0x77, b"abc"), "unknown command"),
        (request(INFER, bytes(16))[:9], "timeout: the frame stopped in the middle"),
        (b"\xa5", "timeout: the frame stopped in the middle"),
    ],
)
def test_bad_frames_are_answered(
    device: LiftFlowDevice, port: SimulatedPort, frame: bytes, status: str
) -> None:
    port.write(frame)
    reply = device.receive()
    assert (STATUS_TEXT[reply.status], reply.payload) == (status, b"")
    sent = frames(1)
    assert device.infer(sent).results[0].label == expected(sent[0])


def test_garbage_between_frames_is_ignored(device: LiftFlowDevice, port: SimulatedPort) -> None:
    port.write(b"\x00\xff\x5a\x01garbage")
    port.hold(0, 2_000)  # a break on the line
    port.hold(1, 200)
    port.hold(0, 2)  # a glitch
    port.hold(1, 200)
    sent = frames(1)
    assert device.infer(sent).results[0].label == expected(sent[0])


def test_overrun_is_answered(device: LiftFlowDevice, port: SimulatedPort) -> None:
    port.write(request(IDENTIFY) + request(IDENTIFY))
    assert device.receive().status == 0
    late = device.receive()
    assert (late.command, late.status) == (0, 3)


def test_silent_accelerator_is_answered_and_reset(device: LiftFlowDevice) -> None:
    with pytest.raises(ProtocolError, match="no result"):
        device.infer([[255] * 16])
    sent = frames(1)
    assert device.infer(sent).results[0].label == expected(sent[0])


def test_button_resets_in_the_middle_of_a_frame(
    device: LiftFlowDevice, port: SimulatedPort
) -> None:
    port.write(request(INFER, bytes(16))[:9])
    port.press(20)
    port.hold(1, 20)
    assert port.state()[1] == 0
    assert device.identify().digest == DIGEST[:16]


def test_refusals(tmp_path: Path) -> None:
    board, unit = load_board("ulx3s-85f"), standin(tmp_path)
    with pytest.raises(LiftFlowError, match="no shell for this board"):
        Shell(load_board("pynq-z2"), unit, 50.0)
    for side in ("input", "output"):
        long = replace(getattr(unit, side), beats=70_000)
        with pytest.raises(LiftFlowError, match=f"an {side} of 70000 bytes a frame is over"):
            Shell(board, replace(unit, **{side: long}), 50.0)
    with pytest.raises(LiftFlowError, match="baud"):
        Shell(board, unit, 50.0, baud=12_000_000)


def test_constraints_name_every_pin(tmp_path: Path) -> None:
    shell = Shell(load_board("ulx3s-85f"), standin(tmp_path), 50.0)
    text = shell.files()[shell.constraints].decode()
    for line in (
        'FREQUENCY PORT "clk_in" 25 MHZ;',
        'LOCATE COMP "uart_tx" SITE "L4";',
        'LOCATE COMP "uart_rx" SITE "M1";',
        'LOCATE COMP "led[7]" SITE "H3";',
        'LOCATE COMP "button" SITE "D6";',
        'LOCATE COMP "tie_high[0]" SITE "L2";',
    ):
        assert line in text
    assert shell.files() == shell.files()
