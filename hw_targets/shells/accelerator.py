"""What a shell has to know of the accelerator inside it, read from the design's manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hw_targets.errors import LiftFlowError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Accelerator:
    """Interface of one accelerator: `beats` transfers of `lanes` x `bits` in, one class index out.

    That of a regression, with `classes` 0, gives its outputs, which the serial shell has no answer
    for. digest: hexadecimal, at least 16 digits. out_bits: width of what comes out. sources and
    memories: paths in the design's folder, the sources in the order to read them.
    """

    digest: str
    lanes: int
    bits: int
    beats: int
    out_bits: int
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
            source, result = manifest["input"], manifest["output"]
            one = result["beats"] == 1 and result["lanes"] == 1 and result["bits"] <= 16
            if classes and not one:
                raise LiftFlowError(
                    "the shell takes one class index of at most 16 bits a frame, not "
                    f"{result['beats']} beats of {result['lanes']} x {result['bits']} bits",
                    where=str(path),
                    mend="end the network in a label selection",
                )
            return cls(
                digest=manifest["digest"],
                lanes=source["lanes"],
                bits=source["bits"],
                beats=source["beats"],
                out_bits=result["bits"] * result["lanes"],
                classes=classes,
                sources=tuple(manifest["sources"]),
                memories=tuple(manifest["memories"]),
                top=manifest["top"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LiftFlowError(
                f"no manifest of an RTL design ({error})", where=str(path), mend="generate it again"
            ) from error

    def files(self, folder: Path) -> dict[str, Path]:
        """Path in a build -> file to copy, of everything that synthesis reads."""
        return {name: folder / name for name in (*self.sources, *self.memories)}
