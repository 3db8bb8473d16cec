"""`liftflow passes` reads sources instead of importing torch, and tells the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

import passes
from compiler.commands.passes import imported
from compiler.pass_source import described


@pytest.mark.parametrize("name", passes.ORDER)
def test_the_source_tells_what_the_class_tells(name: str) -> None:
    assert described(name) == imported(name)


def test_passes_of_other_packages_are_imported() -> None:
    assert described("my-pass") is None


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys; from compiler.commands.passes import list_passes; list_passes(); "
        "assert not {'torch', 'scipy', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "retrain" in done.stdout
