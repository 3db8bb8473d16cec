"""A build as data: files, steps, tools, products and a digest over all of them.

A plan can be shown, written to a folder and run there by its own `run.sh` on another machine, or
run here step by step. The idea is Amaranth's `build.run.BuildPlan`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hw_targets.errors import MissingToolError
from hw_targets.flows.process import USUAL, Limit
from hw_targets.flows.runner import run_step
from hw_targets.flows.script import script
from hw_targets.flows.tools import Tool

Say = Callable[[str, float | None], None]


def silent(text: str, share: float | None) -> None:
    """A `Say` that says nothing."""


@dataclass(frozen=True)
class Step:
    """One call of one tool in the plan's folder; all paths are relative to it.

    attempts: argument lists, tried in order until one succeeds. Only a failure whose log has
        `retry_on` in it is worth another attempt (a missed clock, with another seed).
    inputs, products: files it reads (the step is repeated when they change) and must leave.
    beside: attempts behind the first one run at the same time, as many as there are processors; the
        earliest one that succeeds counts all the same.
    minutes: an attempt that takes longer counts as hung. checks: product -> what raises
        LiftFlowError where the file is not what the tool should write.
    """

    name: str
    tool: Tool
    attempts: tuple[tuple[str, ...], ...]
    inputs: tuple[str, ...]
    products: tuple[str, ...]
    retry_on: str | None = None
    beside: bool = False
    minutes: float = 240.0
    # No part of the hash: a mapping has none.
    checks: Mapping[str, Callable[[Path], object]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class BuildPlan:
    """What to build, with which tools, from which files.

    files: path in the folder -> contents, or the path of a file to copy.
    products: what the whole plan gives; each is a product of some step. requires: tools that the
        steps call in their turn.
    """

    name: str
    files: Mapping[str, bytes | Path]
    steps: tuple[Step, ...]
    products: tuple[str, ...]
    requires: tuple[Tool, ...] = ()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Every tool once, in the order of use."""
        return tuple(dict.fromkeys([*(step.tool for step in self.steps), *self.requires]))

    def missing_tools(self) -> tuple[Tool, ...]:
        """Tools of the plan that are not on this machine."""
        return tuple(tool for tool in self.tools if not tool.present)

    def contents(self, name: str) -> bytes:
        """Contents of one of the plan's files."""
        source = self.files[name]
        return source if isinstance(source, bytes) else source.read_bytes()

    def describe(self) -> dict[str, Any]:
        """The plan without its file contents, as JSON-serialisable data."""
        return {
            "name": self.name,
            "files": {
                name: hashlib.sha256(self.contents(name)).hexdigest() for name in sorted(self.files)
            },
            "steps": [
                {
                    "name": step.name,
                    "tool": step.tool.name,
                    "attempts": step.attempts,
                    "inputs": step.inputs,
                    "products": step.products,
                }
                for step in self.steps
            ],
            "tools": {tool.name: tool.version for tool in self.tools},
            "get": {tool.name: tool.get for tool in self.tools},
            "products": self.products,
        }

    @property
    def digest(self) -> str:
        """sha256 over file contents, steps and tool versions, in hexadecimal."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def folder_contents(self) -> dict[str, bytes]:
        """Path -> contents of all files, `run.sh` and `plan.json` included."""
        described = {**self.describe(), "digest": self.digest}
        return {
            **{name: self.contents(name) for name in self.files},
            "run.sh": script(self).encode(),
            "plan.json": (json.dumps(described, indent=2) + "\n").encode(),
        }

    def write(self, folder: Path) -> None:
        """Write `folder_contents`; a file that is already right is left alone."""
        for name, data in self.folder_contents().items():
            path = folder / name
            if path.is_file() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / "run.sh").chmod(0o755)

    def run(
        self,
        folder: Path,
        say: Say = silent,
        *,
        until: str | None = None,
        limit: Limit = USUAL,
    ) -> dict[str, Path]:
        """Write the plan to `folder`, run its steps there, return product name -> path.

        until: name of the last step to run, all by default; a later call goes on from there.
        limit: of every call of a tool, instead of its step's own.

        A step is skipped when it ran before with the same arguments, tool and inputs and its
        products are unchanged, so an interrupted build goes on where it stopped. Logs are in
        `logs/`.

        Raises:
            MissingToolError: a tool is not on this machine.
            LiftFlowError: a step failed; the text quotes the tool's own error line.
        """
        for tool in self.missing_tools():
            raise MissingToolError(f"{self.name} needs {tool.name}", where=tool.name, mend=tool.get)
        self.write(folder)
        for index, step in enumerate(self.steps):
            share = index / len(self.steps)
            say(step.name, share)
            run_step(step, folder, partial(_say_at, say, share), limit)
            if step.name == until:
                break
        return {name: folder / name for name in self.products}


def _say_at(say: Say, share: float, text: str) -> None:
    say(text, share)
