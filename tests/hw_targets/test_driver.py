"""The host driver against a port that answers from a script."""

from __future__ import annotations

import struct

import pytest

from hw_targets.shells.driver import LiftFlowDevice
from hw_targets.shells.protocol import IDENTIFY, INFER, Identity, ProtocolError, crc16, request

IDENTITY = Identity(1, "00112233aabbccdd", 4, 8, 1, 10, 50_000)
MODEL = {
    "digest": "00112233aabbccdd" + "0" * 48,
    "input": {"shape": [4], "bits": 8, "signed": False, "scale": 0.5},
}


def reply(command: int, status: int, payload: bytes = b"") -> bytes:
    body = bytes([command, status, len(payload)]) + payload
    return b"\x5a" + body + struct.pack("<H", crc16(body))


class Scripted:
    """A port: `answers` are given in turn, a byte at a time; then it is silent."""

    def __init__(self, *answers: bytes) -> None:
        self.waiting = b"".join(answers)
        self.written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.written.append(data)
        return len(data)

    def read(self, size: int) -> bytes:
        head, self.waiting = self.waiting[:1], self.waiting[1:]
        return head


def test_infer_encodes_frames_and_reads_results() -> None:
    answers = [reply(IDENTIFY, 0, IDENTITY.pack()), reply(INFER, 0, struct.pack("<HI", 7, 900))]
    port = Scripted(b"\x00\x01", *answers)  # rest of an older frame first
    device = LiftFlowDevice.from_model(port, MODEL)
    (result,) = device.infer([[0.5, 1.0, 1.5, 200.0]])
    assert (result.label, result.cycles) == (7, 900)
    assert port.written[1] == request(INFER, b"\x01\x02\x03\xff")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "does not answer"),
        (reply(IDENTIFY, 1), "bad checksum"),
        (reply(IDENTIFY, 99), "status 99"),
        (reply(INFER, 0), "an answer to command 1"),
        (reply(IDENTIFY, 0, IDENTITY.pack())[:-1] + b"\x00", "damaged"),
        (reply(IDENTIFY, 0, b"abc"), "identity of 3 bytes"),
    ],
)
def test_bad_answers(answer: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        LiftFlowDevice(Scripted(answer)).identify()


def test_another_design_on_the_board_is_refused() -> None:
    other = Identity(1, "f" * 16, 4, 8, 1, 10, 50_000)
    with pytest.raises(ProtocolError, match="load its bitstream"):
        LiftFlowDevice.from_model(Scripted(reply(IDENTIFY, 0, other.pack())), MODEL)
    newer = Identity(2, "00112233aabbccdd", 4, 8, 1, 10, 50_000)
    with pytest.raises(ProtocolError, match="version 2"):
        LiftFlowDevice.from_model(Scripted(reply(IDENTIFY, 0, newer.pack())), MODEL)
