"""A user's module, traced with torch.fx, as a list of plain operations and problems."""

from __future__ import annotations

import copy
import dataclasses
import math
import operator
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from hw_targets.network import INPUT
from passes._lower_ends import end_in_dense
from passes._lower_modules import Refusal, clipped, form_of, repeated, spread
from passes._lower_names import (
    ADAPTIVE,
    ADD,
    AVG_POOL,
    AVG_POOL_1D,
    CLAMP,
    CONCAT,
    DROPOUT,
    DROPPED,
    HARDTANH,
    INTERPOLATE,
    KEPT,
    LOG_SOFTMAX,
    MAX_POOL,
    MEAN,
    RELU,
    RELU6,
    RESHAPE,
    SAME,
    SOFTMAX,
    ZERO_PADS,
    mend_for,
)
from passes._lower_pads import fold_pads, sides_of
from passes._modules import Add, Clip, Concat, Pad, Shortcut, Unsqueeze, Upsample

# Any batch no layer is likely to have as a size: tells a flatten from a fixed-size view.
_PROBE_BATCH = 3


@dataclass(frozen=True)
class Problem:
    """Why one layer cannot be compiled, and what to put there instead."""

    layer: str
    kind: str
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.layer} ({self.kind}): {self.reason}, {self.mend}"


