"""Schema of report.json. A change that old readers cannot take raises `VERSION`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION: Literal["liftflow-report/1"] = "liftflow-report/1"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Accuracy(_Model):
    """Share of `samples` test samples classified right, at one stage of the way."""

    stage: str
    value: float
    samples: int


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
    """Clock in MHz, interval and latency in clock cycles, frames a second at the target clock."""

    clock_target_mhz: float
    clock_reached_mhz: float | None
    interval_bound: int
    interval_measured: int | None
    latency_estimated: int | None
    latency_measured: int | None
    fps_estimated: float
    fps_measured: float | None


class LayerRow(_Model):
    """One layer: size before and after, what DeepLIFT gives it, what the allocator chose.

    relevance: share of the network's summed channel relevance.
    """

    name: str
    kind: str
    channels_before: int
    channels_after: int
    macs: int
    weights: int
    relevance: float | None
    weight_bits: int | None
    act_bits: int | None
    pe: int | None
    simd: int | None
    arithmetic: str | None
    cycles: int | None


class UnitRow(_Model):
    """One hardware unit with its modelled resources."""

    name: str
    kernel: str
    cycles: int
    lut: float | None
    ff: float | None
    dsp: float | None
    bram: float | None


class CheckRow(_Model):
    """One line of the verification ledger."""

    pass_name: str = Field(alias="pass")
    claim: str
    measured: str
    required: str
    passed: bool


class PassRow(_Model):
    """One pass of the run."""

    name: str
    seconds: float
    options: dict[str, Any]
    tools: dict[str, str]


class Report(_Model):
    """Everything a run decided and measured."""

    schema_version: Literal["liftflow-report/1"] = Field(default=VERSION, alias="schema")
    name: str
    board: str
    part: str
    dataset: str
    fingerprint: str
    goals: dict[str, float | None]
    accuracy: list[Accuracy]
    compression: Compression | None
    resources: list[ResourceRow]
    performance: Performance | None
    layers: list[LayerRow]
    units: list[UnitRow]
    history: list[dict[str, float]]
    verification: list[CheckRow]
    passes: list[PassRow]
    skipped: list[str]
    files: dict[str, str]
