"""Resources of devices as their makers' overviews list them, for comparison with the board files.

AMD: DS190 (Zynq-7000), DS180 (7 series), DS891 (Zynq UltraScale+), DS889 (RFSoC), DS987 (K26),
DS890 (UltraScale+), DS950 (Versal), DS1013 (V80): slices or CLBs, block RAM of 36 kbit, UltraRAM,
DSP slices. A 7 series slice has 4 LUTs, an UltraScale+ CLB 8, a Versal CLB 32; a LUT 2 registers.
Lattice: FPGA-DS-02012 (ECP5), FPGA-DS-02008 (iCE40 UltraPlus). Gowin: DS117 (GW1NR), DS226 (GW2AR).
"""

from __future__ import annotations

LUTS = {"slice": 4, "clb": 8, "versal": 32}

AMD: dict[str, tuple[str, int, int, int, int]] = {
    "xc7z020": ("slice", 13_300, 140, 0, 220),
    "xc7a35t": ("slice", 5_200, 50, 0, 90),
    "xc7a100t": ("slice", 15_850, 135, 0, 240),
    "xczu3eg": ("clb", 8_820, 216, 0, 360),
    "xck26": ("clb", 14_640, 144, 64, 1_248),
    "xczu7ev": ("clb", 28_800, 312, 96, 1_728),
    "xczu9eg": ("clb", 34_260, 912, 0, 2_520),
    "xczu28dr": ("clb", 53_160, 1_080, 80, 4_272),
    "xczu48dr": ("clb", 53_160, 1_080, 80, 4_272),
    "xcu50": ("clb", 108_960, 1_344, 640, 5_952),
    "xcu200": ("clb", 147_780, 2_160, 960, 6_840),
    "xcu250": ("clb", 216_000, 2_688, 1_280, 12_288),
    "xcu280": ("clb", 162_960, 2_016, 960, 9_024),
    "xcu55c": ("clb", 162_960, 2_016, 960, 9_024),
    "xcvc1902": ("versal", 28_120, 967, 463, 1_968),
    "xcve2802": ("versal", 16_272, 600, 264, 1_312),
    "xcv80": ("versal", 80_444, 3_741, 1_925, 10_848),
}
"""Device -> kind of logic block, blocks, block RAMs of 36 kbit, UltraRAMs, DSP slices."""

LATTICE: dict[str, tuple[int, int, int]] = {
    "LFE5U-12F": (12, 32, 28),
    "LFE5U-25F": (24, 56, 28),
    "LFE5U-45F": (44, 108, 72),
    "LFE5U-85F": (84, 208, 156),
    "iCE40UP5K": (5, 30, 8),
}
"""Device -> thousands of LUT4, block RAMs, multipliers."""

GOWIN: dict[str, tuple[int, int, int, int]] = {
    "GW1NR-LV9": (8_640, 6_480, 26, 20),
    "GW2AR-LV18": (20_736, 15_552, 46, 48),
}
"""Device -> LUT4, registers, block RAMs of 18 kbit, multipliers of 18 x 18."""
