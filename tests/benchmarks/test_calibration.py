"""Calibration: points spread and always the same, products complete, FINN asked for like nodes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.calibration import sweep
from benchmarks.calibration.contents import arrays_for
from benchmarks.calibration.fit import SHAPES, counted
from benchmarks.calibration.points import COUNTS, points
from benchmarks.calibration.products import combinations
from benchmarks.calibration.sweep import kernel_of, point_key
from benchmarks.calibration.synthesis import _top, recipe_digest, sources_digest
from benchmarks.calibration.tables import finn_node, section
from compiler import ray_pool
from hw_targets.cost.basis.products import (
    Products,
    maximum_table,
    product_table,
    products_file,
)
from hw_targets.cost.coefficients import load_coefficients
from hw_targets.cost.features import KERNELS
from hw_targets.families import family_names, load_family
from hw_targets.finn_adapter import node_luts
from hw_targets.rtl.add import Add
from hw_targets.rtl.concat import Concat
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import PRODUCT, Mvu
from hw_targets.rtl.pad import Pad
from hw_targets.rtl.swu import Swu
from hw_targets.rtl.table import Table
from hw_targets.rtl.threshold import Threshold
from hw_targets.rtl.width_converter import WidthConverter


def test_points_are_many_distinct_and_always_the_same() -> None:
    listed = list(points(tuple(COUNTS), 10**6))
    assert len(listed) == len(set(listed)) >= 1000
    assert listed == list(points(tuple(COUNTS), 10**6))
    # A shorter sweep makes some of the same points.
    assert set(points(tuple(COUNTS), 20)) < set(listed)
    assert set(COUNTS) == set(KERNELS) == set(SHAPES)


def test_points_have_contents_for_their_memories() -> None:
    for kernel in points(tuple(COUNTS), 8):
        for words in kernel.memories(arrays_for(kernel)).values():
            assert words


def test_thresholds_lie_where_trained_networks_have_them() -> None:
    spans = []
    for kernel in points(("Threshold",), 10**6):
        assert isinstance(kernel, Threshold)
        found = arrays_for(kernel)["thresholds"]
        steps = np.diff(found, axis=1)
        assert found.shape == (kernel.channels, 2**kernel.out_bits - 1)
        # A channel's steps are equal, but for rounding and the ends of the range.
        half = 2 ** (kernel.in_bits - 1)
        inside = (found[:, :1] > -half) & (found[:, -1:] < half)
        if kernel.out_bits > 1:
            assert (np.ptp(steps, axis=1) <= 1)[inside[:, 0]].all()
        if kernel.in_bits >= kernel.out_bits + 9:
            spans.append(np.log2(found.std() / half))
    assert -7.5 < np.median(spans) < -6
    assert min(spans) < -8
    assert max(spans) > -5


def test_tables_and_lanes_of_one_scale_rescale_integers() -> None:
    for kernel in points(("Table",), 10**6):
        assert isinstance(kernel, Table)
        table = arrays_for(kernel)["table"]
        half = len(table) // 2
        ascending = np.concatenate([table[half:], table[:half]]) if kernel.in_signed else table
        assert (np.diff(ascending) >= 0).all()
        assert table[0] == 0
        # Nearly all results occur, where there are inputs enough for them.
        highest = 2 ** (kernel.out_bits - kernel.out_signed) - 1
        assert ascending[-1] >= int(0.7 * highest + 0.5)
    for lanes in (1, 4):
        kernel = Threshold(lanes, lanes, 64, 12, False, 4, False)
        steps = arrays_for(kernel)["thresholds"]
        assert (steps == steps[0]).all()
        assert np.ptp(np.diff(steps[0])) <= 1
        assert steps[0, 0] == pytest.approx(np.diff(steps[0]).mean() / 2, abs=1)


def test_a_kernel_of_several_streams_is_synthesised_with_all_of_them(tmp_path: Path) -> None:
    text = _top(Concat(4, (8, 4, 4), 2, 3, False), tmp_path)
    assert "[17:0] s_axis_tdata" in text
    assert "[2:0] s_axis_tvalid" in text
    assert "[5:0] m_axis_tdata" in text
    assert "output wire m_axis_tvalid" in text
    row = json.loads(point_key(Concat(4, (8, 4, 4), 2, 3, False)))
    assert kernel_of({"kernel": row[0], "fields": row[1]}) == Concat(4, (8, 4, 4), 2, 3, False)


@pytest.mark.parametrize("name", family_names())
def test_every_product_a_unit_can_have_was_measured(name: str) -> None:
    if not products_file(name).is_file():
        pytest.skip(f"{name} was never calibrated")
    described = load_family(name)
    kept = Products.model_validate_json(products_file(name).read_text())
    assert kept.source == sources_digest([PRODUCT], described), "make the products anew"
    table = product_table(name)
    for weight_bits, act_bits, signed, hard in combinations(described):
        lut, ff, dsp = table[weight_bits, act_bits, int(signed), int(hard)]
        assert lut > 0
        assert ff > 0
        assert dsp == 0
    assert kept.maxima_source == recipe_digest(MaxPool, described), "make the maxima anew"
    assert (np.diff(maximum_table(name)[1, 1:]) >= 0).all()
    # More bits are never cheaper by more than what odd digits save.
    soft = table[2:, 1:, :, 0, 0]
    assert (soft[2:] >= soft[:-2]).all()
    assert (soft[:, 2:] >= soft[:, :-2]).all()


def test_finn_is_asked_for_a_node_of_the_same_shape() -> None:
    kernels = (
        Mvu(36, 16, 4, 2, 9, 4, 4, False, "lut", "distributed"),
        Mvu(36, 16, 4, 2, 9, 4, 1, True, "dsp", "block"),
        Threshold(32, 4, 9, 12, True, 4, False),
        Swu(16, 16, 8, 3, 3, 1, 1, 2, 4, False),
        Fifo(32, 64, 16),
        WidthConverter(2, 8, 4, 64),
    )
    nodes = [finn_node(kernel) for kernel in kernels]
    assert all(node is not None for node in nodes)
    luts = node_luts([node for node in nodes if node is not None])
    assert all(lut > 0 for lut in luts)
    assert luts[0] > 300  # FINN's constant part of a matrix unit
    assert finn_node(Pad(8, 8, 4, 1, 1, 1, 1, 2, 4, False)) is None


def test_counts_that_are_off_are_told() -> None:
    measured = np.array([2.0, 4.0, 9.0])
    told = counted({"bram": (np.array([2.0, 5.0, 8.0]), measured)})
    assert told == {"exact": {"bram": 0.333}, "off": {"bram": (-0.2, 0.125)}}


CHEAP = (Fifo(4, 2, 8), Fifo(5, 2, 8), Fifo(6, 2, 8), WidthConverter(2, 4, 2, 8))


@dataclass(frozen=True)
class Broken(Fifo):
    """A queue for which Yosys finds no module."""

    module: ClassVar[str] = "lf_fifo_of_nowhere"


@dataclass
class Synthesis:
    """Yosys at work below a folder. workers: who runs it; nodes: the raylets of these."""

    killed: int = 0
    workers: set[int] = field(default_factory=set)
    nodes: set[int] = field(default_factory=set)

    def watch(self, work: Path, over: threading.Event) -> None:
        """Kills the first worker whose Yosys is seen."""
        while not over.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if not (process / "cwd").readlink().is_relative_to(work):
                        continue
                    worker = parent(int(process.name))
                    node = parent(worker) if worker > 1 else 0
                except OSError:
                    continue  # It ended meanwhile.
                if not node:
                    continue  # Its worker is the one that was killed.
                self.workers.add(worker)
                self.nodes.add(node)
                if not self.killed:
                    self.killed = worker
                    os.kill(worker, signal.SIGKILL)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def watched(work: Path) -> Iterator[Synthesis]:
    seen, over = Synthesis(), threading.Event()
    thread = threading.Thread(target=seen.watch, args=(work, over))
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_points_on_a_cluster_survive_a_killed_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two nodes share the points; one that fails for good is listed, those done stay done."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(sweep, "DATA", tmp_path)
    monkeypatch.setattr(sweep, "WORK", tmp_path / "work")
    kernels = [*CHEAP, Broken(4, 2, 8)]
    monkeypatch.setattr(sweep, "points", lambda *_: iter(kernels))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.setattr(sys, "argv", ["sweep", "ecp5", "--ray", cluster.address])
        with watched(tmp_path / "work") as seen:
            assert sweep.main() == 1
        said = capsys.readouterr().out
        assert seen.killed
        assert len(seen.workers) > len(seen.nodes) == 2
        last = said.splitlines()[-2:]
        assert last[0] == "ecp5: 1 failed"
        assert last[1].startswith(f"{kernels[-1]}: failed 3 times: RuntimeError: yosys, status 1: ")
        rows = sweep.load_points("ecp5")
        assert {kernel_of(row) for row in rows} == set(CHEAP)
        assert len(rows) == len(CHEAP)
        described = load_family("ecp5")
        for row in rows:
            kernel = kernel_of(row)
            assert row["recipe"] == recipe_digest(type(kernel), described)
            assert row["resources"]["ff"] > 0
        kernels.pop()
        assert sweep.main() == 0
        assert "ecp5: 0 points to synthesise" in capsys.readouterr().out
    finally:
        cluster.shutdown()


def test_a_sweep_that_cannot_run_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "DATA", tmp_path)
    monkeypatch.setattr(ray_pool, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["sweep", "ecp5", "--kernels", "Fifo", "--most", "1"])
    assert sweep.main() == 2
    said = capsys.readouterr().err
    assert said == "error: calibration: Ray is not installed; pip install 'liftflow[sweep]'\n"


def test_fits_to_points_of_former_sources_are_starred() -> None:
    family = load_family("ecp5")
    fitted = load_coefficients("ecp5")
    assert fitted is not None
    add = fitted.kernels["Add"]
    present = add.model_copy(update={"source": recipe_digest(Add, family)})
    kernels = {"Add": present, "Concat": add.model_copy(update={"source": "former"})}
    lines = section(fitted.model_copy(update={"kernels": kernels}), {})
    names = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][2:]
    assert names == ["Add", "Concat *"]
