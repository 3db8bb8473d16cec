"""PYNQ driver of a LiftFlow overlay: load the bitstream, send samples through its DMA.

Needs PYNQ, on the board itself. As a command: `sudo python3 driver.py samples.npy`. This file is
copied to the board: it runs on Python 3.8 and newer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .frames import of_model, texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = (1 << 26) - 1
"""Bytes that one transfer of the DMA takes at most."""

BATCH = 1000
"""Frames a packet: more would take more memory, and go no faster."""


class LiftFlowOverlay:
    """An accelerator behind a DMA.

    dma: of PYNQ, or what has `sendchannel` and `recvchannel` with `transfer` and `wait`. allocate:
    (shape, dtype) -> a buffer that the DMA reaches. model: a deployment's model.json.
    """

    def __init__(
        self, dma: Any, allocate: Callable[..., Any], model: dict[str, Any], batch: int = BATCH
    ) -> None:
        self.dma = dma
        self.allocate = allocate
        self.samples, self.answers = of_model(model)
        longest = max(self.samples.layout.frame_bytes, self.answers.frame_bytes)
        self.batch = max(1, min(batch, LONGEST // longest))

    @classmethod
    def load(cls, bitstream: Path, model: dict[str, Any]) -> LiftFlowOverlay:
        """Load the bitstream, whose .hwh file lies beside it. Raises ImportError: no PYNQ here."""
        from pynq import Overlay, allocate

        return cls(Overlay(str(bitstream)).dma, allocate, model)

    def infer(self, samples: NDArray[Any]) -> NDArray[Any]:
        """(n, output elements) integers: classes, or outputs channels last.

        samples: floats, (n, *shape) or one sample. Raises ValueError: samples of another shape.
        """
        elements = self.samples.elements(samples)
        parts = [
            self._packet(elements[at : at + self.batch])
            for at in range(0, len(elements), self.batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.answers.elements), np.int64)

    def _packet(self, elements: NDArray[Any]) -> NDArray[Any]:
        packed = self.samples.layout.pack(elements)
        sent = self.allocate(shape=(packed.size,), dtype=np.uint8)
        got = self.allocate(shape=(len(elements) * self.answers.frame_bytes,), dtype=np.uint8)
        try:
            sent[:] = packed.ravel()
            self.dma.recvchannel.transfer(got)  # before it is sent to: answers find a place
            self.dma.sendchannel.transfer(sent)
            self.dma.sendchannel.wait()
            self.dma.recvchannel.wait()
            return self.answers.unpack(np.array(got))
        finally:
            for buffer in (sent, got):
                free = getattr(buffer, "freebuffer", None)
                if free is not None:
                    free()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 if every sample was answered, as expected where that is known."""
    parser = argparse.ArgumentParser(description="Run samples on a LiftFlow overlay.")
    parser.add_argument("--model", type=Path, default=Path("model.json"), help="model.json")
    parser.add_argument("--bitstream", type=Path, help="by default the one of the model's name")
    parser.add_argument("--expected", type=Path, help="expected.json: compare with its answers")
    parser.add_argument("samples", type=Path, nargs="+", help=".npy files of one or more samples")
    options = parser.parse_args(arguments)
    try:
        model = json.loads(options.model.read_text())
        bitstream = options.bitstream or options.model.parent / (model["name"] + ".bit")
        if not bitstream.is_file():
            raise OSError(f"{bitstream} is missing: build it as README.md says")
        files = [np.load(path, allow_pickle=False) for path in options.samples]
        overlay = LiftFlowOverlay.load(bitstream, model)
        started = time.perf_counter()
        answers = np.concatenate([overlay.infer(samples) for samples in files])
        seconds = time.perf_counter() - started
    except ImportError:
        print("error: PYNQ is missing: run this on the board, as root", file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(texts(model, answers)))
    rate = len(answers) / seconds
    print(f"{len(answers)} samples, {rate:.1f} a second, packing included", file=sys.stderr)
    if options.expected is None:
        return 0
    expected = np.array(json.loads(options.expected.read_text())).reshape(len(answers), -1)
    right = int((answers == expected).all(axis=1).sum())
    print(f"{right} of {len(answers)} answers are the model's", file=sys.stderr)
    return 0 if right == len(answers) else 1


if __name__ == "__main__":
    sys.exit(main())
