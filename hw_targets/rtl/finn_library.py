"""FINN's matrix-vector unit and memory streamer: sources of the installed finn-plus, made readable.

They are read where finn-plus has them, when RTL is written, and never kept here. Open tools do not
take them as they are; what changes on the way is no hardware:

- a constant function inside a generate block moves out of it (`add_multi.sv`);
- a check of the first 100 ns of a simulation is left out (`mvu.sv`);
- the attribute that asks for block RAM is given in Yosys' spelling beside FINN's (`memstream.sv`).
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hw_targets.errors import LiftFlowError, MissingToolError

PACKAGE = "finn-plus"
PREFIX = "finnlib_"
"""Of FINN's files in a folder of RTL, where ours have names of their own."""
_FILES = {
    f"{PREFIX}{Path(path).name}": path
    for path in (
        "mvu/mvu_pkg.sv",
        "mvu/add_multi.sv",
        "mvu/replay_buffer.sv",
        "mvu/mvu_vvu_8sx9_dsp58.sv",
        "mvu/mvu.sv",
        "mvu/mvu_vvu_axi.sv",
        "memstream/hdl/memstream.sv",
    )
}
SOURCES = tuple(_FILES)
"""Names in a folder of RTL, in the order to read them."""


def library() -> Path:
    """Folder of FINN's RTL library, without importing FINN.

    Raises:
        MissingToolError: finn-plus is not installed.
    """
    found = importlib.util.find_spec("finn")
    for place in (found.submodule_search_locations or ()) if found else ():
        if (Path(place) / "finn-rtllib").is_dir():
            return Path(place) / "finn-rtllib"
    raise MissingToolError(
        "FINN's RTL library is missing", where="finn-rtllib", mend=f"pip install {PACKAGE}"
    )


def text(source: str) -> str:
    """One of `SOURCES`, as open tools take it.

    Raises:
        MissingToolError: finn-plus is not installed, or has no such file.
        LiftFlowError: the file is not as this project knows it.
    """
    path = library() / _FILES[source]
    try:
        return _readable(path.name, path.read_text())
    except OSError as error:
        raise MissingToolError(
            f"FINN's RTL library lacks a file ({error.strerror})",
            where=_FILES[source],
            mend=f"pip install --force-reinstall {PACKAGE}",
        ) from error
    except ValueError as error:
        raise LiftFlowError(
            f"not as {PACKAGE} 1.6.1 has it: {error}",
            where=f"{_FILES[source]} of {PACKAGE} {release()}",
            mend=f"pip install {PACKAGE}==1.6.1",
        ) from error


def release() -> str:
    """Version of the installed finn-plus; "unknown" for one that is not installed as a package."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def _readable(name: str, source: str) -> str:
    """Raises ValueError where a place that is to change is not there."""
    if name == "add_multi.sv":
        moved = _part(source, "\t\t// Compute the count of decendents", "\t\t// Adder Tree\n")
        before = "\tuwire [SUM_WIDTH-1:0]  sum0;\n"
        return _changed(source.replace(moved, ""), before, moved + before)
    if name == "mvu.sv":
        last = "end : blkRecoveryWatch\n"
        check = _part(source, "\tif(1) begin : blkRecoveryWatch", last) + last
        return source.replace(check, "")
    if name == "memstream.sv":
        asked = "(* RAM_STYLE = RAM_STYLE *)"
        return _changed(source, asked, "(* RAM_STYLE = RAM_STYLE, rom_style = RAM_STYLE *)")
    return source


def _part(source: str, start: str, end: str) -> str:
    """From `start` to before the `end` behind it."""
    begin = _place(source, start)
    return source[begin : begin + _place(source[begin:], end)]


def _changed(source: str, old: str, new: str) -> str:
    place = _place(source, old)
    return source[:place] + new + source[place + len(old) :]


def _place(source: str, marker: str) -> int:
    place = source.find(marker)
    if place < 0:
        raise ValueError(f"no {marker.strip()!r}")
    return place
