"""The byte protocol between host and board, as docs/protocol.md specifies it. Stdlib only.

This file is also copied to the machine that the board is plugged into.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

VERSION = 1

SYNC_HOST = 0xA5
SYNC_BOARD = 0x5A

INFER = 0x01
IDENTIFY = 0x02

OK = 0
STATUS_TEXT = {
    0: "ok",
    1: "bad checksum",
    2: "bad length",
    3: "overrun: bytes came while the board was busy",
    4: "unknown command",
    5: "timeout: the frame stopped in the middle",
    6: "no result: the accelerator did not answer in time",
}

HEADER = struct.Struct("<BBBB")  # sync, command, status, payload length
INFER_REPLY = struct.Struct("<HI")
IDENTIFY_REPLY = struct.Struct("<B8sHBHHI")


@dataclass(frozen=True)
class Identity:
    """What a board says it is. A beat carries `lanes` elements of `bits` each."""

    version: int
    digest: str
    elements: int
    bits: int
    lanes: int
    classes: int
    clock_khz: int

    def pack(self) -> bytes:
        """Payload of the answer to IDENTIFY."""
        return IDENTIFY_REPLY.pack(
            self.version,
            bytes.fromhex(self.digest),
            self.elements,
            self.bits,
            self.lanes,
            self.classes,
            self.clock_khz,
        )

    @classmethod
    def unpack(cls, payload: bytes) -> Identity:
        """Raises ProtocolError if the payload is no identity."""
        if len(payload) != IDENTIFY_REPLY.size:
            raise ProtocolError(f"identity of {len(payload)} bytes, not {IDENTIFY_REPLY.size}")
        version, digest, elements, bits, lanes, classes, clock = IDENTIFY_REPLY.unpack(payload)
        return cls(version, digest.hex(), elements, bits, lanes, classes, clock)

    @property
    def frame_bytes(self) -> int:
        """Payload bytes of an INFER frame."""
        return self.elements // self.lanes * beat_bytes(self.lanes, self.bits)


@dataclass(frozen=True)
class Reply:
    """One frame from the board, its checksum already checked."""

    command: int
    status: int
    payload: bytes


class ProtocolError(Exception):
    """The board answered with an error, with nonsense, or not at all."""


def crc16(data: bytes, crc: int = 0xFFFF) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, not reflected."""
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
            crc &= 0xFFFF
    return crc


def request(command: int, payload: bytes = b"") -> bytes:
    """A whole host frame: sync, command, length, payload, checksum."""
    if len(payload) > 0xFFFF:
        raise ProtocolError(f"a frame holds at most 65535 bytes of payload, not {len(payload)}")
    body = struct.pack("<BH", command, len(payload)) + payload
    return bytes([SYNC_HOST]) + body + struct.pack("<H", crc16(body))


def beat_bytes(lanes: int, bits: int) -> int:
    """Bytes that one beat takes on the line."""
    return (lanes * bits + 7) // 8


def pack_elements(values: Iterable[int], bits: int, lanes: int) -> bytes:
    """Elements as the payload of an INFER frame: beat by beat, element 0 lowest, little-endian.

    Raises:
        ProtocolError: a value does not fit in `bits`, or the last beat is not full.
    """
    size = beat_bytes(lanes, bits)
    mask = (1 << bits) - 1
    payload = bytearray()
    word = count = 0
    for value in values:
        if not -(1 << (bits - 1)) <= value <= mask:
            raise ProtocolError(f"element {value} does not fit in {bits} bits")
        word |= (value & mask) << (count * bits)
        count += 1
        if count == lanes:
            payload += word.to_bytes(size, "little")
            word = count = 0
    if count:
        raise ProtocolError(f"{count} elements left over: a beat has {lanes}")
    return bytes(payload)
