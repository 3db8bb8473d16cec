"""Which kept rows were made of RTL that has changed since."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.designs import simulation, store, synthesis
from benchmarks.designs.build import design_of
from benchmarks.designs.networks import Network
from benchmarks.designs.store import Row
from hw_targets.families import load_family


def simulated_digest(net: Network, place: Path) -> str:
    """What the row of a simulation made now would carry; writes the design to `place`."""
    return simulation.digest(design_of(net), place)


def synthesised_digest(net: Network, family: str, sized: Row, place: Path) -> str:
    """The same of a synthesis. sized: the network's row of cycles, which has the FIFO depths."""
    described = load_family(family)
    design = design_of(net, tuple(sized["depths"].values()), described.multiplier.a_bits)
    return synthesis.digest(design, described, place)


def outdated(networks: tuple[Network, ...], folder: Path = store.DATA) -> list[str]:
    """Kind, network and family of the newest rows that would be made anew."""
    cycles = store.newest(store.load(store.CYCLES, folder))
    found = []
    with TemporaryDirectory(prefix="liftflow-") as temporary:
        place = Path(temporary)
        for net in networks:
            sized = cycles.get((net.name, ""))
            if sized is None:
                continue
            if sized["digest"] != simulated_digest(net, place):
                found.append(f"{store.CYCLES} of {net.name}")
            for kind in (store.SYNTHESIS, store.UNITS):
                for (name, family), row in store.newest(store.load(kind, folder)).items():
                    if name != net.name:
                        continue
                    if row["digest"] != synthesised_digest(net, family, sized, place):
                        found.append(f"{kind} of {name} ({family})")
    return found
