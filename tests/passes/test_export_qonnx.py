"""export_qonnx: the file computes what Brevitas computes, and its bytes are stable."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from quant_case import context
from quant_chain import CASES, chain

from hw_targets.errors import VerificationError
from passes import _brevitas_exact as exact
from passes import _qonnx as qonnx
from passes.export_qonnx import ExportQonnx


@pytest.mark.parametrize("name", CASES)
def test_both_claims_hold(name: str) -> None:
    found = chain(name)
    assert [check.passed for check in found.checks["export"]] == [True, True]
    np.testing.assert_array_equal(
        found.exported.predictions, exact.classes(found.quantized.module, found.data.test_x)
    )


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    found = chain("odd")
    module = copy.deepcopy(found.quantized.module)
    qonnx.export(module, found.quantized.input_shape, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == found.exported.path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.onnx"]


def test_exporting_leaves_the_network_as_it_was() -> None:
    module = chain("odd").quantized.module
    assert not any("export_handler" in each._modules for each in module.modules())


def test_batches_give_what_single_samples_give() -> None:
    found = chain("odd")
    samples = exact.on_grid(found.data.test_x[:3], found.quantized.input).astype(np.float64)
    together = qonnx.execute(found.exported.path, samples)
    apart = np.concatenate([qonnx.execute(found.exported.path, s[None]) for s in samples])
    np.testing.assert_allclose(together, apart, rtol=1e-12)


def test_a_file_that_computes_something_else_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chain("one_layer")
    whole = qonnx.execute

    def wrong(path: Path, samples: np.ndarray, **options: bool) -> np.ndarray:
        logits = whole(path, samples, **options)
        logits[7:8] += exact.logit_step(found.quantized.module)
        return logits

    monkeypatch.setattr(qonnx, "execute", wrong)
    with pytest.raises(VerificationError, match="QONNX's logits equal Brevitas's"):
        ExportQonnx().run(found.quantized, context(tmp_path, found.data))
