"""Synthesise products and maxima of every width alone: what most of an accelerator is made of.

    python -m benchmarks.calibration.products ecp5 [--workers 2]

A product (`lf_product`) lies between registers, so that it costs the same wherever it stands;
how the tool maps digits and carries of odd widths is measured here instead of modelled. So is the
multiplier that the tool makes of LUTs where hard ones are asked for, and it finds them too large,
and the running maximum of a lane of pooling (`lf_maxpool_fold`), whose comparison is in LUTs,
wide multiplexers or carries as the width may be.
Writes `hw_targets/cost/data/<family>-products.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.calibration.sweep import WORK
from benchmarks.calibration.synthesis import (
    recipe_digest,
    resources,
    sources_digest,
    yosys_version,
)
from hw_targets.cost.basis.products import MOST_BITS, Products, products_file
from hw_targets.cost.basis.terms import lut_ram
from hw_targets.families import Family, family_names, load_family
from hw_targets.rtl.kernel import RTL_DIR
from hw_targets.rtl.maxpool import MaxPool
from hw_targets.rtl.mvu import PRODUCT, WEIGHT_BITS

Combination = tuple[int, int, bool, bool]
"""Weight bits, activation bits, activation signed, in hard multipliers."""

_PORTS = """module top (
    input wire clk, input wire enable,
    input wire [{weight}:0] weight, input wire [{act}:0] act, output wire [{product}:0] product
);
"""
_SOFT = """    lf_product #(
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

_MAXIMA = """module top (
    input wire clk, input wire rst, input wire enable, input wire valid, input wire first,
    input wire [{top}:0] value, output wire [{top}:0] maximum
);
    lf_maxpool_fold #(.DEPTH({depth}), .PE({lanes}), .BITS({bits})) unit (.*);
endmodule
"""
LANES = (4, 12)
"""Lanes of two units of maxima: what they have in common cancels out."""


def combinations(family: Family) -> list[Combination]:
    """Every product in LUTs that a unit can have; weights of 1 bit are signs, and have none."""
    weight_bits = [bits for bits in WEIGHT_BITS if bits > 1]
    widths = itertools.product(weight_bits, range(1, MOST_BITS + 1), (False, True), (False, True))
    least = family.multiplier.least_product
    return [each for each in widths if not each[3] or each[0] + each[1] < least]


def measure(combination: Combination, family: Family) -> dict[str, float]:
    """Resources of one product."""
    weight_bits, act_bits, signed, hard = combination
    text = (_PORTS + (_HARD if hard else _SOFT)).format(
        weight=weight_bits - 1,
        act=act_bits - 1,
        product=weight_bits + act_bits - 1,
        weight_bits=weight_bits,
        act_bits=act_bits,
        signed=int(signed),
    )
    return _synthesise(text, PRODUCT, "-".join(map(str, map(int, combination))), family)


def measure_maximum(bits: int, depth: int, family: Family) -> float:
    """LUTs of one lane's running maximum, without the memory of `depth` words that keeps it."""

    def luts(lanes: int) -> float:
        text = _MAXIMA.format(top=lanes * bits - 1, lanes=lanes, bits=bits, depth=depth)
        name = f"maximum-{bits}-{lanes}-{depth}"
        found = _synthesise(text, MaxPool.source, name, family)["lut"]
        return found - (float(lut_ram(depth, lanes * bits, family)) if depth > 1 else 0.0)

    few, many = LANES
    return (luts(many) - luts(few)) / (many - few)


def _synthesise(text: str, source: str, name: str, family: Family) -> dict[str, float]:
    """Resources of the module `top` in `text`, which is made of modules in one of our sources."""
    folder = WORK / f"{family.name}-products" / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(RTL_DIR / source, folder / source)
    (folder / "top.sv").write_text(text)
    return resources("top", ["top.sv", source], family, folder)


def as_text(products: Products) -> str:
    """JSON with a row a line."""
    listed = products.model_dump(mode="json")
    rows = ",\n".join(f"  {json.dumps(row)}" for row in listed.pop("rows"))
    head = ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in listed.items())
    return f'{{\n {head},\n "rows": [\n{rows}\n ]\n}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("family", choices=family_names())
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    family = load_family(options.family)
    todo = combinations(family)
    widths = range(1, MOST_BITS + 1)
    with ThreadPoolExecutor(options.workers) as pool:
        found = list(pool.map(lambda each: measure(each, family), todo))
        maxima = [
            tuple(pool.map(lambda bits, deep=depth: measure_maximum(bits, deep, family), widths))
            for depth in (1, 2)
        ]
    rows = [
        (*combination, each["lut"], each["ff"], each["dsp"])
        for combination, each in zip(todo, found, strict=True)
    ]
    products = Products(
        family=family.name,
        tool=yosys_version(),
        source=sources_digest([PRODUCT], family),
        rows=rows,
        maxima_source=recipe_digest(MaxPool, family),
        maxima=maxima,
    )
    path: Path = products_file(family.name)
    path.write_text(as_text(products))
    print(f"{path}: {len(rows)} products")


if __name__ == "__main__":
    main()
