"""Jobs on Ray: a pool on this machine, or a cluster that is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

from compiler.sweep import Job, Outcome
from hw_targets.errors import LiftFlowError, MissingToolError

TRIES = 3
"""Of a job whose worker died or that raised what is no user's doing."""


def require_ray() -> None:
    """Raises MissingToolError where Ray is not installed."""
    if find_spec("ray") is None:
        raise MissingToolError(
            "Ray is not installed", where="sweep", mend="pip install 'liftflow[sweep]'"
        )


def run(
    jobs: Sequence[Job],
    call: Callable[[Job], Outcome],
    address: str | None = None,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """Outcomes as they come; a job that fails `TRIES` times has its last error as outcome.

    Args:
        call: what is done for a job; must be picklable.
        address: of a Ray cluster whose machines share this folder; None for a local pool.
        workers: jobs at once in the local pool; as many as there are cores by default.

    Raises:
        MissingToolError: Ray is not installed.
        LiftFlowError: no cluster answers at the address.
    """
    require_ray()
    import ray

    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        ray.init(
            address=address,
            num_cpus=None if address else workers or os.cpu_count(),
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": environment},
        )
    except ConnectionError as error:
        raise LiftFlowError(
            f"no Ray cluster answers ({error})",
            where=f"--ray {address}",
            mend="start it, or leave it out",
        ) from None
    try:
        options = {"num_cpus": 1, "max_retries": TRIES - 1, "retry_exceptions": True}
        task = ray.remote(**options)(_task)
        waiting = {task.remote(call, job): job for job in jobs}
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                line = str(error).strip().splitlines()[-1]
                yield Outcome(job, None, 0.0, error=f"failed {TRIES} times: {line}")
    finally:
        ray.shutdown()


def _task(call: Callable[[Job], Outcome], job: Job) -> Outcome:
    return call(job)
