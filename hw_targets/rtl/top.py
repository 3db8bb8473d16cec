"""Text of `top.sv`: one block a FIFO, one block a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

from hw_targets.rtl.kernel import Instance, Source, Stream, literal
from hw_targets.rtl.manifest import memory_parameters

TOP = "liftflow_accel"
_PARTS = ("tdata", "tvalid", "tready")


@dataclass(frozen=True)
class Link:
    """A connection between two units: the FIFO on it takes `stream` and has `depth` words."""

    name: str
    stream: Stream
    depth: int
    source: Source


def render_top(name: str, units: Sequence[Instance], links: Sequence[Link]) -> str:
    """The module `liftflow_accel`: `s_axis`, the units, `m_axis`.

    links: one an input stream of every unit, in the order of the units, and the one to `m_axis`.

    Under `LF_PROBE` the ports `fifo_count` and `fifo_max` carry the present and the highest
    occupancy of every link, 32 bits each, link 0 lowest; under `LF_SIZING` the input `fifo_limit`
    sets each link's depth in the same way, up to the one it was written with.
    """
    leaving = {link.source: index for index, link in enumerate(links)}
    blocks, index = [], 0
    for unit in units:
        entering = range(index, index + len(unit.kernel.inputs))
        index = entering.stop
        blocks += [_link(i, links[i]) for i in entering]
        streams = range(len(unit.kernel.outputs))
        out = [leaving[Source(unit.name, stream)] for stream in streams]
        blocks.append(_unit(unit, {i: links[i].stream for i in entering}, out))
    blocks.append(_link(index, links[index]))
    return "\n".join(
        [
            f"// {name}: {len(units)} units. In: {_describe(links[0].stream)}.",
            f"// Out: {_describe(links[-1].stream)}.",
            "`default_nettype none",
            "",
            _header(links),
            "",
            *blocks,
            _ends(len(links) - 1),
            "endmodule",
            "",
            "`default_nettype wire",
            "",
        ]
    )


def _describe(stream: Stream) -> str:
    sign = "signed" if stream.signed else "unsigned"
    return f"{stream.beats} beats of {stream.lanes} x {stream.bits} bits, {sign}"


def _header(links: Sequence[Link]) -> str:
    into, out, probes = links[0].stream.width, links[-1].stream.width, 32 * len(links)
    return f"""module {TOP} (
    input  wire logic clk,
    input  wire logic rst,
    input  wire logic [{into - 1}:0] s_axis_tdata,
    input  wire logic s_axis_tvalid,
    output      logic s_axis_tready,
    output      logic [{out - 1}:0] m_axis_tdata,
    output      logic m_axis_tvalid,
    input  wire logic m_axis_tready
`ifdef LF_PROBE
    ,
    output      logic [{probes - 1}:0] fifo_count,
    output      logic [{probes - 1}:0] fifo_max
`endif
`ifdef LF_SIZING
    ,
    input  wire logic [{probes - 1}:0] fifo_limit
`endif
);"""


def _signals(prefix: str, width: int) -> str:
    return (
        f"    logic [{width - 1}:0] {prefix}_tdata;\n    logic {prefix}_tvalid, {prefix}_tready;\n"
    )


def _ports(slaves: Sequence[str], masters: Sequence[str]) -> str:
    lines = ["        .clk(clk), .rst(rst)"]
    for side, streams in (("s_axis", slaves), ("m_axis", masters)):
        ports = (f".{side}_{part}({_beside(streams, part)})" for part in _PARTS)
        lines.append("        " + ", ".join(ports))
    return ",\n".join(lines)


def _beside(streams: Sequence[str], part: str) -> str:
    """One signal of several streams, the first in the low bits."""
    wires = [f"{stream}_{part}" for stream in reversed(streams)]
    return wires[0] if len(wires) == 1 else f"{{{', '.join(wires)}}}"


def _link(index: int, link: Link) -> str:
    """`from<i>` comes out of the unit before the link, `to<i>` goes into the one behind it."""
    width, source, sink = link.stream.width, f"from{index}", f"to{index}"
    signals = f"    // Link {link.name}\n" + _signals(source, width) + _signals(sink, width)
    probe = f"[{32 * index} +: 32]"
    if link.depth == 0:
        return f"""{signals}    assign {sink}_tdata = {source}_tdata;
    assign {sink}_tvalid = {source}_tvalid;
    assign {source}_tready = {sink}_tready;
`ifdef LF_PROBE
    assign fifo_count{probe} = '0;
    assign fifo_max{probe} = '0;
`endif
"""
    return f"""{signals}    lf_fifo #(
        .WIDTH({width}), .DEPTH({link.depth})
    ) fifo_{link.name} (
{_ports((source,), (sink,))}
`ifdef LF_PROBE
        , .count_now(fifo_count{probe}), .maxcount(fifo_max{probe})
`endif
`ifdef LF_SIZING
        , .limit(fifo_limit{probe})
`endif
    );
"""


def _unit(unit: Instance, entering: Mapping[int, Stream], leaving: Sequence[int]) -> str:
    """entering: the links it takes from and what they carry. leaving: those it gives to."""
    kernel = unit.kernel
    values = kernel.parameters() | memory_parameters(unit)
    parameters = ",\n".join(f".{key}({literal(value)})" for key, value in values.items())
    text, slaves = f"    // {unit.name}: {kernel.cycles} cycles a frame\n", []
    for (index, source), sink in zip(entering.items(), kernel.inputs, strict=True):
        widened = source.bits != sink.bits
        slaves.append(f"wide{index}" if widened else f"to{index}")
        text += _sign_extension(index, source, sink) if widened else ""
    return f"""{text}    {kernel.module} #(
{indent(parameters, " " * 8)}
    ) u_{unit.name} (
{_ports(slaves, [f"from{index}" for index in leaving])}
    );
"""


def _sign_extension(index: int, source: Stream, sink: Stream) -> str:
    """A narrower stream into a wider one, element by element."""
    low, high = source.bits, sink.bits
    value = f"to{index}_tdata[{low}*i +: {low}]"
    value = f"$signed({value})" if source.signed else value
    signals = _signals(f"wide{index}", sink.width)
    return f"""{signals}    for (genvar i = 0; i < {sink.lanes}; i++) begin : g_wide{index}
        assign wide{index}_tdata[{high}*i +: {high}] = {high}'({value});
    end
    assign wide{index}_tvalid = to{index}_tvalid;
    assign to{index}_tready = wide{index}_tready;
"""


def _ends(last: int) -> str:
    return f"""    // Ends of the chain
    assign from0_tdata = s_axis_tdata;
    assign from0_tvalid = s_axis_tvalid;
    assign s_axis_tready = from0_tready;
    assign m_axis_tdata = to{last}_tdata;
    assign m_axis_tvalid = to{last}_tvalid;
    assign to{last}_tready = m_axis_tready;"""
