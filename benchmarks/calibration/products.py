"""Synthesise the product of every pair of widths alone: what most of an accelerator is made of.

    python -m benchmarks.calibration.products ecp5 [--workers 2]

A product (`lf_mvu_product`) lies between registers, so that it costs the same wherever it stands;
how the tool maps digits and carries of odd widths is measured here instead of modelled. So is the
multiplier that the tool makes of LUTs where hard ones are asked for, and it finds them too large.
Writes `hw_targets/cost/data/<family>-products.json`.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.calibration.sweep import WORK
from benchmarks.calibration.synthesis import recipe_digest, run_yosys, yosys_version
from hw_targets.cost.basis.products import MOST_BITS, Products, products_file
from hw_targets.families import Family, family_names, load_family
from hw_targets.flows import yosys
from hw_targets.rtl.kernel import RTL_DIR
from hw_targets.rtl.mvu import WEIGHT_BITS, Mvu

Combination = tuple[int, int, bool, bool]
"""Weight bits, activation bits, activation signed, in hard multipliers."""

_PORTS = """module top (
    input wire clk, input wire enable,
    input wire [{weight}:0] weight, input wire [{act}:0] act, output wire [{product}:0] product
);
"""
_SOFT = """    lf_mvu_product #(
        .WEIGHT_BITS({weight_bits}), .ACT_BITS({act_bits}), .ACT_SIGNED({signed})
    ) unit (.*);
endmodule
"""
# As in lf_mvu.
_HARD = """    wire signed [{act_bits}:0] wide = {{{signed} && act[{act}], act}};
    (* use_dsp = "yes" *) reg signed [{product}:0] result;
    always @(posedge clk) if (enable) result <= $signed(weight) * wide;
    assign product = result;
endmodule
"""


def combinations(family: Family) -> list[Combination]:
    """Every product in LUTs that a matrix-vector unit can have."""
    widths = itertools.product(WEIGHT_BITS, range(1, MOST_BITS + 1), (False, True), (False, True))
    least = family.multiplier.least_product
    return [each for each in widths if not each[3] or each[0] + each[1] < least]


def measure(combination: Combination, family: Family) -> dict[str, float]:
    """Resources of one product."""
    weight_bits, act_bits, signed, hard = combination
    folder = WORK / f"{family.name}-products" / "-".join(map(str, map(int, combination)))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(RTL_DIR / Mvu.source, folder / Mvu.source)
    text = (_PORTS + (_HARD if hard else _SOFT)).format(
        weight=weight_bits - 1,
        act=act_bits - 1,
        product=weight_bits + act_bits - 1,
        weight_bits=weight_bits,
        act_bits=act_bits,
        signed=int(signed),
    )
    (folder / "top.sv").write_text(text)
    run_yosys(yosys.script("top", ["top.sv", Mvu.source], family, netlist=False), folder)
    return yosys.resources(folder / yosys.STATISTICS, family)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("family", choices=family_names())
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    family = load_family(options.family)
    todo = combinations(family)
    with ThreadPoolExecutor(options.workers) as pool:
        found = list(pool.map(lambda each: measure(each, family), todo))
    rows = [
        (*combination, each["lut"], each["ff"], each["dsp"])
        for combination, each in zip(todo, found, strict=True)
    ]
    products = Products(
        family=family.name, tool=yosys_version(), source=recipe_digest(Mvu, family), rows=rows
    )
    path: Path = products_file(family.name)
    lines = ",\n".join(f"  {row}" for row in products.model_dump(mode="json")["rows"])
    head = f'"family": "{products.family}",\n "tool": "{products.tool}",\n'
    text = f'{{\n {head} "source": "{products.source}",\n "rows": [\n{lines}\n ]\n}}\n'
    path.write_text(text.replace("True", "true").replace("False", "false"))
    print(f"{path}: {len(rows)} products")


if __name__ == "__main__":
    main()
