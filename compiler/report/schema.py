"""Schema of report.json. A change that old readers cannot take raises `VERSION`.

`python -m compiler.report.schema` prints it as JSON Schema, which docs/report.schema.json holds.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION: Literal["liftflow-report/2"] = "liftflow-report/2"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Verdict(_Model):
    """Whether the run reached what it was for, in one line; None where it did not come so far.

    fits: all resources within the goals' share of the board. goals: accuracy, frames a second and
    clock. exact: the simulated RTL gives the quantized network's answer for every frame.
    """

    fits: bool | None
    goals: bool | None
    exact: bool | None
    text: str


class Accuracy(_Model):
    """The report's `score` on `samples` test samples, at one stage of the way.

    "accuracy" is the share classified right; "R^2", of a regression, 1 - squared error / variance.
    """

    stage: str
    value: float
    samples: int


class Outputs(_Model):
    """What the accelerator of a regression gives for a frame.

    shape: of the network's output, (channels, height, width) or (features,); they come as signed
    integers, channels last. step: value of one count.
    """

    shape: list[int]
    step: float


class Compression(_Model):
    """What pruning and quantization took away. Bits are of weights, 32 each before."""

    macs_before: int
    macs_after: int
    weights_before: int
    weights_after: int
    weight_bits_before: int
    weight_bits_after: int | None = None
    mean_weight_bits: float | None = None


class ResourceRow(_Model):
    """One resource along the flow; None where a step does not tell or was not run."""

    resource: str
    estimated: float | None
    synthesised: float | None
    placed: float | None
    available: float | None


class Performance(_Model):
    """Clock in MHz, interval and latency in clock cycles, frames a second at the target clock.

    fps_vendor: by "FINN's estimate" and "FINN's simulation", where its builder ran.
    """

    clock_target_mhz: float
    clock_reached_mhz: float | None
    interval_bound: int
    interval_measured: int | None
    latency_estimated: int | None
    latency_measured: int | None
    fps_estimated: float
    fps_measured: float | None
    fps_vendor: dict[str, float] = {}


class MarginRow(_Model):
    """What the bits of a layer's weights were weighed by.

    less, more: change of the whole modelled error, as a share of it, by one bit less and one more;
    None where hardware has no such width. step: what one bit of the layer is of all weight bits.
    weights: share of all weights.
    """

    less: float | None
    more: float | None
    step: float
    weights: float


class LayerRow(_Model):
    """One layer: size before and after, what DeepLIFT gives it, what the allocator chose.

    relevance: share of the network's summed channel relevance. scores_before, scores_after: of its
    channels in their order, as first attributed and after pruning, of the same unit. lanes: of the
    units around the matrix-vector unit, 0 where they follow it or there is none. quantizer:
    "threshold" or "multiplier", what makes its activations of accumulators; where no multiplier
    gives the same integers, thresholds are built.
    """

    name: str
    kind: str
    channels_before: int
    channels_after: int
    macs: int
    weights: int
    relevance: float | None
    scores_before: list[float] = []
    scores_after: list[float] = []
    weight_bits: int | None
    act_bits: int | None
    pe: int | None
    simd: int | None
    arithmetic: str | None
    quantizer: str | None = None
    cycles: int | None
    lanes: dict[str, int] | None = None
    margin: MarginRow | None = None


class UnitRow(_Model):
    """One hardware unit with its modelled resources."""

    name: str
    kernel: str
    cycles: int
    lut: float | None
    ff: float | None
    dsp: float | None
    bram: float | None


class FifoRow(_Model):
    """One FIFO: its depth in words, and the most it ever held where none was ever full."""

    name: str
    depth: int
    held: int | None


class Attribution(_Model):
    """How relevance was measured.

    completeness_delta: greatest |sum of contributions - output difference| relative to the
    greatest |output difference|; 0 of criteria that claim no completeness.
    """

    criterion: str
    target: str
    reference: str
    samples: int
    completeness_delta: float


class FrontRow(_Model):
    """One design that no other beats, or the one chosen. error: modelled, before retraining."""

    fps: float
    error: float
    lut: float
    chosen: bool


class CheckRow(_Model):
    """One line of the verification ledger."""

    pass_name: str = Field(alias="pass")
    claim: str
    measured: str
    required: str
    passed: bool


class PassRow(_Model):
    """One pass of the run. digest: of what it gave."""

    name: str
    digest: str = ""
    seconds: float
    options: dict[str, Any]
    tools: dict[str, str]


class HeatmapRow(_Model):
    """One training sample's heatmaps before and after compression, how alike they are.

    sample: its index. label: its class, "" of a regression. cosine, spearman: -1 to 1, None where
    a map is constant.
    """

    sample: int
    label: str
    cosine: float | None
    spearman: float | None


class ServedRow(_Model):
    """One class and the channels of a layer that serve it most, with their shares."""

    label: str
    channels: list[int]
    shares: list[float]


class FilterRow(_Model):
    """Which channels of a layer serve which classes.

    selectivity: of every channel, 0 (all classes alike) to 1 (one alone).
    """

    layer: str
    selectivity: list[float]
    classes: list[ServedRow]


class InsightSection(_Model):
    """What the network looks at, before and after compression.

    cosine, spearman: means over `heatmaps`; `_chance`: between maps of different samples.
    agreement: share of `measured` samples that the explained float twin, whose activations are not
    rounded, classes as the quantized network does; of a regression, R^2 between their outputs.
    """

    target: str
    reference: str
    measured: int
    agreement: float
    cosine: float | None
    cosine_chance: float | None
    spearman: float | None
    spearman_chance: float | None
    heatmaps: list[HeatmapRow]
    filters: list[FilterRow]


class Report(_Model):
    """Everything a run decided and measured.

    fingerprint: digest of the keys of all passes. command: what makes the run anew; None where it
    was started from Python. versions: of Python, LiftFlow and every tool. untrained: how retraining
    failed, where it did and left the network as it was. front: designs that no other beats and the
    chosen one, where `liftflow explore` looked for them. power_w: of the whole chip, as Vivado
    estimates it after routing; None where the flow does not report it.
    """

    schema_version: Literal["liftflow-report/2"] = Field(default=VERSION, alias="schema")
    name: str
    board: str
    part: str
    dataset: str
    fingerprint: str
    command: str | None = None
    versions: dict[str, str] = {}
    verdict: Verdict | None = None
    goals: dict[str, float | None]
    score: Literal["accuracy", "R^2"] = "accuracy"
    accuracy: list[Accuracy]
    outputs: Outputs | None = None
    compression: Compression | None
    resources: list[ResourceRow]
    performance: Performance | None
    power_w: float | None = None
    layers: list[LayerRow]
    units: list[UnitRow]
    history: list[dict[str, float]]
    untrained: str = ""
    verification: list[CheckRow]
    passes: list[PassRow]
    skipped: list[str]
    files: dict[str, str]
    insight: InsightSection | None = None
    attribution: Attribution | None = None
    fifos: list[FifoRow] = []
    front: list[FrontRow] = []


def as_json_schema() -> str:
    """The schema, as JSON Schema."""
    return json.dumps(Report.model_json_schema(by_alias=True), indent=1) + "\n"


if __name__ == "__main__":
    print(as_json_schema(), end="")
