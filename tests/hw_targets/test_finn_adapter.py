"""The adapter: leaves no trace, names and orders kernels, writes a build FINN accepts."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from quant_chain import CASES, chain

from compiler.stages import DataflowModel
from hw_targets import finn_adapter
from hw_targets.boards import board_names, load_board
from hw_targets.errors import LiftFlowError, MissingToolError
from hw_targets.finn_adapter import session
from hw_targets.rtl.design import Design
from hw_targets.rtl.kernel import Instance
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.requant import Requant

PART = "xc7z020clg400-1"


def kernels_of(model: DataflowModel) -> tuple[Instance, ...]:
    return finn_adapter.instances(model.path, model.network, model.allocation.layers)


def test_importing_the_adapter_imports_no_finn() -> None:
    code = (
        "import sys, hw_targets.finn_adapter;"
        "print([m for m in ('finn', 'qonnx', 'torch', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"


def test_a_session_leaves_everything_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    level = logging.getLogger("finn_logger").level
    with session.finn_session(tmp_path):
        import finn.util.settings as settings
        import finn.xsi as xsi

        assert settings.get_settings().finn_build_dir == tmp_path / "finn_build"
        os.environ["LEFT_BEHIND"] = "1"
        print("chatter")
    assert dict(os.environ) == before
    assert logging.getLogger("finn_logger").level == level
    assert settings._SETTINGS is None
    assert "SimEngine" not in vars(xsi)
    assert capsys.readouterr().out == ""


def test_an_absent_finn_is_said_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(MissingToolError, match="pip install finn-plus"),
        session.finn_session(tmp_path),
    ):
        pass


def test_kernels_fit_together_and_are_named_after_layers() -> None:
    found = chain("odd")
    instances = kernels_of(found.folded)
    assert [instance.name for instance in instances] == [
        *("body_first_pad", "body_first_window", "body_first_mvu", "body_first_threshold"),
        *("second_pad", "second_window", "second_mvu", "second_threshold", "second_pool"),
        *("third_pad", "third_window", "third_mvu", "third_threshold"),
        *("fourth_mvu", "fourth_threshold"),
        *("last_mvu", "last_bias", "label"),
    ]
    design = Design("odd", instances)
    assert design.input.elements == 3 * 9 * 7
    assert design.output.elements == 1


def test_folding_and_widths_reach_the_kernels() -> None:
    found = chain("odd_eight_bits")
    units = {i.name: i for i in kernels_of(found.folded)}
    mvu, quantizer = units["second_mvu"].kernel, units["second_threshold"].kernel
    assert isinstance(mvu, Mvu)
    assert isinstance(quantizer, Requant)  # of 255 thresholds
    assert (mvu.pe, mvu.simd, mvu.weight_bits, mvu.act_bits) == (37, 13, 8, 8)
    assert mvu.cycles == found.folded.allocation.layers["second"].cycles
    assert quantizer.in_bits == mvu.acc_bits
    assert units["second_mvu"].arrays["weights"].shape == (37, 117)


def test_columns_are_ky_kx_channel() -> None:
    from passes import _brevitas_exact as exact

    found = chain("odd")
    units = {i.name: i for i in kernels_of(found.folded)}
    weight = exact.integer_weights(found.quantized.module, "third")
    np.testing.assert_array_equal(
        units["third_mvu"].arrays["weights"], weight.transpose(0, 2, 3, 1).reshape(5, -1)
    )
    flat = exact.integer_weights(found.quantized.module, "fourth").reshape(11, 5, 4, 3)
    np.testing.assert_array_equal(
        units["fourth_mvu"].arrays["weights"], flat.transpose(0, 2, 3, 1).reshape(11, -1)
    )


def test_a_kernel_that_computes_something_else_is_named() -> None:
    found = chain("odd")
    instances = list(kernels_of(found.folded))
    frames = found.folded.input.encode(found.data.test_x[:2])
    place = next(i for i, each in enumerate(instances) if each.name == "fourth_mvu")
    good = instances[place]
    weights = good.arrays["weights"][:, ::-1].copy()
    instances[place] = type(good)(good.name, good.kernel, {"weights": weights})
    wrong = finn_adapter.disagreements(found.folded.path, tuple(instances), frames)
    assert wrong[0] == "fourth_mvu"


def test_execution_gives_the_predicted_classes() -> None:
    found = chain("strided")
    frames = found.folded.input.encode(found.data.test_x[:6])
    given = finn_adapter.execute(found.folded.path, frames)
    np.testing.assert_array_equal(given, found.folded.predictions[:6])


def test_estimates_say_nothing_where_finn_knows_nothing() -> None:
    found = chain("odd")
    figures = finn_adapter.estimates(found.folded.path, PART)
    assert set(figures) == set(found.folded.folding) - {"Defaults"}
    for layer, choice in found.folded.allocation.layers.items():
        assert figures[finn_adapter.matrix_name(layer)]["cycles"] == choice.cycles, layer
    assert "LUT" not in figures["second_mvu"]
    assert figures["second_threshold"]["LUT"] > 0


def test_the_build_configuration_runs_up_to_the_vendors_tools(tmp_path: Path) -> None:
    found = chain("odd")
    shutil.copy(found.folded.path, tmp_path / "dataflow.onnx")
    folding = finn_adapter.vendor_folding(found.folded.path, dict(found.folded.folding), PART)
    (tmp_path / "folding.json").write_text(json.dumps(folding))
    config = finn_adapter.build_config(
        part=PART, clock_mhz=100.0, board="Pynq-Z2", shell="vivado_zynq"
    )
    here = Path.cwd()
    kinds = finn_adapter.rehearse(tmp_path, config)
    assert Path.cwd() == here
    assert kinds.count("MVAU_rtl") == 5
    assert kinds.count("Thresholding_rtl") == 4
    report = json.loads((tmp_path / "finn_output/report/estimate_layer_cycles.json").read_text())
    assert report["MVAU_rtl_1"] == found.folded.allocation.layers["second"].cycles
    assert json.loads(config)["synth_clk_period_ns"] == 10.0


def test_without_a_board_the_build_ends_at_the_stitched_ip() -> None:
    config = json.loads(finn_adapter.build_config(part=PART, clock_mhz=50.0))
    assert config["steps"][-1] == "step_create_stitched_ip"
    assert "bitfile" not in config["generate_outputs"]


VENDOR_BOARDS = [name for name in board_names() if load_board(name).flow == "vivado"]


@pytest.mark.parametrize("name", VENDOR_BOARDS)
def test_finns_loader_takes_the_configuration_of_every_board(name: str, tmp_path: Path) -> None:
    """And finds in it the part, the driver and the Vitis platform that the board needs."""
    board = load_board(name)
    config = finn_adapter.build_config(
        part=board.part,
        clock_mhz=board.clock.default_mhz,
        board=board.finn_board,
        shell=board.finn_shell,
    )
    with session.finn_session(tmp_path):
        from finn.builder.build_dataflow_config import DataflowBuildConfig

        loaded = DataflowBuildConfig.from_json(config)
        assert loaded._resolve_fpga_part() == board.part
        assert loaded.synth_clk_period_ns == 1000 / board.clock.default_mhz
        if board.finn_shell:
            drivers = {"vivado_zynq": "zynq-iodma", "vitis_alveo": "alveo"}
            assert loaded._resolve_driver_platform() == drivers[board.finn_shell]
        if board.finn_shell == "vitis_alveo":
            assert loaded._resolve_vitis_platform().startswith("xilinx_")


def test_an_unknown_board_is_refused() -> None:
    with pytest.raises(LiftFlowError, match="FINN has no board Basys"):
        finn_adapter.build_config(part=PART, clock_mhz=50.0, board="Basys")


def test_frames_stream_pixel_by_pixel() -> None:
    frames = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    given = finn_adapter.channels_last(frames)
    assert given[0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert CASES["odd"].network.input_shape == (3, 9, 7)
