"""Texts in the format of Vivado's reports (AMD UG906); every figure in them is made up."""

from __future__ import annotations

HEADER = """\
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
----------------------------------------------------------------
| Tool Version : Vivado v.2022.2
| Command      : {command}
| Design       : design_1_wrapper
| Design State : Routed
----------------------------------------------------------------

"""


def table(columns: list[str], rows: list[list[str]], title: str = "") -> str:
    """A table between rules, its first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [rule, _row([name.center(w) for name, w in zip(columns, widths, strict=True)]), rule]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        lines.append(_row(cells))
    heading = f"{title}\n{'-' * len(title)}\n\n" if title else ""
    return heading + "\n".join([*lines, rule]) + "\n\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def utilization(family: str = "xc7", *, prohibited: bool = True) -> str:
    """report_utilization of 7 series, UltraScale+ ("xcup") or Versal."""
    site = ["Site Type", "Used", "Fixed", *(["Prohibited"] if prohibited else []), "Available"]

    def rows(*named: tuple[str, str, str]) -> list[list[str]]:
        middle = ["0", "0"] if prohibited else ["0"]
        return [[name, used, *middle, held, "1.00"] for name, used, held in named]

    lut, ff, dsp = {
        "xc7": ("Slice LUTs", "Slice Registers", "DSPs"),
        "xcup": ("CLB LUTs*", "CLB Registers", "DSPs"),
        "versal": ("CLB LUTs", "Registers", "DSP Slices"),
    }[family]
    logic = rows(
        (lut, "9120", "53200"),
        ("  LUT as Logic", "8000", "53200"),
        ("  LUT as Memory", "1120", "17400"),
        (ff, "7310", "106400"),
        ("  Register as Flip Flop", "7310", "106400"),
        ("F7 Muxes", "52", "26600"),
    )
    memory = rows(
        ("Block RAM Tile", "12.5", "140"),
        ("  RAMB36/FIFO*", "10", "140"),
        ("  RAMB18", "5", "280"),
        *([] if family == "xc7" else [("URAM", "3", "96")]),
    )
    columns = [*site, "Util%"]
    return (
        HEADER.format(command="report_utilization -file utilization.rpt")
        + table(columns, logic, "1. Slice Logic")
        + "* Warning! LUT combining may change the final count.\n\n"
        + table(columns, memory, "3. Memory")
        + table(columns, rows((dsp, "44", "220"), ("  DSP48E1 only", "44", "")), "4. DSP")
        + table(["Ref Name", "Used", "Functional Category"], [["FDRE", "7310", "Register"]])
    )


def hierarchy(*, uram: bool = False, percentages: bool = False) -> str:
    """report_utilization -hierarchical."""
    columns = ["Instance", "Module", "Total LUTs", "Logic LUTs", "LUTRAMs", "SRLs", "FFs"]
    columns += ["RAMB36", "RAMB18", *(["URAM"] if uram else []), "DSP Blocks"]

    def row(name: str, module: str, *counts: str) -> list[str]:
        counted = [f"{count}(0.10%)" for count in counts] if percentages else list(counts)
        return [name, module, *counted[:-1], *(["3"] if uram else []), counted[-1]]

    rows = [
        row("design_1_wrapper", "(top)", "9120", "8000", "900", "220", "7310", "10", "5", "44"),
        row("  (design_1_wrapper)", "(top)", "0", "0", "0", "0", "0", "0", "0", "0"),
        row("  accelerator", "design_1_acc", "7000", "6500", "400", "100", "5100", "8", "3", "40"),
    ]
    command = HEADER.format(command="report_utilization -hierarchical -file hierarchy.rpt")
    return command + table(columns, rows, "1. Utilization by Hierarchy")


def power(total: str = "1.652") -> str:
    """report_power."""
    rows = {
        "Total On-Chip Power (W)": total,
        "Design Power Budget (W)": "Unspecified*",
        "Dynamic (W)": "1.514",
        "Device Static (W)": "0.138",
        "Confidence Level": "Medium",
    }
    lines = [f"| {name:<24} | {value:<12} |" for name, value in rows.items()]
    rule = "+" + "-" * 26 + "+" + "-" * 14 + "+"
    text = "\n".join(["1. Summary", "----------", "", rule, *lines, rule])
    return HEADER.format(command="report_power -file power.rpt") + text + "\n"


KINDS = (("WNS", "TNS"), ("WHS", "THS"), ("WPWS", "TPWS"))
NAMES = [
    name
    for worst, total in KINDS
    for name in (
        f"{worst}(ns)", f"{total}(ns)", f"{total} Failing Endpoints", f"{total} Total Endpoints"
    )
]  # fmt: skip


def timing(
    totals: list[str],
    clocks: dict[str, tuple[str, list[str]]],
    *,
    unclocked: int = 0,
    said: str = "All user specified timing constraints are met.",
) -> str:
    """report_timing_summary; clocks: name -> (period, figures of the intra clock table)."""
    width = max([12, *map(len, clocks)])
    periods = [
        f"{name:<{width}}  {{0.000 {float(period) / 2:.3f}}}        {period:<16}"
        f"{1000 / float(period):<16.3f}"
        for name, (period, _) in clocks.items()
    ]
    intra = [f"{name:<{width}}{_figures(figures)}" for name, (_, figures) in clocks.items()]
    return (
        HEADER.format(command="report_timing_summary -file timing.rpt")
        + f"check_timing report\n\n1. checking no_clock ({unclocked})\n\n"
        + _title("Design Timing Summary")
        + f"{_figures(NAMES)}\n{_figures([_dashes(name) for name in NAMES])}\n"
        + f"{_figures(totals)}\n\n\n{said}\n\n\n"
        + _title("Clock Summary")
        + f"{'Clock':<{width}}  {'Waveform(ns)':<21}{'Period(ns)':<16}Frequency(MHz)\n"
        + f"{'-----':<{width}}  {'------------':<21}{'----------':<16}--------------\n"
        + "".join(f"{line}\n" for line in periods)
        + "\n\n"
        + _title("Intra Clock Table")
        + f"{'Clock':<{width}}{_figures(NAMES)}\n"
        + f"{'-----':<{width}}{_figures([_dashes(name) for name in NAMES])}\n"
        + "".join(f"{line}\n" for line in intra)
        + "\n\n"
        + _title("Inter Clock Table")
    )


def _title(name: str) -> str:
    rule = "-" * 96
    return f"{rule}\n| {name}\n| {'-' * len(name)}\n{rule}\n\n"


def _dashes(name: str) -> str:
    return "-" * len(name)


def _figures(words: list[str]) -> str:
    """Words to the right of columns as wide as Vivado's."""
    cells = (word.rjust(max(11, len(name) + 2)) for word, name in zip(words, NAMES, strict=True))
    return "".join(cells) + "  "


MET = ["0.312", "0.000", "0", "4120", "0.021", "0.000", "0", "4120", "2.225", "0.000", "0", "1500"]
EMPTY = [""] * 8 + ["3.000", "0.000", "0", "1"]
