"""Rows of results, one JSON object a line, so that an interrupted benchmark goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError

Row = dict[str, Any]


class Store:
    """Appends rows to a file; knows which experiments it holds whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[Row] = read(file)

    def has(self, **key: Any) -> bool:
        """Is the experiment with this key done?"""
        return any(row.get("done") and _matches(row, key) for row in self.rows)

    def drop(self, **key: Any) -> None:
        """Forgets what an interrupted experiment left."""
        self.rows = [row for row in self.rows if not _matches(row, key)]
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        partial = self.file.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(self.file)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        with self.file.open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def read(file: Path) -> list[Row]:
    """All rows of a file, none if there is no file; a last line cut short is left out.

    Raises:
        LiftFlowError: another line is no JSON.
    """
    if not file.is_file():
        return []
    rows = []
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise LiftFlowError(
                    "no JSON", where=f"{file}:{number}", mend="take the line out or start anew"
                ) from error
    return rows


def _matches(row: Row, key: Row) -> bool:
    return all(row.get(name) == value for name, value in key.items())
