"""Where a training stands, kept in a file that is whole or not there."""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from compiler.stages import Epoch


@dataclass
class Checkpoint:
    """After `epoch` epochs: the states of network and optimizer, and the best network so far.

    tag: digest of what the training was started from. best_key: (accuracy, -loss) held out.
    loss_before: of the network as it came, on what the first epoch trains on.
    """

    tag: str
    epoch: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    best_key: tuple[float, float] = (-1.0, 0.0)
    best_epoch: int = 0
    history: tuple[Epoch, ...] = ()
    loss_before: float = math.inf

    def save(self, file: Path) -> None:
        """Write beside and rename: an interruption leaves the checkpoint before."""
        content = io.BytesIO()  # torch tells of a full disk in no way that says so.
        torch.save({**asdict(self), "history": self.history}, content)
        part = file.with_suffix(".part")
        try:
            part.write_bytes(content.getbuffer())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        part.replace(file)

    @classmethod
    def load(cls, file: Path, tag: str) -> Checkpoint:
        """The checkpoint in `file` if it is whole and of this very training, else a first one."""
        if file.exists():
            try:
                content = torch.load(file, map_location="cpu", weights_only=False)
                if content.get("tag") == tag:
                    return cls(**content)
            except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError):
                pass  # cut off, or of another version: begin anew
        return cls(tag)
