"""`liftflow synth`: the build of a run's bitstream, shown, archived, run here or elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compiler.commands.console import err, out, print_json, table
from hw_targets.errors import LiftFlowError

if TYPE_CHECKING:
    from hw_targets.flows.plan import BuildPlan

FOLDER = "plan"
"""Folder of the build in that of the run."""


def synth(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that came to simulate.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show files, script, tools, products and digest.")
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(help="Write the build as plan.tar.gz; run.sh in it runs it.")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Run it on this machine, user@host, over ssh.")
    ] = None,
    ssh_option: Annotated[
        list[str] | None,
        typer.Option(help="Option of ssh, as in Port=2222; may be repeated."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Placements to try.", min=1)] = None,
    allow_missed_clock: Annotated[
        bool, typer.Option("--allow-missed-clock", help="A missed clock is no error.")
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time of each call of a tool, instead of its step's own.", min=0.01),
    ] = None,
    flow: Annotated[
        str | None,
        typer.Option(help="Of AMD boards: finn, or vivado-rtl, which needs Vivado alone."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; of a dry run.")] = False,
) -> None:
    """Build the bitstream of a run. Interrupted, the same command goes on where it stopped."""
    plan = _plan(folder, seeds, allow_missed_clock, flow)
    if archive is not None:
        from hw_targets.flows import archive as archives

        archives.write(plan, archive)
        err.print(f"wrote {archive}")
    if dry_run:
        if as_json:
            print_json({**plan.describe(), "digest": plan.digest})
        else:
            _show(plan)
    if dry_run or archive is not None:
        return
    from hw_targets.flows.process import Limit

    limit = Limit.asked(minutes, "--minutes")
    if on is not None:
        from hw_targets.flows.remote import Host

        options = tuple(word for each in ssh_option or [] for word in ("-o", each))
        products = Host(on, options).run(plan, folder / FOLDER, _say, limit)
    else:
        products = plan.run(folder / FOLDER, _say, limit=limit)
    _tell(products)


def _plan(folder: Path, seeds: int | None, allow_missed_clock: bool, flow: str | None) -> BuildPlan:
    """The build, by the run's own options of `synthesize`, or of `allocate` where it stopped.

    Raises:
        LiftFlowError: the run did not come to `simulate`.
    """
    from compiler import runs
    from passes.synthesize import Synthesize

    design = runs.stage(folder, "simulate")
    try:
        options = runs.options(folder, Synthesize.name)
    except LiftFlowError:
        allocated = runs.options(folder, "allocate")
        options = {name: allocated[name] for name in ("board", "clock_mhz", "share")}
    if seeds is not None:
        options["seeds"] = seeds
    if flow is not None:
        options["flow"] = flow
    options["allow_missed_clock"] = allow_missed_clock or options.get("allow_missed_clock", False)
    return Synthesize(**options).plan(design)


def _say(text: str, _share: float | None) -> None:
    err.print(text, highlight=False, soft_wrap=True)


def _show(plan: BuildPlan) -> None:
    shown = table("file", "SHA-256", "bytes", numbers=["bytes"])
    contents = plan.folder_contents()
    for name in sorted(contents):
        data = contents[name]
        shown.add_row(name, hashlib.sha256(data).hexdigest()[:16], f"{len(data):,}")
    out.print(f"[bold]{plan.name}[/]  digest {plan.digest}")
    out.print(shown)
    tools = table("tool", "version", "here", "to get it")
    for tool in plan.tools:
        tools.add_row(tool.name, tool.version, "yes" if tool.present else "no", tool.get)
    out.print(tools)
    out.print(f"products: {', '.join(plan.products)}", highlight=False)
    out.print("\n[bold]run.sh[/]")
    print(contents["run.sh"].decode())


def _tell(products: Mapping[str, Path]) -> None:
    """Every product with its digest, and what its reports say."""
    from hw_targets.flows import nextpnr, vivado_rtl

    made = table("product", "SHA-256", "bytes", numbers=["bytes"])
    for path in products.values():
        data = path.read_bytes()
        made.add_row(str(path), hashlib.sha256(data).hexdigest(), f"{len(data):,}")
    out.print(made)
    if nextpnr.REPORT in products:
        for name, (reached, wanted) in nextpnr.clocks(products[nextpnr.REPORT]).items():
            _tell_clock(name, reached, wanted)
    if vivado_rtl.TIMING in products:
        _tell_vivado(products)


def _tell_vivado(products: Mapping[str, Path]) -> None:
    """What Vivado's reports say."""
    from hw_targets.flows import vivado_reports, vivado_rtl, vivado_timing

    counts = vivado_reports.utilization(products[vivado_rtl.UTILIZATION])
    told = ", ".join(f"{name.upper()} {count:,.0f}" for name, count in counts.items())
    out.print(f"resources: {told}", highlight=False)
    timed = vivado_timing.timing(products[vivado_rtl.TIMING])
    for name, (reached, wanted) in timed.clocks.items():
        _tell_clock(name, reached, wanted)
    if timed.slowest is None:
        out.print("clock: not borne out by the timing report", highlight=False)
    power = vivado_reports.power(products[vivado_rtl.POWER])
    out.print(f"power: {power:.3f} W on the chip, Vivado's estimate", highlight=False)


def _tell_clock(name: str, reached: float, wanted: float) -> None:
    met = "met" if reached >= wanted else "missed"
    out.print(f"clock {name}: {reached:.1f} MHz of {wanted:.1f}, {met}", highlight=False)
