"""A report with every kind of row, for the report's tests."""

from __future__ import annotations

from compiler.report.schema import (
    Accuracy,
    CheckRow,
    Compression,
    LayerRow,
    PassRow,
    Performance,
    Report,
    ResourceRow,
    UnitRow,
)


def full_report(**changes: object) -> Report:
    """A plausible finished run; `changes` replace fields."""
    report = Report(
        name="net",
        board="ulx3s-85f",
        part="LFE5U-85F-6BG381C",
        dataset="digits <&>",
        fingerprint="00",
        goals={"accuracy": 0.95, "fps": 20000.0, "share": 0.7, "clock_mhz": None},
        accuracy=[
            Accuracy(stage="float", value=0.991, samples=540),
            Accuracy(stage="RTL", value=0.985, samples=540),
        ],
        compression=Compression(
            macs_before=460_000,
            macs_after=230_000,
            weights_before=23_000,
            weights_after=12_000,
            weight_bits_before=736_000,
            weight_bits_after=45_000,
            mean_weight_bits=3.75,
        ),
        resources=[
            ResourceRow(
                resource="LUT", estimated=9000, synthesised=9800, placed=10100, available=83640
            ),
            ResourceRow(resource="BRAM", estimated=None, synthesised=4, placed=None, available=208),
        ],
        performance=Performance(
            clock_target_mhz=50,
            clock_reached_mhz=63.2,
            interval_bound=2304,
            interval_measured=2310,
            latency_estimated=4000,
            latency_measured=4100,
            fps_estimated=21701.4,
            fps_measured=21645.0,
        ),
        layers=[
            LayerRow(
                name="conv1",
                kind="conv",
                channels_before=16,
                channels_after=12,
                macs=6912,
                weights=108,
                relevance=0.4,
                weight_bits=6,
                act_bits=4,
                pe=4,
                simd=1,
                arithmetic="lut",
                cycles=1728,
            ),
            LayerRow(
                name="fc",
                kind="dense",
                channels_before=10,
                channels_after=10,
                macs=640,
                weights=640,
                relevance=None,
                weight_bits=4,
                act_bits=0,
                pe=None,
                simd=None,
                arithmetic=None,
                cycles=None,
            ),
        ],
        units=[
            UnitRow(name="conv1.mvu", kernel="Mvu", cycles=1728, lut=300, ff=200, dsp=0, bram=None)
        ],
        history=[{"epoch": 1, "loss": 0.5, "accuracy": 0.9}],
        verification=[
            CheckRow(
                pass_name="simulate", claim="bit-exact", measured="540", required="540", passed=True
            )
        ],
        passes=[
            PassRow(name="simulate", seconds=12.5, options={"seed": 1}, tools={"verilator": "5"})
        ],
        skipped=["needs Vivado"],
        files={"bitstream": "14-synthesize/net.bit"},
    )
    return report.model_copy(update=changes)
