"""Build plans run over ssh: a real sshd of this user's own, on the loopback interface."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.flows.plan import BuildPlan, Step
from hw_targets.flows.remote import PLANS, Host
from hw_targets.flows.tools import PYTHON, Tool

SSHD = Path("/usr/sbin/sshd")
pytestmark = pytest.mark.skipif(not SSHD.is_file(), reason="needs sshd (Debian: openssh-server)")

COPY = "open('log', 'a').write('x'); open('sub/it\\'s out', 'w').write(open('my in').read())"


def plan(code: str = COPY, **changes: object) -> BuildPlan:
    """A plan whose names need quoting everywhere."""
    step = Step("copy", PYTHON, (("-c", code),), ("my in",), ("sub/it's out",))
    made = BuildPlan("odd $(name)'s", {"my in": b"1"}, (step,), ("sub/it's out",))
    return replace(made, **changes)  # type: ignore[arg-type]


class Server:
    """An sshd, and the folder that its logins start in."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        for name in ("host", "user"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(key, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        login = folder / "login.sh"
        login.write_text(
            f"cd '{self.home}' && export PATH='{Path(sys.executable).parent}':\"$PATH\" && "
            'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\n"
            f"HostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
            f"PidFile none\nStrictModes no\nPermitRootLogin prohibit-password\n"
            f"ForceCommand sh {login}\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it, its service makes it
        with (folder / "sshd.log").open("wb") as log:
            command = [str(SSHD), "-D", "-e", "-f", str(folder / "config")]
            self.process = psutil.Popen(command, stderr=log)
        self.options = (
            *("-p", str(self.port), "-i", str(folder / "user"), "-F", "none"),
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder / 'known'}"),
        )

    @property
    def host(self) -> Host:
        return Host(f"{getpass.getuser()}@127.0.0.1", self.options, connections=2, pause_s=0.1)

    def drop_connections(self) -> None:
        """As a cable pulled: what serves the connections ends, what they started does not."""
        for child in self.process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it went with the one before
                if child.name().startswith("sshd"):
                    child.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("sshd"))
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                break
        time.sleep(0.05)
    yield server
    server.process.kill()
    server.process.wait()


def built(server: Server, plan: BuildPlan) -> Path:
    """The plan's folder on the other side."""
    return server.home / PLANS / f"{plan.name}-{plan.digest[:16]}"


def test_builds_there_and_brings_the_products_back(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    products = server.host.run(plan(), tmp_path, lambda text, _: said.append(text))
    assert products["sub/it's out"].read_text() == "1"
    assert products["sub/it's out"].is_relative_to(tmp_path)
    assert said[-1].endswith(": copy")
    server.host.run(plan(), tmp_path, lambda text, _: said.append(text))
    assert said[-1].endswith(": copy: unchanged")
    assert (built(server, plan()) / "log").read_text() == "x"


def test_dropped_connection_is_made_again_and_the_build_goes_on(
    server: Server, tmp_path: Path
) -> None:
    wait = "import time, os\nwhile not os.path.exists('go'): time.sleep(0.05)\n"
    slow = plan(wait + COPY)
    said: list[str] = []

    def watch(text: str, _share: float | None) -> None:
        said.append(text)
        if text.endswith(": copy"):
            server.drop_connections()
        if "connection lost" in text:
            (built(server, slow) / "go").touch()

    products = server.host.run(slow, tmp_path, watch)
    assert products["sub/it's out"].read_text() == "1"
    assert (built(server, slow) / "log").read_text() == "x"
    assert sum(text.endswith(": copy") for text in said) == 1


def test_failures_are_told_as_the_tool_said_them(server: Server, tmp_path: Path) -> None:
    failing = plan("import sys; print('ERROR: no such cell'); sys.exit(2)")
    with pytest.raises(LiftFlowError, match="copy failed: ERROR: no such cell; the log is /"):
        server.host.run(failing, tmp_path)
    lacking = plan(requires=(Tool("no-such-tool-here", "ask the vendor"),))
    with pytest.raises(MissingToolError, match="no-such-tool-here is missing: ask the vendor"):
        server.host.run(lacking, tmp_path)


def test_hosts_that_are_none_are_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="is no host; write user@host"):
        Host("-oProxyCommand=touch x")
    closed = replace(server.host, options=("-p", "1", "-F", "none"))
    with pytest.raises(LiftFlowError, match="refused; check the connection") as caught:
        closed.run(plan(), tmp_path)
    assert "\n" not in str(caught.value)
