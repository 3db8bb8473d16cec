"""Sweeps: every value with every other, failures listed, workers that die survived."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from compiler import cli, ray_pool
from compiler.sweep import Job, Outcome, compile_job, grid
from hw_targets.errors import LiftFlowError

TOML = """
name = "net"
[model]
factory = "model.py:net"
[data]
source = "data.npz"
"""
MODEL = """
from torch import nn


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    x = np.random.default_rng(0).random((24, 1, 4, 4), dtype=np.float32)
    y = np.arange(24) % 3
    np.savez(tmp_path / "data.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    (tmp_path / "net.toml").write_text(TOML)
    return tmp_path / "net.toml"


def test_each_value_meets_each_other() -> None:
    varied = {"prune-filters": {"macs": [0.4, 0.6]}, "retrain": {"epochs": [3]}}
    jobs = grid(["ulx3s-85f", "my/own.toml"], [], [1, 2], varied)
    assert len(jobs) == 2 * 2 * 2
    assert jobs[0] == Job(
        "ulx3s-85f", None, 1, {"prune-filters": {"macs": 0.4}, "retrain": {"epochs": 3}}
    )
    assert jobs[-1].label == "own-seed2-macs0.6-epochs3"
    assert grid([], [], [], {}) == [Job()]
    assert Job().label == "plain"


@pytest.mark.parametrize("values", [0.4, [], "[0.4"])
def test_values_must_be_lists(values: object) -> None:
    with pytest.raises(LiftFlowError, match=r"--vary: prune-filters.macs = .* is no list"):
        grid([], [], [], {"prune-filters": {"macs": values}})


def test_no_two_jobs_share_a_folder() -> None:
    with pytest.raises(LiftFlowError, match="name every value once"):
        grid([], [], [1, 1], {})


def test_a_job_tells_its_figures_or_what_is_to_mend(config: Path, tmp_path: Path) -> None:
    fine = compile_job(config, Job(seed=3), tmp_path / "out", until="prepare")
    assert fine.error == ""
    assert fine.folder == tmp_path / "out" / "seed3" / "net-ulx3s-85f"
    assert fine.figures["claims that hold"] == 2
    poor = compile_job(config, Job(board="ulx"), tmp_path / "out", until="prepare")
    assert poor.folder is None
    assert "no board called 'ulx'" in poor.error


def test_without_ray_the_mend_is_told(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_pool, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["liftflow", "sweep", str(config)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "pip install 'liftflow[sweep]'" in capsys.readouterr().err


def dying(job: Job, folder: Path) -> Outcome:
    """Is killed at its first try, raises at its second; and at every one where the seed is 2."""
    tries = folder / f"tries{job.seed}"
    count = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (count + 1))
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.seed == 2 or count == 1:
        raise RuntimeError("no luck")
    return Outcome(job, folder, 1.0)


def test_workers_that_die_are_survived(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    jobs = [Job(seed=1), Job(seed=2)]
    found = {done.item.seed: done for done in ray_pool.run(jobs, partial(dying, folder=tmp_path))}
    assert found[1].result == Outcome(Job(seed=1), tmp_path, 1.0)
    assert found[2].result is None
    assert found[2].error == "failed 3 times: RuntimeError: no luck"
    assert (tmp_path / "tries1").read_text() == "xxx"


def on_which_node(job: Job) -> Outcome:
    import ray

    return Outcome(job, Path(ray.get_runtime_context().get_node_id()), 1.0)


def test_a_cluster_of_two_nodes_shares_the_jobs() -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        jobs = [Job(seed=seed) for seed in range(12)]
        found = list(ray_pool.run(jobs, on_which_node, cluster.address))
        assert sorted(done.item.seed or 0 for done in found) == list(range(12))
        assert len({done.result.folder for done in found if done.result}) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_the_command_lists_all_and_fails_for_those_that_failed(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    output = config.parent / "out"
    arguments = ["sweep", str(config), "--output", str(output), "--until", "prepare", "--json"]
    arguments += ["--board", "ulx3s-85f", "--board", "none", "--seed", "1", "--workers", "2"]
    monkeypatch.setattr(sys, "argv", ["liftflow", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert "1 of 2 compilations failed" in said.err
    fine, poor = json.loads(said.out)
    assert json.loads((output / "sweep.json").read_text()) == [fine, poor]
    assert (fine["board"], fine["error"]) == ("ulx3s-85f", None)
    assert Path(fine["folder"], "report.json").is_file()
    assert "no board called 'none'" in poor["error"]
