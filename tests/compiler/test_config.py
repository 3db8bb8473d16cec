"""Configuration: what is wrong is said in one line that names file, field and mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.config import Goals, check_options, load_config
from compiler.pass_text import parse_settings
from hw_targets.errors import LiftFlowError

GOOD = """
name = "net"
[model]
factory = "model.py:Net"
[data]
source = "x.npz"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "net.toml"
    path.write_text(text)
    return path


def test_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.board == "ulx3s-85f"
    assert config.goals == Goals()
    assert config.base == tmp_path
    assert config.model.weights is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not valid TOML"),
        (GOOD.replace('name = "net"', ""), "field name is missing"),
        (GOOD.replace('"net"', '"a b"'), "field name = 'a b'"),
        (GOOD + "bits = 8\n", "unknown field data.bits; the fields here are source, input_bits"),
        (GOOD + "input_bits = 99\n", "field data.input_bits = 99"),
        (GOOD + "[goals]\nshare = 1.5\n", "field goals.share = 1.5"),
        (GOOD + "[passes.polish]\n", "no such pass 'polish'; use one of prepare, attribute"),
        (GOOD + "[passes.prune-filters]\nmac = 0.5\n", "has no option 'mac'; it has macs"),
        (GOOD + "[passes.prune-filters]\nmacs = 'half'\n", "its type is float"),
    ],
)
def test_refusals(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(LiftFlowError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(LiftFlowError, match="none.toml: no such file"):
        load_config(tmp_path / "none.toml")


def test_options_are_converted() -> None:
    assert check_options("prune-filters", {"macs": 1}, where="x") == {"macs": 1.0}


def test_settings_from_the_command_line() -> None:
    assert parse_settings(["retrain.epochs=3", "attribute.target=margin", "a.b=[1, 2]"]) == {
        "retrain": {"epochs": 3},
        "attribute": {"target": "margin"},
        "a": {"b": [1, 2]},
    }
    with pytest.raises(LiftFlowError, match=r"write PASS\.OPTION=VALUE"):
        parse_settings(["retrain"])
