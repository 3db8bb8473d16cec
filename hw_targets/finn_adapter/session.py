"""FINN as a library: its environment for the length of a block, and quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hw_targets.errors import LiftFlowError, MissingToolError

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


class _OutOfTimeError(Exception):
    pass


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds`. Only a main thread on POSIX can be interrupted."""
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable:
        yield
        return

    def ring(*_: object) -> None:
        raise _OutOfTimeError

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def apply(model: Any, transformation: Any, time_limit_s: float) -> Any:
    """Apply a QONNX or FINN transformation until nothing changes any more.

    `ModelWrapper.transform` repeats without end when a transformation undoes itself or another.
    Raises LiftFlowError naming the transformation when `time_limit_s` is over.
    """
    name = type(transformation).__name__
    end = time.monotonic() + time_limit_s
    try:
        with _alarm(time_limit_s):
            changed = True
            while changed:
                model, changed = transformation.apply(model)
                if changed and time.monotonic() > end:
                    raise _OutOfTimeError
            model.cleanup()
    except _OutOfTimeError:
        raise LiftFlowError(
            f"{name} found no end in {time_limit_s:g} s",
            where="lower-finn",
            mend="raise time_limit_s, or report the network: its graph keeps changing",
        ) from None
    return model
