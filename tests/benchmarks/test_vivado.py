"""Rows of FINN builds: read as nodes, widths recovered from registers, fitted and compared.

The rows here are made up, in the columns of the real files.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration.regression import bands, fit_resource
from benchmarks.vivado.__main__ import fit_nodes, page
from benchmarks.vivado.rows import measured
from hw_targets.cost.finn import FinnFifo, FinnMvau, FinnWidthConverter
from hw_targets.cost.model import margins
from hw_targets.errors import LiftFlowError


def _mvau(model: str, pe: int, simd: int, dsp: bool) -> dict[str, object]:
    lut = 200 + 3 * pe * simd * (1 if dsp else 4)
    return {
        "MH": 16.0,
        "MW": 64.0,
        "PE": float(pe),
        "SIMD": float(simd),
        "ram_style": "block",
        "resType": "dsp" if dsp else "lut",
        "inputDataType": "UINT2",
        "weightDataType": "INT2",
        "outputDataType": "UINT2",
        "accDataType": "INT9",
        "noActivation": 0.0,
        "numInputVectors": "[1]",
        "mem_mode": "internal_decoupled",
        "model_id": model,
        "Total LUT": float(lut),
        "Total FFs": 300.0,
        "BRAM (36k eq.)": 0.5,
        "DSP Blocks": float(pe * simd * dsp),
    }


def _other(model: str, kind: str, registers: int, depth: int | str = "") -> dict[str, object]:
    return {
        "model_id": model,
        "base_name": kind,
        "isHLS": "0",
        "depth": depth,
        "Total LUT": 40,
        "Total FFs": registers,
        "BRAM (36k eq.)": 0.0,
        "DSP Blocks": 0,
    }


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mvaus = [
        _mvau(model, pe, simd, dsp)
        for model in ("one", "two", "three")
        for pe, simd, dsp in itertools.product((1, 2, 4), (2, 4, 16), (False, True))
    ]
    _write(tmp_path / "vivado_finn_mvau.csv", mvaus)
    # 32 = 16 x UINT2 from 4 = 2 x UINT2: 32 + 4 + 3 + 2 registers.
    others = [
        _other("one", "StreamingDataWidthConverter", 41),
        _other("one", "StreamingFIFO", 22, 2.0),  # type: ignore[arg-type]
        _other("two", "StreamingFIFO", 43, 100.0),  # type: ignore[arg-type]
        _other("two", "StreamingFIFO", 43),
    ]
    _write(tmp_path / "vivado_finn_other_nodes.csv", others)
    return tmp_path


def test_widths_are_recovered_from_registers(folder: Path) -> None:
    rows = measured(folder)
    nodes = [row.node for row in rows if not isinstance(row.node, FinnMvau)]
    assert nodes == [FinnWidthConverter(4, 32), FinnFifo(8, 2), FinnFifo(24, 100)]
    assert sum(isinstance(row.node, FinnMvau) for row in rows) == 54
    assert rows[0].resources["bram"] == 1.0


def test_matrix_units_are_fitted_and_compared_with_finn(folder: Path) -> None:
    rows = [row for row in measured(folder) if row.kind == "FinnMvau"]
    fits, unseen = fit_nodes(rows)
    assert fits["FinnMvau"].lut.mape_left_out < 10
    assert fits["FinnMvau"].exact["dsp"] == 1.0
    text = page(rows, fits, unseen)
    assert "| Mvau | 54 |" in text
    assert "| three | 18 |" in text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match=r"vivado_finn_mvau\.csv"):
        measured(tmp_path)


def test_priors_hold_where_points_say_nothing() -> None:
    """A term of which the points have next to nothing keeps its physical value."""
    rng = np.random.default_rng(0)
    size = rng.uniform(100, 1000, 60)
    rare = np.where(np.arange(60) == 7, 1e-3, 0.0)
    fit, _ = fit_resource(
        {"size": size, "rare": rare}, 2.0 * size, list(range(60)), {"size": 1.0, "rare": 5.0}
    )
    assert fit.coefficients["size"] == pytest.approx(2.0, rel=0.02)
    assert fit.coefficients["rare"] == pytest.approx(5.0, rel=0.02)


def test_nine_of_ten_new_points_lie_in_the_interval() -> None:
    rng = np.random.default_rng(1)
    size = rng.uniform(50, 5000, 800)
    lut = size * rng.normal(1.0, 0.1, 800)
    fit, predicted = fit_resource({"size": size}, lut, list(range(800)))
    assert fit.coverage == pytest.approx(0.9, abs=0.03)
    fresh = rng.uniform(50, 5000, 2000)
    truth = fresh * rng.normal(1.0, 0.1, 2000)
    below, above = margins(fresh, fit.bands)
    assert np.mean((truth >= fresh - below) & (truth <= fresh + above)) == pytest.approx(
        0.9, abs=0.04
    )
    single = [margins(float(value), fit.bands) for value in fresh[:50]]
    np.testing.assert_allclose(single, np.stack([below, above], axis=1)[:50])
    assert len(bands(predicted, lut)) == 4
