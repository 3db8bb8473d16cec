"""FINN's matrix-vector unit in place of ours where it is asked for, or why that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.stages import Allocation, FinnUnits
from hw_targets.cost.instances import planned_instances
from hw_targets.cost.layer import matrix_kernel
from hw_targets.errors import LiftFlowError, UnsupportedError
from hw_targets.finn_adapter import matrix_name
from hw_targets.network import NetworkShape
from hw_targets.rtl.finn_mvu import NO_DEPTHWISE, FinnMvu, obstacle
from hw_targets.rtl.kernel import Instance, Kernel
from hw_targets.rtl.mvu import Mvu

OPTION = "generate-rtl.finn"


def check_names(layers: Sequence[str], network: NetworkShape) -> None:
    """Raise LiftFlowError unless the network has layers of these names that may be FINN's."""
    kinds = {layer.name: layer for layer in network.layers}
    for name in layers:
        if name not in kinds:
            raise LiftFlowError(
                f"the network has no layer {name!r}",
                where=OPTION,
                mend=f"its layers are {', '.join(kinds)}",
            )
        if kinds[name].depthwise:
            raise _refused(name, NO_DEPTHWISE)


def check_planned(finn: FinnUnits, network: NetworkShape, allocation: Allocation) -> None:
    """Raise UnsupportedError for the first layer whose allocated unit FINN's RTL cannot replace."""
    kernels = _planned(network, allocation) if finn.layers else {}
    for name in finn.layers:
        if reason := obstacle(kernels[name], finn.cell):
            raise _refused(name, reason)


def with_finn(instances: Sequence[Instance], finn: FinnUnits) -> tuple[Instance, ...]:
    """The design's units, FINN's for those layers.

    Raises:
        UnsupportedError: FINN's RTL has no such unit.
    """
    wanted = {matrix_name(name): name for name in finn.layers}
    return tuple(
        _replaced(each, wanted[each.name], finn.cell) if each.name in wanted else each
        for each in instances
    )


def _replaced(instance: Instance, layer: str, cell: str) -> Instance:
    kernel = instance.kernel
    if reason := obstacle(kernel, cell):
        raise _refused(layer, reason)
    assert isinstance(kernel, Mvu)
    return replace(instance, kernel=FinnMvu.of(kernel, instance.arrays["weights"], cell))


def _refused(layer: str, reason: str) -> UnsupportedError:
    return UnsupportedError(f"{layer}: {reason}", where=OPTION, mend="leave this layer out there")


def _planned(network: NetworkShape, allocation: Allocation) -> Mapping[str, Kernel]:
    """Layer -> its matrix-vector or depthwise unit as allocated."""
    choices = allocation.layers
    if not network.chain:
        units = planned_instances(network, choices, allocation.interval)
        named = {unit.name: unit.kernel for unit in units}
        return {name: named[matrix_name(name)] for name in choices}
    found: dict[str, Kernel] = {}
    bits, signed = network.input_bits, network.input_signed
    for layer in network.layers:
        own = choices[layer.name]
        form = (own.weight_bits, own.pe, own.simd, bits, signed, own.arithmetic, own.memory)
        found[layer.name] = matrix_kernel(layer, *form)
        bits, signed = own.act_bits, False
    return found
