"""Host driver of a LiftFlow board: identify it, send it samples, get its answers back.

Needs the standard library, and pyserial for a real serial port. As a command:
`python driver.py --port /dev/ttyUSB0 samples.npy`.
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
    LATENCY,
    LINE_FAULTS,
    OK,
    STATUS_TEXT,
    SYNC_BOARD,
    Identity,
    LineError,
    ProtocolError,
    Reply,
    crc16,
    request,
)
from .samples import Encoding, channels_last, read_samples

ATTEMPTS = 3
"""Times that a frame is sent before the line is given up."""


class Port(Protocol):
    """What the driver needs of a serial port; `serial.Serial` with a timeout is one."""

    def write(self, data: bytes, /) -> int | None: ...

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, fewer when its timeout passes."""
        ...


@dataclass(frozen=True)
class Result:
    """Answer to one sample: output elements, and clock cycles from first beat in to last one out.

    A class index is an output of one element.
    """

    outputs: tuple[int, ...]
    cycles: int

    @property
    def label(self) -> int:
        """The class index."""
        return self.outputs[0]

    def text(self, model: dict[str, Any]) -> str:
        """The class, or the values of the outputs, and the latency, tab between them."""
        output = model.get("output")
        values = [f"{value * output['step']:.6g}" for value in self.outputs] if output else []
        answer = " ".join(values) if output else str(self.label)
        return f"{answer}\t{self.cycles / model['clock_mhz']:.1f} us"


@dataclass(frozen=True)
class Batch:
    """Answers to a batch of samples, in order, and the seconds that they took, line included."""

    results: tuple[Result, ...]
    seconds: float

    def summary(self, model: dict[str, Any]) -> str:
        """Batch, throughput and latency in one line."""
        latency = [result.cycles / model["clock_mhz"] for result in self.results]
        spread = f"{min(latency):.1f}" + (
            f" to {max(latency):.1f}" if max(latency) > min(latency) else ""
        )
        return (
            f"batch of {len(self.results)} in {self.seconds:.3f} s: "
            f"{len(self.results) / self.seconds:.1f} samples a second, line included; "
            f"latency {spread} us in the accelerator"
        )


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
        digest = device.identify().digest
        if not str(model["digest"]).startswith(digest):
            raise ProtocolError(
                f"the board carries {digest}, not {model['digest'][:16]}: load its bitstream first"
            )
        return device

    def identify(self) -> Identity:
        """What the board says it is. Raises ProtocolError."""
        self._identity = Identity.unpack(self.command(IDENTIFY).payload)
        return self._identity

    def infer(self, samples: Iterable[Sequence[float]]) -> Batch:
        """Answers to flattened samples (floats, or elements without an encoding).

        Raises:
            ProtocolError: the board answered with an error or not at all.
        """
        identity = self._identity or self.identify()
        started = time.perf_counter()
        results = []
        for sample in samples:
            elements = self.encoding.encode(sample) if self.encoding else [int(x) for x in sample]
            payload = self.command(INFER, identity.input.pack(elements)).payload
            outputs = identity.output.unpack(payload[LATENCY.size :])
            results.append(Result(outputs, *LATENCY.unpack(payload[: LATENCY.size])))
        return Batch(tuple(results), time.perf_counter() - started)

    def command(self, command: int, payload: bytes = b"") -> Reply:
        """Send one frame and take its answer; up to `ATTEMPTS` times where the line was at fault.

        Raises:
            ProtocolError: no answer, a damaged one, or one with an error status.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self._once(command, payload)
            except LineError:
                while self.port.read(256):  # what is still under way, until the line is at rest
                    continue
        return self._once(command, payload)

    def _once(self, command: int, payload: bytes) -> Reply:
        self.port.write(request(command, payload))
        reply = self.receive()
        if reply.status != OK:
            kind = LineError if reply.status in LINE_FAULTS else ProtocolError
            raise kind(STATUS_TEXT.get(reply.status, f"status {reply.status}"))
        if reply.command != command:
            raise LineError(f"an answer to command {reply.command}, not {command}")
        return reply

    def receive(self) -> Reply:
        """The next frame from the board, whatever its status. Raises LineError."""
        while (first := self._read(1)) != bytes([SYNC_BOARD]):
            continue  # rest of an older frame
        header = first + self._read(HEADER.size - 1)
        _, command, status, length = HEADER.unpack(header)
        payload = self._read(length)
        if int.from_bytes(self._read(2), "little") != crc16(header[1:] + payload):
            raise LineError("damaged answer: its checksum is wrong")
        return Reply(command, status, payload)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.port.read(size - len(data))
            if not more:
                raise LineError("the board does not answer")
            data += more
        return data


def infer_files(device: str, model: dict[str, Any], files: Sequence[Path], timeout: float) -> Batch:
    """Answers to all samples of `files` from the board on serial port `device`.

    timeout: seconds to wait for an answer.

    Raises:
        OSError: no such port or file. ValueError: a file is no batch of samples.
        ProtocolError: the board carries another model, or failed. ImportError: no pyserial.
    """
    import serial

    shape = model["input"]["shape"]
    samples = [sample for path in files for sample in read_samples(path, shape)]
    with serial.Serial(device, model["baud"], timeout=timeout) as port:
        port.reset_input_buffer()
        return LiftFlowDevice.from_model(port, model).infer(samples)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 if every sample was answered, 1 if the board failed."""
    parser = argparse.ArgumentParser(description="Run samples on a LiftFlow board.")
    parser.add_argument("--port", required=True, help="serial port, such as /dev/ttyUSB0")
    parser.add_argument("--model", type=Path, default=Path("model.json"), help="model.json")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for an answer")
    parser.add_argument("samples", type=Path, nargs="+", help=".npy files of one or more samples")
    options = parser.parse_args(arguments)
    try:
        model = json.loads(options.model.read_text())
        batch = infer_files(options.port, model, options.samples, options.timeout)
    except ImportError:
        print("error: pyserial is missing: pip install pyserial", file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError, ProtocolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for result in batch.results:
        print(result.text(model))
    print(batch.summary(model), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
