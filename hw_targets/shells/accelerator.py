"""What a shell has to know of the accelerator inside it, read from the design's manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hw_targets.errors import LiftFlowError
from hw_targets.rtl.kernel import Stream
from hw_targets.rtl.manifest import MANIFEST


@dataclass(frozen=True)
class Accelerator:
    """Interface of one accelerator.

    digest: hexadecimal, at least 16 digits. classes: 0 where it gives outputs, not a class index.
    sources and memories: paths in the design's folder, the sources in the order to read them.
    """

    digest: str
    input: Stream
    output: Stream
    classes: int
    sources: tuple[str, ...]
    memories: tuple[str, ...] = ()
    top: str = "liftflow_accel"

    @classmethod
    def read(cls, folder: Path, classes: int) -> Accelerator:
        """From the `manifest.json` of an RTL folder.

        Raises:
            LiftFlowError: no or another manifest, or with classes an output that is not one index.
        """
        path = folder / MANIFEST
        try:
            manifest = json.loads(path.read_text())
            unit = cls(
                digest=manifest["digest"],
                input=Stream(**manifest["input"]),
                output=Stream(**manifest["output"]),
                classes=classes,
                sources=tuple(manifest["sources"]),
                memories=tuple(manifest["memories"]),
                top=manifest["top"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LiftFlowError(
                f"no manifest of an RTL design ({error})", where=str(path), mend="generate it again"
            ) from error
        if classes and unit.output.elements != 1:
            raise LiftFlowError(
                f"a class is one index a frame, not {unit.output.elements} elements",
                where=str(path),
                mend="end the network in a label selection",
            )
        return unit

    def files(self, folder: Path) -> dict[str, Path]:
        """Path in a build -> file to copy, of everything that synthesis reads."""
        return {name: folder / name for name in (*self.sources, *self.memories)}
