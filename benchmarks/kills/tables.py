"""docs/kills.md, from results.json: `python -m benchmarks.kills.tables`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.kills.__main__ import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "kills.md"
HEAD = """# Killed and resumed

`liftflow compile {config}`, from the trained network to the bitstream, is killed (SIGKILL) after a
random part of the time it takes undisturbed, and started again in the same folder, until it comes
to its end; then in a new folder, until it was killed {kills} times. Made by
`python -m benchmarks.kills`, then `python -m benchmarks.kills.tables`.

"""


def page(result: dict[str, Any]) -> str:
    """The documentation's page."""
    kills = result["kills"]
    lines = [HEAD.format(config=result["config"], kills=len(kills)), *facts(result), ""]
    within = Counter(kill["within"] for kill in kills)
    lines += ["| pass | seconds undisturbed | kills in it |", "| --- | --- | --- |"]
    lines.append(f"| start-up, between passes | | {within['']} |")
    lines += [f"| {name} | {s:.1f} | {within[name]} |" for name, s in result["passes"].items()]
    return "\n".join(lines) + "\n"


def facts(result: dict[str, Any]) -> list[str]:
    """What came of it, a line each."""
    again, other = result["passes_done_again"], result["passes_with_another_digest"]
    machine = result["machine"]
    made = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return [
        f"- Runs brought to their end through {len(result['kills'])} kills: {result['runs']}.",
        f"- Runs whose {len(result['passes'])} passes all gave what those of the undisturbed run "
        f"gave, byte for byte, the bitstream among it: {result['same_digests']}"
        + (f" (others: {', '.join(other)})." if other else "."),
        f"- Passes that were done and were done again: {len(again)}"
        + (f" ({', '.join(again)})." if again else "."),
        f"- Seconds: {result['undisturbed_seconds']:.0f} undisturbed, "
        f"{result['done_before_seconds']:.0f} for the same command once all is done.",
        f"- Made {result['date']}, seed {result['seed']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {made}.",
    ]


def main() -> int:
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
