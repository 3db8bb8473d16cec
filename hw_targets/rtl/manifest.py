"""What a folder of RTL holds: `manifest.json` and the memory files of its kernels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_targets.rtl.kernel import Instance, Stream

if TYPE_CHECKING:
    from hw_targets.rtl.top import Link

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Contents of a folder of RTL.

    sources: in the order to read them, the top last. files: name -> text of every file but the
    manifest itself. units and links: as `Design` has them.
    """

    name: str
    top: str
    sources: tuple[str, ...]
    memories: tuple[str, ...]
    input: Stream
    output: Stream
    units: tuple[Instance, ...]
    links: tuple[Link, ...]
    files: Mapping[str, str]

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file."""
        return {
            name: hashlib.sha256(text.encode()).hexdigest()
            for name, text in sorted(self.files.items())
        }

    @property
    def digest(self) -> str:
        """SHA-256 over the names and hashes of all files."""
        lines = "".join(f"{value}  {name}\n" for name, value in self.hashes.items())
        return hashlib.sha256(lines.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The manifest as JSON-serialisable data."""
        return {
            "name": self.name,
            "digest": self.digest,
            "top": self.top,
            "sources": list(self.sources),
            "memories": list(self.memories),
            "input": asdict(self.input),
            "output": asdict(self.output),
            "units": [
                {
                    "name": unit.name,
                    "module": unit.kernel.module,
                    "cycles": unit.kernel.cycles,
                    "parameters": unit.kernel.parameters(),
                    "sources": [str(source) for source in unit.sources or ()],
                }
                for unit in self.units
            ],
            "links": [
                {"name": link.name, "width": link.stream.width, "depth": link.depth}
                for link in self.links
            ],
            "files": self.hashes,
        }

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`."""
        text = json.dumps(self.describe(), indent=2) + "\n"
        (folder / MANIFEST).write_text(text, newline="\n")

    @staticmethod
    def remove(folder: Path) -> None:
        """Remove the manifest in `folder`, if there is one, and the files it names."""
        path = folder / MANIFEST
        if not path.is_file():
            return
        for name in json.loads(path.read_text())["files"]:
            (folder / Path(name).name).unlink(missing_ok=True)
        path.unlink()


def memory_files(unit: Instance) -> dict[str, list[str]]:
    """File name -> words of every memory of a kernel.

    A key `PARAMETER.suffix` of `Kernel.memories` is one of several files whose common stem the
    parameter gives; the module appends `_<suffix>.mem` itself.
    """
    files = {}
    for key, words in unit.kernel.memories(unit.arrays).items():
        parameter, _, suffix = key.partition(".")
        stem = f"{unit.name}_{parameter.lower()}"
        files[f"{stem}_{suffix}.mem" if suffix else f"{stem}.mem"] = words
    return files


def memory_parameters(unit: Instance) -> dict[str, str]:
    """Memory parameter -> file name, or the stem of its files."""
    values = {}
    for key in unit.kernel.memories(unit.arrays):
        parameter, dot, _ = key.partition(".")
        stem = f"{unit.name}_{parameter.lower()}"
        values[parameter] = stem if dot else f"{stem}.mem"
    return values
