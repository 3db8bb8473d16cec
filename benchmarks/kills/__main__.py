"""A compilation killed at random moments and started again: the same result, nothing done twice.

    python -m benchmarks.kills [--kills 20] [--seed 0] [--until PASS]
        [--set PASS.OPTION=VALUE ...] [CONFIG]

The compilation runs once undisturbed. Then it is started and killed (SIGKILL) after a random part
of the time that took, again and again in one folder; whenever it comes to its end before it is
killed, in a new folder. At the end of every folder the digests of all stages must be those of the
undisturbed run, and no pass that was done before a kill may have been done again after it. Writes
results.json beside this file.
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
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.toml"
Done = dict[str, int]
Digests = dict[str, str]


def command(config: Path, output: Path, settings: list[str], until: str | None) -> list[str]:
    chosen = [part for setting in settings for part in ("--set", setting)]
    chosen += [] if until is None else ["--until", until]
    return [
        *(sys.executable, "-m", "compiler.cli", "compile", str(config)),
        *("--output", str(output), *chosen),
    ]


def compile_whole(line: list[str]) -> float:
    """Seconds of a compilation that nothing disturbs."""
    began = time.monotonic()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def killed(line: list[str], after: float) -> bool:
    """Start the compilation and kill it; False if it came to its end before."""
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


def done_passes(output: Path) -> Done:
    """Pass -> when it was done, of the run below `output`."""
    return {path.parent.name: path.stat().st_mtime_ns for path in output.glob("*/*/pass.json")}


def digests_of(output: Path) -> Digests:
    """Pass -> digest of what it gave, of the run below `output`."""
    found = sorted(output.glob("*/*/pass.json"))
    return {path.parent.name: json.loads(path.read_text())["digest"] for path in found}


def begun(output: Path) -> str:
    """The pass in which a killed run was."""
    open_ = [path.parent for path in output.glob("*/*/started")]
    unfinished = [path.name for path in sorted(open_) if not (path / "pass.json").exists()]
    return unfinished[0] if unfinished else "between passes"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=DIGITS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    moments: list[str] = []
    digests: list[Digests] = []
    again: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        calm = Path(scratch) / "calm"
        seconds = compile_whole(command(chosen.config, calm, chosen.settings, chosen.until))
        rounds = 0
        while len(moments) < chosen.kills or len(digests) < rounds:
            output = Path(scratch) / f"round{rounds}"
            rounds += 1
            line = command(chosen.config, output, chosen.settings, chosen.until)
            before: Done = {}
            while len(moments) < chosen.kills and killed(line, draw.uniform(0, seconds)):
                moments.append(begun(output))
                print(f"kill {len(moments)} in {moments[-1]}", flush=True)
                now = done_passes(output)
                again += [name for name, at in before.items() if now.get(name) != at]
                before = now
            compile_whole(line)
            now = done_passes(output)
            again += [name for name, at in before.items() if now.get(name) != at]
            digests.append(digests_of(output))
        wanted = digests_of(calm)
        other = {name for found in digests for name in wanted if found.get(name) != wanted[name]}
        result = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "config": chosen.config.name,
            "settings": chosen.settings,
            "until": chosen.until,
            "seed": chosen.seed,
            "undisturbed_seconds": round(seconds, 1),
            "kills": len(moments),
            "killed_in": {name: moments.count(name) for name in sorted(set(moments))},
            "runs_brought_to_their_end": len(digests),
            "same_digests": sum(found == wanted for found in digests),
            "passes_with_another_digest": sorted(other),
            "passes_done_again": again,
            "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        }
    chosen.results.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0 if result["same_digests"] == len(digests) and not again else 1


if __name__ == "__main__":
    sys.exit(main())
