"""FINN as a library: its environment for the length of a block, and quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from hw_targets.errors import MissingToolError

_XSI_NAMES = (
    "SimEngine",
    "close_rtlsim",
    "compile_sim_obj",
    "get_simkernel_so",
    "load_sim_obj",
    "locate_glbl",
    "reset_rtlsim",
    "rtlsim_multi_io",
)


@contextlib.contextmanager
def finn_session(workdir: Path) -> Iterator[None]:
    """Everything FINN wants of its surroundings, undone afterwards.

    FINN (finn-plus 1.6.1) reads FINN_BUILD_DIR when it first needs its settings and keeps them,
    logs through its own logger, and prints. `finn.xsi` builds a Vivado simulation library when one
    of its names is touched, which importing the builder does: placeholders stand in its place.
    Environment, settings, logger, module and streams are as before at the end.

    Raises MissingToolError if FINN is not installed.
    """
    if importlib.util.find_spec("finn") is None or importlib.util.find_spec("qonnx") is None:
        raise MissingToolError("FINN is not installed", mend="pip install finn-plus qonnx")
    before = dict(os.environ)
    logger = logging.getLogger("finn_logger")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        os.environ["FINN_BUILD_DIR"] = str((workdir / "finn_build").resolve())
        logger.setLevel(logging.ERROR)
        try:
            import finn.util.settings as settings
            import finn.xsi as xsi

            absent = [name for name in _XSI_NAMES if name not in vars(xsi)]
            kept, settings._SETTINGS = settings._SETTINGS, None
            for name in absent:
                setattr(xsi, name, None)
            try:
                yield
            finally:
                settings._SETTINGS = kept
                for name in absent:
                    delattr(xsi, name)
        finally:
            logger.setLevel(level)
            os.environ.clear()
            os.environ.update(before)
