"""Host driver of a LiftFlow board: identify it, send it samples, get classes back.

Needs the standard library, and pyserial for a real serial port. As a command:
`python driver.py --port /dev/ttyUSB0 sample.npy`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .protocol import (
    HEADER,
    IDENTIFY,
    INFER,
    INFER_REPLY,
    OK,
    STATUS_TEXT,
    SYNC_BOARD,
    VERSION,
    Identity,
    ProtocolError,
    Reply,
    crc16,
    pack_elements,
    request,
)
from .samples import Encoding, channels_last, read_npy


class Port(Protocol):
    """What the driver needs of a serial port; `serial.Serial` with a timeout is one."""

    def write(self, data: bytes, /) -> int | None: ...

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, fewer when its timeout passes."""
        ...


@dataclass(frozen=True)
class Result:
    """Answer to one sample: class index, and clock cycles from first beat in to class out."""

    label: int
    cycles: int


class LiftFlowDevice:
    """A board on a serial port.

    encoding: how float samples become elements; without it `infer` takes elements only.
    """

    def __init__(self, port: Port, encoding: Encoding | None = None) -> None:
        self.port = port
        self.encoding = encoding
        self._identity: Identity | None = None

    @classmethod
    def from_model(cls, port: Port, model: dict[str, Any]) -> LiftFlowDevice:
        """A device that must be the one described by a deployment's model.json.

        Raises:
            ProtocolError: the board carries another model, or does not answer.
        """
        form = model["input"]
        order = channels_last(form["shape"])
        device = cls(port, Encoding(form["bits"], form["signed"], form["scale"], order))
        identity = device.identify()
        if identity.version != VERSION:
            raise ProtocolError(f"the board speaks version {identity.version}, not {VERSION}")
        if not str(model["digest"]).startswith(identity.digest):
            raise ProtocolError(
                f"the board carries {identity.digest}, not {model['digest'][:16]}: load its "
                "bitstream first"
            )
        return device

    def identify(self) -> Identity:
        """What the board says it is. Raises ProtocolError."""
        self._identity = Identity.unpack(self.command(IDENTIFY).payload)
        return self._identity

    def infer(self, samples: Iterable[Sequence[float]]) -> list[Result]:
        """Class and latency of each flattened sample (floats, or elements without an encoding).

        Raises:
            ProtocolError: the board answered with an error or not at all.
        """
        identity = self._identity or self.identify()
        results = []
        for sample in samples:
            elements = self.encoding.encode(sample) if self.encoding else [int(x) for x in sample]
            payload = pack_elements(elements, identity.bits, identity.lanes)
            reply = self.command(INFER, payload)
            if len(reply.payload) != INFER_REPLY.size:
                raise ProtocolError(f"result of {len(reply.payload)} bytes")
            results.append(Result(*INFER_REPLY.unpack(reply.payload)))
        return results

    def command(self, command: int, payload: bytes = b"") -> Reply:
        """Send one frame and take its answer.

        Raises:
            ProtocolError: no answer, a damaged one, or one with an error status.
        """
        self.port.write(request(command, payload))
        reply = self.receive()
        if reply.status != OK:
            raise ProtocolError(STATUS_TEXT.get(reply.status, f"status {reply.status}"))
        if reply.command != command:
            raise ProtocolError(f"an answer to command {reply.command}, not {command}")
        return reply

    def receive(self) -> Reply:
        """The next frame from the board, whatever its status. Raises ProtocolError."""
        while (first := self._read(1)) != bytes([SYNC_BOARD]):
            continue  # rest of an older frame
        _, command, status, length = HEADER.unpack(first + self._read(HEADER.size - 1))
        payload = self._read(length)
        body = bytes([command, status, length]) + payload
        if int.from_bytes(self._read(2), "little") != crc16(body):
            raise ProtocolError("damaged answer: its checksum is wrong")
        return Reply(command, status, payload)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.port.read(size - len(data))
            if not more:
                raise ProtocolError("the board does not answer")
            data += more
        return data


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 if every sample was classified, 1 if the board failed."""
    parser = argparse.ArgumentParser(description="Classify samples on a LiftFlow board.")
    parser.add_argument("--port", required=True, help="serial port, such as /dev/ttyUSB0")
    parser.add_argument("--model", type=Path, default=Path("model.json"), help="model.json")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for an answer")
    parser.add_argument("samples", type=Path, help=".npy file of one or more samples")
    options = parser.parse_args(arguments)
    try:
        import serial
    except ImportError:
        print("pyserial is missing: pip install pyserial", file=sys.stderr)
        return 1
    try:
        model = json.loads(options.model.read_text())
        shape, values = read_npy(options.samples)
        size = len(channels_last(model["input"]["shape"]))
        if not values or len(values) % size:
            print(f"{options.samples}: {shape} is no batch of {size} elements", file=sys.stderr)
            return 1
        with serial.Serial(options.port, model["baud"], timeout=options.timeout) as port:
            port.reset_input_buffer()
            device = LiftFlowDevice.from_model(port, model)
            samples = [values[at : at + size] for at in range(0, len(values), size)]
            started = time.perf_counter()
            results = device.infer(samples)
            seconds = time.perf_counter() - started
    except (OSError, ValueError, KeyError, ProtocolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for result in results:
        print(f"{result.label}\t{result.cycles / model['clock_mhz']:.1f} us")
    print(f"{len(results) / seconds:.0f} samples a second, line included", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
