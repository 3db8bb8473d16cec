"""Our units beside FINN's: FINN's sources are read, tables come from kept rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.calibration.synthesis import yosys_version
from benchmarks.finn_rtl import tables
from benchmarks.finn_rtl.__main__ import digest, load, measure
from benchmarks.finn_rtl.units import units
from hw_targets.errors import MissingToolError
from hw_targets.families import load_family
from hw_targets.rtl import finn_library
from hw_targets.rtl.mvu import Mvu


def _need_finn_and_yosys() -> None:
    try:
        finn_library.library()
        yosys_version()
    except (MissingToolError, OSError) as error:
        pytest.skip(str(error))


def test_units_are_folded_alike_and_fit_finn() -> None:
    for name in ("xc7", "ecp5"):
        family = load_family(name)
        found = units(family)
        assert len(found) >= 12
        for unit in found.values():
            # FINN's RTL has no fewer bits.
            assert min(unit.weight_bits, unit.act_bits) >= 2
            assert unit.arithmetic == "dsp"
            assert unit.multiplier_bits == family.multiplier.a_bits


def test_a_unit_of_each_is_synthesised_once(tmp_path: Path) -> None:
    _need_finn_and_yosys()
    unit = Mvu(4, 4, 2, 2, 1, 4, 4, False, "dsp", "block", 18)
    family, kept = load_family("ecp5"), tmp_path / "results.jsonl"
    assert measure("tiny", unit, family, kept, tmp_path)
    assert not measure("tiny", unit, family, kept, tmp_path)
    (row,) = load(kept)
    assert row["ours"]["dsp"] == 2  # two columns
    assert row["theirs"]["dsp"] > 2  # products of 25 bits
    assert row["theirs"]["lut"] > row["theirs_alone"]["lut"] > 0
    assert "tiny | 4 x 4 | 2 x 2 | 4:4 | 4 | 2 |" in tables.lattice_table([row])
    assert digest(replace(unit, act_bits=3), family) != row["digest"] == digest(unit, family)


def test_claims_name_the_units_that_do_not_hold() -> None:
    unit = {"unit": {"pe": 2, "simd": 4}}
    small = {"name": "small", **unit, "ours": {"lut": 9, "dsp": 4}, "theirs": {"lut": 10, "dsp": 9}}
    large = {"name": "large", **unit, "ours": {"lut": 9, "dsp": 8}, "theirs": {"lut": 8, "dsp": 4}}
    rows = [{**row, "theirs_alone": {"lut": 9}} for row in (small, large)]
    assert "with its weights: 1 of 2 units; not large." in tables.luts_claim(rows)
    assert "Not more DSP slices: 1 of 2 units; not large." in tables.luts_claim(rows)
    assert "than products: 1 of 2 units; not large." in tables.multipliers_claim(rows)


def test_the_page_holds_every_unit_that_was_measured(tmp_path: Path) -> None:
    text = tables.write_page(load(), tmp_path / "page.md")
    assert "<!--" not in text
    for row in load():
        assert f"| {row['name']} | " in text
