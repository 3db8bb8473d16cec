"""Many calls of one function on Ray: in a pool on this machine, or on a cluster that is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Generic, NamedTuple, TypeVar

from hw_targets.errors import LiftFlowError, MissingToolError

T = TypeVar("T")
R = TypeVar("R")

TRIES = 3
"""Of a call whose worker died or that raised."""


class Done(NamedTuple, Generic[T, R]):
    """What a call gave; None where it failed `TRIES` times, with its last error."""

    item: T
    result: R | None
    error: str = ""


def require_ray(where: str) -> None:
    """Raises MissingToolError where Ray is not installed."""
    if find_spec("ray") is None:
        raise MissingToolError(
            "Ray is not installed", where=where, mend="pip install 'liftflow[sweep]'"
        )


def run(
    items: Sequence[T],
    call: Callable[[T], R],
    address: str | None = None,
    workers: int | None = None,
    where: str = "sweep",
) -> Iterator[Done[T, R]]:
    """What `call` gives for each item, as it comes.

    Args:
        call: must be picklable.
        address: of a Ray cluster whose machines have this Python and this folder in the same
            places; None for a local pool.
        workers: calls at once in the local pool; as many as there are cores by default.
        where: what errors name.

    Raises:
        MissingToolError: Ray is not installed.
        LiftFlowError: no cluster answers at the address.
    """
    require_ray(where)
    import ray

    # Where nothing is said, Ray reports its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
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
        waiting = {task.remote(call, item): item for item in items}
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            item = waiting.pop(done)
            try:
                yield Done(item, ray.get(done))
            except ray.exceptions.RayError as error:
                line = str(error).strip().splitlines()[-1]
                yield Done(item, None, f"failed {TRIES} times: {line}")
    finally:
        ray.shutdown()


def _task(call: Callable[[T], R], item: T) -> R:
    return call(item)
