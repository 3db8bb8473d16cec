"""FINN's own hardware nodes, as the cost model sees them: HLS and RTL under AMD's tools.

Fields are FINN's node attributes where it has them. Widths of streams are in bits, and padded to
whole bytes by FINN.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FinnMvau:
    """MVAU_hls with decoupled weights. out_bits: of the activation, 0 without one.

    binary: bipolar weights and inputs (XNOR). dsp, block: 0 or 1, as in `resType` and `ram_style`.
    """

    mw: int
    mh: int
    pe: int
    simd: int
    weight_bits: int
    act_bits: int
    acc_bits: int
    out_bits: int
    binary: int = 0
    dsp: int = 0
    block: int = 0


@dataclass(frozen=True)
class FinnWindow:
    """ConvolutionInputGenerator_rtl. in_h, in_w: with padding. parallel: whole windows at once."""

    in_h: int
    in_w: int
    channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    simd: int
    bits: int
    parallel: int = 0


@dataclass(frozen=True)
class FinnPadding:
    """FMPadding_rtl; in_h, in_w without the padding of one pixel on each side."""

    in_h: int
    in_w: int
    channels: int
    simd: int
    bits: int


@dataclass(frozen=True)
class FinnThresholding:
    """Thresholding_rtl: a binary search of out_bits stages."""

    channels: int
    pe: int
    in_bits: int
    out_bits: int


@dataclass(frozen=True)
class FinnFifo:
    """StreamingFIFO_rtl."""

    width: int
    depth: int


@dataclass(frozen=True)
class FinnWidthConverter:
    """StreamingDataWidthConverter_rtl; one of the two widths divides the other."""

    in_width: int
    out_width: int


@dataclass(frozen=True)
class FinnLabelSelect:
    """LabelSelect_hls of the single best label."""

    labels: int
    in_bits: int


FINN_NODES: tuple[type, ...] = (
    FinnMvau,
    FinnWindow,
    FinnPadding,
    FinnThresholding,
    FinnFifo,
    FinnWidthConverter,
    FinnLabelSelect,
)
