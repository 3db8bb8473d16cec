"""Runs a build plan on another machine over ssh, and brings its products back."""

from __future__ import annotations

import hashlib
import io
import shlex
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.flows import archive, process
from hw_targets.flows.plan import BuildPlan, Say, silent
from hw_targets.flows.process import USUAL, Limit, Watch

PLANS = "liftflow-plans"
"""Folder of all plans in the home of the user there; each has one named after its digest."""

CONNECTION_LOST = 255
"""ssh's own exit status when it is the connection that failed."""

_START = """\
cd {folder} && mkdir -p logs
if [ -f logs/run.status ] || ! kill -0 "$(cat logs/run.pid 2> /dev/null)" 2> /dev/null; then
  rm -f logs/run.status
  nohup sh -c '{limit} sh run.sh > logs/run.log 2>&1; echo $? > logs/run.status' \\
    > /dev/null 2>&1 < /dev/null &
  echo $! > logs/run.pid
fi
"""
"""The build is no child of the connection: it outlives one that drops, and is found again."""

_FOLLOW = """\
cd {folder} && tail -n +1 -f -s 0.2 --pid="$(cat logs/run.pid)" logs/run.log
exit "$(cat logs/run.status 2> /dev/null || echo 1)"
"""

_FETCH = "cd {folder} && sha256sum {products} && tar -cf - {products}"


@dataclass(frozen=True)
class Host:
    """A machine that ssh reaches without asking for a password.

    destination: `user@host`, or a name of ~/.ssh/config. options: further arguments of ssh.
    connections: how often a lost connection is made again before the build counts as cut off.
    pause_s: seconds before each. minutes: of one transfer, and beyond those of the build's steps.
    """

    destination: str
    options: tuple[str, ...] = ()
    connections: int = 5
    pause_s: float = 3.0
    minutes: float = 60.0

    def __post_init__(self) -> None:
        if self.destination.startswith("-") or not self.destination.strip():
            raise LiftFlowError(
                f"{self.destination!r} is no host", where="--on", mend="write user@host"
            )

    def run(
        self, plan: BuildPlan, folder: Path, say: Say = silent, limit: Limit = USUAL
    ) -> dict[str, Path]:
        """Build `plan` there, products into `folder` here; product name -> path.

        A build that was cut off goes on where it stopped, here and there.

        Raises:
            MissingToolError: there is no ssh here, or a tool of the plan is not there.
            LiftFlowError: the connection failed, a step did, ssh or the build came to no end, or a
                product came back damaged or is none.
        """
        place = {"folder": shlex.quote(f"{PLANS}/{plan.name}-{plan.digest[:16]}")}
        say(f"sending {plan.name} to {self.destination}", 0.0)
        self._ssh(
            f"mkdir -p {place['folder']} && tar -xzf - -C {place['folder']}", archive.packed(plan)
        )
        given = "" if limit.minutes is None else f"LIFTFLOW_MINUTES={limit.minutes:g}"
        self._ssh(_START.format(**place, limit=given))
        attempts = [(step, len(step.attempts)) for step in plan.steps]
        seconds = sum(limit.seconds(step.minutes) * times for step, times in attempts)
        self._follow(_FOLLOW.format(**place), say, seconds + 60 * self.minutes, limit)
        products = " ".join(map(shlex.quote, plan.products))
        fetched = self._ssh(_FETCH.format(**place, products=products))
        plan.write(folder)
        return _unpacked(fetched, plan, folder, self.destination)

    def _follow(self, command: str, say: Say, seconds: float, limit: Limit) -> None:
        """Tell the build's lines as they come, until it ends."""
        told = 0
        until = time.monotonic() + seconds
        for attempt in range(self.connections + 1):
            ssh = process.start(self._command(command), tool="ssh")
            assert ssh.stdin is not None
            assert ssh.stdout is not None
            assert ssh.stderr is not None
            lines: list[str] = []
            try:
                with Watch(ssh, max(0.0, until - time.monotonic())) as watch:
                    ssh.stdin.close()
                    for line in ssh.stdout:
                        lines.append(process.quoted(line.decode(errors="replace")))
                        if len(lines) > told:
                            say(f"{self.destination}: {lines[-1]}", None)
                    reason = ssh.stderr.read().decode(errors="replace")
                    status = ssh.wait()
            finally:
                process.end(ssh)
            told = max(told, len(lines))
            if watch.expired:
                raise process.overdue("the build", seconds, limit, where=self.destination)
            if status == 0:
                return
            if status != CONNECTION_LOST:
                raise _failure(status, lines, self.destination)
            if attempt < self.connections:
                say(f"{self.destination}: connection lost, trying again", None)
                time.sleep(self.pause_s)
        raise _lost(self.destination, reason)

    def _ssh(self, command: str, data: bytes = b"") -> bytes:
        """Standard output of a command there."""
        done = process.call(
            self._command(command), tool="ssh", where=self.destination, data=data,
            limit=Limit(more="check the connection; the same command goes on"),
            minutes=self.minutes,
        )  # fmt: skip
        if done.status:
            raise _lost(self.destination, done.err.decode(errors="replace"))
        return done.out

    def _command(self, command: str) -> list[str]:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise MissingToolError("ssh is missing", where="--on", mend="install openssh-client")
        keep = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=15")
        return [ssh, *keep, *self.options, "--", self.destination, command]


def _unpacked(fetched: bytes, plan: BuildPlan, folder: Path, where: str) -> dict[str, Path]:
    """Write what `_FETCH` gave: a line with the SHA-256 of each product, then all as a tar file.

    Either all products are written, or none.
    """
    again = "run the same command again"
    rest = fetched
    sums = {}
    found = {}
    try:
        for name in plan.products:
            line, _, rest = rest.partition(b"\n")
            sums[name] = line.decode().split()[0].lstrip("\\")
        with tarfile.open(fileobj=io.BytesIO(rest)) as products:
            for name in plan.products:
                member = products.extractfile(name)
                found[name] = member.read() if member else b""
    except (tarfile.TarError, KeyError, IndexError, UnicodeDecodeError, EOFError) as error:
        said = process.quoted(fetched[:80].decode(errors="replace")) or "nothing"
        raise LiftFlowError(
            f"the products came back as {said!r}", where=where, mend=again
        ) from error
    for name, data in found.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise LiftFlowError(f"{name} came back damaged", where=where, mend=again)
    made = {name: folder / name for name in plan.products}
    checks = {name: check for step in plan.steps for name, check in step.checks.items()}
    try:
        for name, path in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found[name])
            if name in checks:
                checks[name](path)
    except BaseException:
        for path in made.values():
            path.unlink(missing_ok=True)
        raise
    return made


def _failure(status: int, lines: list[str], where: str) -> LiftFlowError:
    """run.sh's own error, as it said it."""
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    said = told[-1] if told else (lines or [f"status {status}"])[-1]
    if status == 127:
        return MissingToolError(said, where=where)
    return LiftFlowError(said, where=where, mend=(lines or [""])[-1])


def _lost(where: str, reason: str) -> LiftFlowError:
    lines = reason.strip().splitlines() or ["no answer"]
    return LiftFlowError(
        lines[-1], where=where, mend="check the connection; the same command goes on"
    )
