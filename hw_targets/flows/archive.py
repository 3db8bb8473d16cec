"""A build plan as one compressed file, the same bytes for the same plan."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from hw_targets.errors import LiftFlowError
from hw_targets.flows.plan import BuildPlan

SUFFIXES = (".tar.gz", ".tgz")


def packed(plan: BuildPlan) -> bytes:
    """The plan's folder, `run.sh` and `plan.json` included, as a .tar.gz without a top folder."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in sorted(plan.folder_contents().items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o755 if name == "run.sh" else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def write(plan: BuildPlan, path: Path) -> None:
    """Write `packed(plan)` to `path`.

    Raises:
        LiftFlowError: the name has another ending.
    """
    if not path.name.endswith(SUFFIXES):
        raise LiftFlowError(
            f"{path.name} is no name of a compressed tar file",
            where="--archive",
            mend=f"end it with {' or '.join(SUFFIXES)}",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed(plan))
