"""A report with every kind of row, for the report's tests."""

from __future__ import annotations

import numpy as np

from compiler.report.insight import section
from compiler.report.schema import (
    Accuracy,
    Attribution,
    CheckRow,
    Compression,
    FifoRow,
    FrontRow,
    LayerRow,
    MarginRow,
    PassRow,
    Performance,
    Report,
    ResourceRow,
    UnitRow,
    Verdict,
)
from compiler.stages import Insight, LayerInsight, Similarity


def full_insight(shape: tuple[int, ...] = (1, 8, 8), samples: int = 3) -> Insight:
    """Random heatmaps of samples of `shape`; the last one's similarity is unknown."""
    rng = np.random.default_rng(0)
    images, before, after = rng.normal(size=(3, samples, *shape)).astype(np.float32)
    cosine = np.linspace(0.9, 0.95, samples).astype(np.float32)
    cosine[-1] = np.nan
    layer = LayerInsight(
        classes=np.array([[3, 1], [0, 2], [0, 0]], np.float32),
        top=np.array([[0, 1], [1, 0], [0, 1]]),
        shares=np.array([[0.75, 0.25], [1, 0], [0, 0]], np.float32),
        selectivity=np.array([1, 0.35], np.float32),
    )
    return Insight(
        samples=np.arange(samples) + 70,
        labels=np.arange(samples) % 3,
        images=images,
        before=before,
        after=after,
        similarity=Similarity(cosine, cosine - 0.2, 0.125, float("nan")),
        layers={"conv<1>": layer},
        agreement=0.984,
        measured=64,
        target="margin",
        reference="refs<&>.npy",
    )


def full_report(**changes: object) -> Report:
    """A plausible finished run; `changes` replace fields."""
    report = Report(
        name="net",
        board="ulx3s-85f",
        part="LFE5U-85F-6BG381C",
        dataset="digits <&>",
        fingerprint="00",
        command="liftflow compile net.toml --set 'retrain.lr=<&>'",
        versions={"LiftFlow": "0.1.0", "Python": "3.11.7"},
        verdict=Verdict(fits=True, goals=None, exact=True, text="Fits: yes <&>."),
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
                scores_before=[0.1, 0.4, 0.2],
                scores_after=[0.4, 0.2],
                weight_bits=6,
                act_bits=4,
                pe=4,
                simd=1,
                arithmetic="lut",
                quantizer="threshold",
                cycles=1728,
                margin=MarginRow(less=0.031, more=-0.012, step=0.004, weights=0.14),
            ),
            LayerRow(
                name="fc",
                kind="dense",
                channels_before=10,
                channels_after=10,
                macs=640,
                weights=640,
                relevance=None,
                weight_bits=2,
                act_bits=0,
                pe=None,
                simd=None,
                arithmetic=None,
                quantizer=None,
                cycles=None,
                margin=MarginRow(less=None, more=-0.3, step=0.2, weights=0.86),
            ),
        ],
        units=[
            UnitRow(name="conv1.mvu", kernel="Mvu", cycles=1728, lut=300, ff=200, dsp=0, bram=None)
        ],
        history=[
            {"epoch": 1, "loss": 0.5, "accuracy": 0.9},
            {"epoch": 2, "loss": 0.4, "accuracy": 0.95},
        ],
        verification=[
            CheckRow(
                pass_name="simulate", claim="bit-exact", measured="540", required="540", passed=True
            )
        ],
        passes=[
            PassRow(name="simulate", seconds=12.5, options={"seed": 1}, tools={"verilator": "5"})
        ],
        skipped=["needs Vivado"],
        files={"bitstream": "16-synthesize/net.bit"},
        insight=section(full_insight()),
        attribution=Attribution(
            criterion="deeplift",
            target="margin",
            reference="samples",
            samples=256,
            completeness_delta=6.2e-7,
        ),
        fifos=[FifoRow(name="conv1_to_fc", depth=32, held=17)],
        front=[
            FrontRow(fps=2000.0, error=0.2, lut=7000.0, chosen=False),
            FrontRow(fps=8000.0, error=0.5, lut=9000.0, chosen=False),
            FrontRow(fps=8100.0, error=0.4, lut=9100.0, chosen=True),
        ],
    )
    return report.model_copy(update=changes)
