"""Runs a build plan on another machine over ssh, and brings its products back."""

from __future__ import annotations

import hashlib
import io
import shlex
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.flows import archive
from hw_targets.flows.plan import BuildPlan, Say, silent

PLANS = "liftflow-plans"
"""Folder of all plans in the home of the user there; each has one named after its digest."""

CONNECTION_LOST = 255
"""ssh's own exit status when it is the connection that failed."""

_START = """\
cd {folder} && mkdir -p logs
if [ -f logs/run.status ] || ! kill -0 "$(cat logs/run.pid 2> /dev/null)" 2> /dev/null; then
  rm -f logs/run.status
  nohup sh -c 'sh run.sh > logs/run.log 2>&1; echo $? > logs/run.status' \\
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
    pause_s: seconds before each.
    """

    destination: str
    options: tuple[str, ...] = ()
    connections: int = 5
    pause_s: float = 3.0

    def __post_init__(self) -> None:
        if self.destination.startswith("-") or not self.destination.strip():
            raise LiftFlowError(
                f"{self.destination!r} is no host", where="--on", mend="write user@host"
            )

    def run(self, plan: BuildPlan, folder: Path, say: Say = silent) -> dict[str, Path]:
        """Build `plan` there, products into `folder` here; product name -> path.

        A build that was cut off goes on where it stopped, here and there.

        Raises:
            MissingToolError: there is no ssh here, or a tool of the plan is not there.
            LiftFlowError: the connection failed, a step did, or a product came back damaged.
        """
        place = {"folder": shlex.quote(f"{PLANS}/{plan.name}-{plan.digest[:16]}")}
        say(f"sending {plan.name} to {self.destination}", 0.0)
        self._ssh(
            f"mkdir -p {place['folder']} && tar -xzf - -C {place['folder']}", archive.packed(plan)
        )
        self._ssh(_START.format(**place))
        self._follow(_FOLLOW.format(**place), say)
        products = " ".join(map(shlex.quote, plan.products))
        fetched = self._ssh(_FETCH.format(**place, products=products))
        plan.write(folder)
        return _unpacked(fetched, plan, folder, self.destination)

    def _follow(self, command: str, say: Say) -> None:
        """Tell the build's lines as they come, until it ends."""
        told = 0
        for attempt in range(self.connections + 1):
            process = subprocess.Popen(
                self._command(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip())
                if len(lines) > told:
                    say(f"{self.destination}: {lines[-1]}", None)
            told = max(told, len(lines))
            reason = process.stderr.read().strip()
            status = process.wait()
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
        done = subprocess.run(self._command(command), input=data, capture_output=True, check=False)
        if done.returncode:
            raise _lost(self.destination, done.stderr.decode(errors="replace"))
        return done.stdout

    def _command(self, command: str) -> list[str]:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise MissingToolError("ssh is missing", where="--on", mend="install openssh-client")
        keep = ("-o", "BatchMode=yes", "-o", "ServerAliveInterval=15")
        return [ssh, *keep, *self.options, "--", self.destination, command]


def _unpacked(fetched: bytes, plan: BuildPlan, folder: Path, where: str) -> dict[str, Path]:
    """Write what `_FETCH` gave: a line with the SHA-256 of each product, then all as a tar file."""
    rest = fetched
    sums = {}
    for name in plan.products:
        line, _, rest = rest.partition(b"\n")
        sums[name] = line.decode().split()[0].lstrip("\\")
    with tarfile.open(fileobj=io.BytesIO(rest)) as products:
        for name in plan.products:
            member = products.extractfile(name)
            data = member.read() if member else b""
            if hashlib.sha256(data).hexdigest() != sums[name]:
                raise LiftFlowError(
                    f"{name} came back damaged", where=where, mend="run the same command again"
                )
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return {name: folder / name for name in plan.products}


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
