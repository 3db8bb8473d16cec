"""Our folding beside FINN's SetFolding, on the same networks, by the same cost model.

    python -m benchmarks.folding [--networks mlp lenet5 ...] [--bits 4 2] [--boards ulx3s-85f ...]
    python -m benchmarks.folding tables

Every comparison is appended to results.jsonl as soon as it is done; what is there already is not
done again, unless the cost model was calibrated anew. `tables` makes docs/folding.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from itertools import product
from pathlib import Path

from benchmarks.compression.store import Store
from benchmarks.folding.compare import Case, Row, Units
from benchmarks.folding.graphs import lowered
from benchmarks.folding.networks import NETWORKS
from benchmarks.folding.setfolding import SetFolding
from benchmarks.folding.tables import KINDS, write
from hw_targets.boards import load_board
from hw_targets.cost.coefficients import data_file

RESULTS = Path(__file__).with_name("results.jsonl")
GRAPHS = Path("build/folding")
BOARDS = ("ulx3s-85f", "arty-a7-35t")
"""One for each family whose costs are calibrated: equal resources ask for the family only."""
FILLED = {"ulx3s-85f": ("ulx3s-25f", "ulx3s-85f"), "arty-a7-35t": ("arty-a7-35t", "arty-a7-100t")}
"""Boards of the same family that are filled, a small and a large one."""
SHARES = (0.35, 0.7)
UNITS: dict[str, tuple[Units, ...]] = {"ecp5": ("ours",), "xc7": ("ours", "finns")}
"""Whose units FINN's folding is priced as."""


def circumstances(started: float) -> Row:
    """When, with what, on what, and how long it took."""
    return {
        "seconds": round(time.perf_counter() - started),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("finn-plus", "qonnx", "scipy")},
        },
        "done": True,
    }


def fit(family: str, units: Units) -> str:
    """Which calibration of the cost model prices a family: results of another are out of date."""
    text = data_file(family, "rtl").read_bytes()
    if units == "finns":
        text += data_file(family, "finn").read_bytes()
    return sha256(text).hexdigest()[:12]


def compare(case: Case, units: Units, store: Store) -> None:
    """FINN's foldings and ours at their resources, unless `store` holds them."""
    known = {"kind": "equal", **_key(case), "units": units}
    priced = fit(case.board.family, units)
    if store.has(**known, fit=priced):
        return
    store.drop(**known)
    started = time.perf_counter()
    for theirs in case.foldings(units):
        key = {"target": theirs.target, "width": theirs.width, "arithmetic": theirs.arithmetic}
        ours = {} if theirs.uncalibrated else case.ours((theirs.arithmetic,), theirs.cost)
        row = {**known, **key, "finn": theirs.row(case.board.family), **ours}
        store.add(row)
        print(_line(row), flush=True)
    store.add({**known, "fit": priced, **circumstances(started)})


def fill(case: Case, share: float, units: Units, store: Store) -> None:
    """The fastest designs within a share of the board, unless `store` holds them."""
    known = {"kind": "board", **_key(case), "share": share, "units": units}
    priced = fit(case.board.family, units)
    if store.has(**known, fit=priced):
        return
    store.drop(**known)
    started = time.perf_counter()
    row = {**known, **case.whole_board(share, units), "fit": priced, **circumstances(started)}
    store.add(row)
    print(_line(row), flush=True)


def _key(case: Case) -> Row:
    return {"network": case.network.name, "bits": case.bits, "board": case.board.name}


def _line(row: Row) -> str:
    """What was found, in a line: cycles between frames, FINN's and ours."""
    names = ("network", "bits", "board", "units", "share", "target", "width", "arithmetic")
    intervals = [(row.get(name) or {}).get("interval") for name in ("finn", *KINDS)]
    return " ".join(str(row[name]) for name in names if name in row) + f": {intervals}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs="?", choices=("run", "tables"), default="run")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 2])
    parser.add_argument("--boards", nargs="+", choices=BOARDS, default=list(BOARDS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    store = Store(chosen.results)
    if chosen.command == "tables":
        write(store.rows)
        return 0
    for bits in chosen.bits:
        for name in chosen.networks:
            network = NETWORKS[name]
            graph = lowered(network, bits, GRAPHS)
            finn = SetFolding(graph, network)
            for name in chosen.boards:
                equal = Case(network, bits, load_board(name), graph, finn)
                filled = [Case(network, bits, load_board(n), graph, finn) for n in FILLED[name]]
                for units in UNITS[equal.board.family]:
                    compare(equal, units, store)
                    for case, share in product(filled, SHARES):
                        fill(case, share, units, store)
    return 0


if __name__ == "__main__":
    sys.exit(main())