@dataclass(frozen=True)
class Op:
    """One operation. inputs: names of operations, or `INPUT`; shapes are without the batch."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]


@dataclass
class Lowered:
    """ops in order of execution; problems of operations that have none.

    copies: layers that are others' second use.
    """

    ops: list[Op] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)

    @property
    def plain(self) -> bool:
        """Are all operations known, and of the kinds that a chain of layers is made of?"""
        return not self.problems and not any(isinstance(op.module, _JOINED) for op in self.ops)


_JOINED = (
    Add,
    Concat,
    Shortcut,
    Pad,
    Upsample,
    Unsqueeze,
    Clip,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
"""Modules of networks that are no chain of layers."""


def lower(module: nn.Module, input_shape: tuple[int, ...]) -> Lowered:
    """Traces a copy of `module` in eval mode; `input_shape` is without the batch."""
    module = copy.deepcopy(module).cpu().eval()
    if fx.Tracer().is_leaf_module(module, ""):
        # A torch.nn module on its own would be traced into; inside another one it is a step.
        module = nn.Sequential(OrderedDict(layer=module))
    try:
        traced = fx.symbolic_trace(module)
        # What the output does not depend on, as an auxiliary head, is no part of the network.
        traced.graph.eliminate_dead_code()
        traced.recompile()
    except Exception as error:
        text = " ".join(str(error).split())[:120]
        return _failed(module, f"cannot be traced ({text})", "let forward not branch on data")
    try:
        _Probe(traced).run(torch.zeros(_PROBE_BATCH, *input_shape))
    except Exception as error:
        text = " ".join(str(error).split("\n\n")[0].split())[:120]
        return _failed(module, f"cannot run a batch of any size ({text})", "flatten with (N, -1)")
    return _Lowering(traced, input_shape).run()


class _Probe(fx.Interpreter):
    """Runs a graph and notes of every tensor its shape and type, in `node.meta`.

    torch's own ShapeProp does so too, but importing it takes seconds.
    """

    def run_node(self, n: fx.Node) -> Any:
        with torch.no_grad():
            result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            n.meta["shape"], n.meta["dtype"] = tuple(result.shape), result.dtype
        return result


def _failed(module: nn.Module, reason: str, mend: str) -> Lowered:
    return Lowered(problems=[Problem("forward", type(module).__name__, reason, mend)])


class _Lowering:
    """One walk over a traced graph."""

    def __init__(self, traced: fx.GraphModule, input_shape: tuple[int, ...]) -> None:
        self.traced = traced
        self.input_shape = tuple(input_shape)
        self.result = Lowered()
        self.values: dict[fx.Node, str] = {}
        self.used: set[int] = set()
        self.taken = {_identifier(name, type(m)) for name, m in traced.named_modules() if name}
        self.given: set[str] = {INPUT}

    def run(self) -> Lowered:
        for node in self.traced.graph.nodes:
            if node.op == "placeholder" and not self.values:
                self.values[node] = INPUT
            elif node.op == "placeholder" and node.users:
                self.refuse(node, "a second input", "give the network one input")
            elif node.op == "output" and not isinstance(node.args[0], fx.Node):
                self.refuse(node, "more than one output", "return the class scores only")
            elif node.op in ("call_module", "call_function", "call_method") and _is_tensor(node):
                self.step(node)
                if node not in self.values:  # left out or refused: it gives what it takes
                    self.values[node] = self.inputs(node)[0] if node.all_input_nodes else INPUT
        padded = fold_pads(self._spread_input(self.result.ops), self.name)
        self.result.ops = end_in_dense(padded)
        return self.result

    def _spread_input(self, ops: list[Op]) -> list[Op]:
        """Of signals, (channels, length), images before anything but a flatten takes them."""
        takers = [op for op in ops if INPUT in op.inputs and not isinstance(op.module, nn.Flatten)]
        if len(self.input_shape) != 2 or not takers:
            return ops
        name = self.name("unsqueeze", count=True)
        first = Op(name, Unsqueeze(), (INPUT,), self.input_shape, spread(self.input_shape))
        moved = (
            dataclasses.replace(op, inputs=tuple(name if s == INPUT else s for s in op.inputs))
            for op in ops
        )
        return [first, *moved]

    def inputs(self, node: fx.Node) -> tuple[str, ...]:
        """Names of what `node` takes, in its order, twice where it takes one thing twice."""
        taken: list[fx.Node] = []
        fx.map_arg((node.args, node.kwargs), taken.append)
        found = [self.values.get(n, INPUT) for n in taken if _is_tensor(n) and n.op != "get_attr"]
        return tuple(found) or (INPUT,)

    def step(self, node: fx.Node) -> None:
        sources = [arg for arg in node.all_input_nodes if _is_tensor(arg)]
        if any(source.op == "get_attr" for source in sources):
            self.refuse(node, "arithmetic with a parameter has no kernel")
        elif node.op != "call_module" and node.target in ADD | CONCAT:
            self.join(node)
        elif len(sources) > 1 and not isinstance(self.module_of(node), Add | Concat):
            self.refuse(node, "nothing but add and cat joins branches")
        elif node.op == "call_module":
            self.call_module(node)
        else:
            self.call_function(node)

    def module_of(self, node: fx.Node) -> nn.Module | None:
        return self.traced.get_submodule(str(node.target)) if node.op == "call_module" else None

    def join(self, node: fx.Node) -> None:
        inputs = self.inputs(node)
        if node.target in CONCAT:
            if _argument(node, 1, "dim", 0) not in (1, 1 - len(node.meta["shape"])):
                self.refuse(node, "it is not along the channels", "use dim=1")
            else:
                self.add(node, Concat(), self.name("concat", count=True))
        elif len(inputs) != 2 or node.kwargs.get("alpha", 1) != 1:
            self.refuse(node, "arithmetic has no kernel", "scale the data instead")
        elif len({_shape(source) for source in node.all_input_nodes}) > 1:
            self.refuse(node, "its branches differ in shape", "bring both to one shape")
        else:
            self.add(node, Add(), self.name("add", count=True))

    def call_module(self, node: fx.Node) -> None:
        target = str(node.target)
        module = self.traced.get_submodule(target)
        kind = type(module)
        if kind in DROPPED:
            return
        again = id(module) in self.used and next(module.parameters(), None) is not None
        form = form_of(module, _shape(node.all_input_nodes[0]), _shape(node))
        if form is not None:
            self.used.add(id(module))
            self.settle(node, form, self.name(_identifier(target, kind)))
            self.note(node, again)
            return
        if kind in (nn.Flatten, nn.Unflatten):
            self.flatten(node, target)
        elif isinstance(module, ZERO_PADS):
            self.pad(node, module.padding, module.value, _identifier(target, kind))
        elif kind in KEPT:
            if id(module) in self.used:
                module = copy.deepcopy(module)
            self.used.add(id(module))
            if isinstance(module, nn.ReLU):
                module.inplace = False
            self.add(node, module, self.name(_identifier(target, kind)))
            self.note(node, again)
        else:
            self.refuse(node, "it has no kernel")

    def note(self, node: fx.Node, again: bool) -> None:
        if again and node in self.values:
            self.result.copies.append(self.values[node])

    def call_function(self, node: fx.Node) -> None:
        target = node.target
        if target in RELU:
            self.add(node, nn.ReLU(), self.name("relu", count=True))
        elif target in RELU6:
            self.put(node, nn.ReLU6(), "relu6")
        elif target in HARDTANH:
            limits = _argument(node, 1, "min_val", -1.0), _argument(node, 2, "max_val", 1.0)
            self.put(node, nn.Hardtanh(*limits), "hardtanh")
        elif target in CLAMP:
            self.clamp(node)
        elif target in INTERPOLATE:
            mode = _argument(node, 3, "mode", "nearest")
            shapes = _shape(node.all_input_nodes[0]), _shape(node)
            self.settle(node, repeated(mode, *shapes), self.name("upsample", count=True))
        elif target in MAX_POOL:
            self.max_pool(node)
        elif target in AVG_POOL:
            self.avg_pool(node)
        elif target in AVG_POOL_1D:
            self.avg_pool_1d(node)
        elif target in ADAPTIVE:
            name = "maxpool" if "max" in type(ADAPTIVE[target]).__name__.lower() else "avgpool"
            self.put(node, ADAPTIVE[target], name)
        elif target in MEAN:
            self.mean(node)
        elif target is operator.getitem:
            self.skip_pixels(node)
        elif target is F.pad:
            self.pad_function(node)
        elif target in RESHAPE:
            self.flatten(node, None)
        elif target in DROPOUT:
            # A module traced in eval mode has put False here if it passes self.training.
            if _argument(node, 2, "training" if target is not torch.dropout else "train", True):
                self.refuse(node, "it is always active", "pass training=self.training")
        elif target in SOFTMAX | LOG_SOFTMAX:
            dim = _argument(node, 1, "dim", None)
            made = nn.Softmax if target in SOFTMAX else nn.LogSoftmax
            self.add(node, made(dim=1 if dim is None else dim), self.name("softmax", count=True))
        elif target not in SAME or node.meta["dtype"] != torch.float32:
            self.refuse(node, "it has no kernel")

    def max_pool(self, node: fx.Node) -> None:
        kernel = _argument(node, 1, "kernel_size", None)
        stride = _argument(node, 2, "stride", None)
        settings = {
            name: _argument(node, at, name, default)
            for at, name, default in (
                (3, "padding", 0),
                (4, "dilation", 1),
                (5, "ceil_mode", False),
            )
        }
        if any(isinstance(value, fx.Node) for value in (kernel, stride, *settings.values())):
            self.refuse(node, "its size depends on the data")
            return
        module = MAX_POOL[node.target](kernel, stride or kernel, **settings)
        self.put(node, module, "maxpool")

    def avg_pool(self, node: fx.Node) -> None:
        kernel = _argument(node, 1, "kernel_size", None)
        stride = _argument(node, 2, "stride", None)
        rest = [
            _argument(node, at, name, default)
            for at, name, default in (
                (3, "padding", 0),
                (4, "ceil_mode", False),
                (5, "count_include_pad", True),
                (6, "divisor_override", None),
            )
        ]
        if any(isinstance(value, fx.Node) for value in (kernel, stride, *rest)):
            self.refuse(node, "its size depends on the data")
            return
        module = nn.AvgPool2d(kernel, stride or kernel, *rest)
        self.add(node, module, self.name("avgpool", count=True))

    def avg_pool_1d(self, node: fx.Node) -> None:
        kernel = _argument(node, 1, "kernel_size", None)
        stride = _argument(node, 2, "stride", None)
        padding = _argument(node, 3, "padding", 0)
        rest = _argument(node, 4, "ceil_mode", False), _argument(node, 5, "count_include_pad", True)
        if any(isinstance(value, fx.Node) for value in (kernel, stride, padding)):
            self.refuse(node, "its size depends on the data")
        else:
            self.put(node, nn.AvgPool1d(kernel, stride or kernel, padding, *rest), "avgpool")

    def clamp(self, node: fx.Node) -> None:
        limits = _argument(node, 1, "min", None), _argument(node, 2, "max", None)
        if any(isinstance(value, fx.Node) for value in limits):
            self.refuse(node, "its limits depend on the data")
        else:
            self.settle(node, clipped(*limits), self.name("clamp", count=True))

    def put(self, node: fx.Node, module: nn.Module, name: str) -> None:
        """Adds a function as the module that does the same, under a counted `name`."""
        form = form_of(module, _shape(node.all_input_nodes[0]), _shape(node))
        self.settle(node, module if form is None else form, self.name(name, count=True))

    def settle(self, node: fx.Node, form: nn.Module | Refusal, name: str) -> None:
        if isinstance(form, Refusal):
            self.refuse(node, form.reason, form.mend)
        elif not isinstance(form, nn.Identity):
            self.add(node, form, name)

    def mean(self, node: fx.Node) -> None:
        before, after = _shape(node.all_input_nodes[0]), _shape(node)
        axes = _argument(node, 1, "dim", None)
        axes = (axes,) if isinstance(axes, int) else axes
        if len(before) not in (2, 3) or not isinstance(axes, tuple | list):
            over: list[int] = []
        else:
            over = sorted(axis % (len(before) + 1) for axis in axes)
        if over != list(range(2, len(before) + 1)) or not over:
            self.refuse(node, "it is not over all pixels", "use dim=(2, 3)")
            return
        self.global_pool_of(node, spread(before))
        if len(after) == 1:
            source = self.values[node]
            name = self.name("flatten", count=True)
            self.result.ops.append(
                Op(name, nn.Flatten(), (source,), (before[0], 1, 1), (before[0],))
            )
            self.values[node] = name

    def global_pool_of(self, node: fx.Node, before: tuple[int, ...]) -> None:
        name = self.name("avgpool", count=True)
        op = Op(name, nn.AdaptiveAvgPool2d(1), self.inputs(node), before, (before[0], 1, 1))
        self.result.ops.append(op)
        self.values[node] = name

    def skip_pixels(self, node: fx.Node) -> None:
        """x[:, :, ::s, ::s]"""
        index = node.args[1]
        parts = list(index) if isinstance(index, tuple) else [index]
        parts += [slice(None)] * (4 - len(parts))
        steps = [part.step or 1 for part in parts if isinstance(part, slice)]
        plain = all(isinstance(p, slice) and p.start in (None, 0) and p.stop is None for p in parts)
        if not plain or len(steps) != 4 or steps[:2] != [1, 1] or steps[2] != steps[3]:
            self.refuse(node, "it takes part of a tensor", "use x[:, :, ::s, ::s] or Conv2d")
        elif steps[2] > 1:
            self.add(node, Shortcut(steps[2]), self.name("skip", count=True))

    def pad_function(self, node: fx.Node) -> None:
        mode = _argument(node, 2, "mode", "constant")
        if mode != "constant":
            self.refuse(node, f"padding with {mode} has no kernel", "pad with zeros")
        else:
            self.pad(node, _argument(node, 1, "pad", ()), _argument(node, 3, "value", None), "")

    def pad(self, node: fx.Node, given: Any, value: float | None, name: str) -> None:
        """given: as `F.pad` takes it, the last axis first. name: "" for a function's."""
        name = self.name(name or "pad", count=not name)
        sizes = list(given)
        if any(isinstance(size, fx.Node) for size in sizes):
            self.refuse(node, "its size depends on the data")
            return
        if value not in (None, 0):
            self.refuse(node, f"padding with {value} has no kernel", "pad with zeros")
            return
        rank = len(_shape(node))
        pixels, rest = sides_of(sizes, rank), sizes[2 * (rank - 1) :]
        if min(sizes) < 0:
            self.refuse(node, "it cuts off pixels", "pad by no less than 0")
        elif rank == 1 or any(rest[2:]) or (any(rest) and any(pixels)):
            self.refuse(node, "it pads more than pixels or channels", "pad one after another")
        elif any(rest):
            self.add(node, Shortcut(1, rest[0], rest[1]), name)
        elif any(pixels):
            self.add(node, Pad(*pixels), name)

    def flatten(self, node: fx.Node, target: str | None) -> None:
        before, after = _shape(node.all_input_nodes[0]), _shape(node)
        if spread(after) == spread(before):
            return
        if after != (math.prod(before),):
            added = node.target in (torch.unsqueeze, "unsqueeze")
            mend = None if added else "flatten to (N, -1)"
            self.refuse(node, f"{before} to {after} is no flatten", mend)
            return
        name = _identifier(target, nn.Flatten) if target else ""
        self.add(node, nn.Flatten(), self.name(name or "flatten", count=not name))

    def add(self, node: fx.Node, module: nn.Module, name: str) -> None:
        before, after = spread(_shape(node.all_input_nodes[0])), spread(_shape(node))
        self.result.ops.append(Op(name, module, self.inputs(node), before, after))
        self.values[node] = name

    def refuse(self, node: fx.Node, reason: str, mend: str | None = None) -> None:
        if node.op == "call_module":
            layer = str(node.target)
            kind = type(self.traced.get_submodule(layer)).__name__
        else:
            layer, kind = node.name, getattr(node.target, "__name__", str(node.target))
        self.result.problems.append(Problem(layer, kind, reason, mend or mend_for(kind)))

    def name(self, wish: str, *, count: bool = False) -> str:
        """`wish` if it is free, else with the first free number; always numbered if `count`."""
        candidate, number = wish, 0
        while (
            candidate in self.given
            or (number and candidate in self.taken)
            or (count and not number)
        ):
            number += 1
            candidate = f"{wish}_{number}"
        self.given.add(candidate)
        return candidate


def _identifier(target: str, kind: type[nn.Module]) -> str:
    """`features.0` as `features_0`; `0`, as Sequential has it, as `conv2d_0`."""
    name = target.replace(".", "_")
    return name if name.isidentifier() else f"{kind.__name__.lower()}_{name}"


def _is_tensor(node: fx.Node) -> bool:
    return node.op == "get_attr" or "shape" in node.meta


def _shape(node: fx.Node) -> tuple[int, ...]:
    """Without the batch; the whole shape, which nothing matches, where the batch is not first."""
    shape: tuple[int, ...] = node.meta["shape"]
    return shape[1:] if shape[:1] == (_PROBE_BATCH,) else shape


def _argument(node: fx.Node, at: int, name: str, default: Any) -> Any:
    if len(node.args) > at:
        return node.args[at]
    return node.kwargs.get(name, default)
