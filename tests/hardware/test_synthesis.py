"""The synthesis readers accept every kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hw_targets.flows.tools import YOSYS
from tests.hardware.bench import TOP, write_bench
from tests.hardware.cases import GENERATORS, cases


@pytest.mark.slow
def test_yosys_slang_elaborates_every_kernel(tmp_path: Path) -> None:
    if not YOSYS.present:
        pytest.skip("yosys is not installed")
    instances = []
    for kind in GENERATORS:
        instances += cases(kind, 4, seed=7)
    renamed = [type(unit)(f"k{i}", unit.kernel, unit.arrays) for i, unit in enumerate(instances)]
    sources = write_bench(renamed, tmp_path)
    script = (
        f"read_slang --threads 1 --top {TOP} {' '.join(sources)} ; "
        "hierarchy -check ; proc ; flatten ; opt_clean ; check -assert"
    )
    done = subprocess.run(
        YOSYS.command(("-q", "-p", script)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
