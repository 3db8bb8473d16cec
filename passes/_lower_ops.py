"""A user's module, traced with torch.fx, as a list of plain `torch.nn` operations and problems."""

from __future__ import annotations

import copy
import math
import operator
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

# Any batch no layer is likely to have as a size: tells a flatten from a fixed-size view.
_PROBE_BATCH = 3


@dataclass(frozen=True)
class Problem:
    """Why one layer has no place in hardware, and what to put there instead."""

    layer: str
    kind: str
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.layer} ({self.kind}): {self.reason}, {self.mend}"


@dataclass(frozen=True)
class Op:
    """One operation of the chain; shapes are without the batch."""

    name: str
    module: nn.Module
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]


@dataclass
class Lowered:
    """ops in order of execution; problems of operations that have none."""

    ops: list[Op] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


_LAYERS = "Conv2d, Linear, BatchNorm, ReLU, MaxPool2d, Flatten and Dropout"
_MENDS: dict[str, str] = {
    "convtranspose|upsample|interpolate|unpool": "end the network before it or use Conv2d",
    "conv1d|conv3d": "use Conv2d",
    "conv2d|linear|batch_norm": "use the torch.nn module instead of the function",
    "avgpool|avg_pool|^mean$": "use MaxPool2d or a strided Conv2d, then Flatten",
    "maxpool|max_pool": "use MaxPool2d with kernel equal to stride",
    "relu|gelu|silu|swish|sigmoid|tanh|elu|softplus|mish|clamp": "use ReLU",
    "layernorm|groupnorm|instancenorm|_norm": "use BatchNorm after the convolution and retrain",
    "^(i?add|cat|concat|stack|i?sub|i?mul)$": "use a chain of layers without branches",
    "softmax": "use it only at the end",
    "lstm|gru|rnn|attention|transformer|embedding|matmul|bmm": f"use {_LAYERS}",
}

_RELU: set[Any] = {F.relu, torch.relu, torch.relu_, F.relu_, "relu", "relu_"}
_MAX_POOL: set[Any] = {F.max_pool2d, torch.max_pool2d}
_RESHAPE: set[Any] = {
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    "flatten",
    "view",
    "reshape",
    "squeeze",
}
_DROPOUT: set[Any] = {F.dropout, F.dropout2d, F.alpha_dropout, torch.dropout}
_SAME: set[Any] = {"contiguous", "clone", "detach", "float", "to", torch.clone}
_SOFTMAX: set[Any] = {F.softmax, torch.softmax, "softmax"}
_LOG_SOFTMAX: set[Any] = {F.log_softmax, torch.log_softmax, "log_softmax"}
_JOIN: set[Any] = {operator.add, operator.iadd, torch.add, "add", "add_", torch.cat, torch.concat}

_KEPT = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.MaxPool2d,
    nn.Softmax,
    nn.LogSoftmax,
)
_DROPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.Identity)


def lower(module: nn.Module, input_shape: tuple[int, ...]) -> Lowered:
    """Traces a copy of `module` in eval mode; `input_shape` is without the batch."""
    module = copy.deepcopy(module).cpu().eval()
    if fx.Tracer().is_leaf_module(module, ""):
        # A torch.nn module on its own would be traced into; inside another one it is a step.
        module = nn.Sequential(OrderedDict(layer=module))
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:
        text = " ".join(str(error).split())[:120]
        return _failed(module, f"cannot be traced ({text})", "let forward not branch on data")
    try:
        ShapeProp(traced).propagate(torch.zeros(_PROBE_BATCH, *input_shape))  # type: ignore[no-untyped-call]
    except Exception as error:
        text = " ".join(str(error).split("\n\n")[0].split())[:120]
        return _failed(module, f"cannot run a batch of any size ({text})", "flatten with (N, -1)")
    return _Lowering(traced).run()


def _failed(module: nn.Module, reason: str, mend: str) -> Lowered:
    return Lowered(problems=[Problem("forward", type(module).__name__, reason, mend)])


class _Lowering:
    """One walk over a traced graph."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self.traced = traced
        self.result = Lowered()
        self.value: fx.Node | None = None
        self.used: set[int] = set()
        self.forked = False
        self.taken = {_identifier(name, type(m)) for name, m in traced.named_modules() if name}
        self.given: set[str] = set()

    def run(self) -> Lowered:
        for node in self.traced.graph.nodes:
            if node.op == "placeholder" and self.value is None:
                self.value = node
            elif node.op == "placeholder" and node.users:
                self.refuse(node, "a second input", "give the network one input")
            elif node.op == "output" and not isinstance(node.args[0], fx.Node):
                self.refuse(node, "more than one output", "return the class scores only")
            elif node.op in ("call_module", "call_function", "call_method") and _is_tensor(node):
                self.step(node)
                self.value = node
        return self.result

    def step(self, node: fx.Node) -> None:
        sources = [arg for arg in node.all_input_nodes if _is_tensor(arg)]
        joins = len(sources) > 1 or (node.target in _JOIN and node.op != "call_module")
        if joins:
            if any(source.op == "get_attr" for source in sources):
                self.refuse(node, "arithmetic with a parameter has no kernel")
            elif len(sources) > 1:
                self.refuse(node, "no kernel joins branches")
            else:
                self.refuse(node, "arithmetic has no kernel", "scale the data instead")
            return
        if sources != [self.value] and not self.forked:
            # One report a network: a residual block would else be named at each of its ends.
            self.forked = True
            self.refuse(node, "it does not take the output of the layer before it")
        if node.op == "call_module":
            self.call_module(node)
        else:
            self.call_function(node)

    def call_module(self, node: fx.Node) -> None:
        target = str(node.target)
        module = self.traced.get_submodule(target)
        kind = type(module)
        if kind in _DROPPED:
            return
        if kind in (nn.Flatten, nn.Unflatten):
            self.flatten(node, target)
        elif kind in _KEPT:
            if id(module) in self.used:
                module = copy.deepcopy(module)
            self.used.add(id(module))
            if isinstance(module, nn.ReLU):
                module.inplace = False
            self.add(node, module, self.name(_identifier(target, kind)))
        else:
            self.refuse(node, "it has no kernel")

    def call_function(self, node: fx.Node) -> None:
        target = node.target
        if target in _RELU:
            self.add(node, nn.ReLU(), self.name("relu", count=True))
        elif target in _MAX_POOL:
            self.max_pool(node)
        elif target in _RESHAPE:
            self.flatten(node, None)
        elif target in _DROPOUT:
            # A module traced in eval mode has put False here if it passes self.training.
            if _argument(node, 2, "training" if target is not torch.dropout else "train", True):
                self.refuse(node, "it is always active", "pass training=self.training")
        elif target in _SOFTMAX | _LOG_SOFTMAX:
            dim = _argument(node, 1, "dim", None)
            made = nn.Softmax if target in _SOFTMAX else nn.LogSoftmax
            self.add(node, made(dim=1 if dim is None else dim), self.name("softmax", count=True))
        elif target not in _SAME or node.meta["tensor_meta"].dtype != torch.float32:
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
        module = nn.MaxPool2d(kernel, stride or kernel, **settings)
        self.add(node, module, self.name("maxpool", count=True))

    def flatten(self, node: fx.Node, target: str | None) -> None:
        before, after = _shape(node.all_input_nodes[0]), _shape(node)
        if after == before:
            return
        if after != (math.prod(before),):
            self.refuse(node, f"{before} to {after} is no flatten", "flatten to (N, -1)")
            return
        name = _identifier(target, nn.Flatten) if target else ""
        self.add(node, nn.Flatten(), self.name(name or "flatten", count=not name))

    def add(self, node: fx.Node, module: nn.Module, name: str) -> None:
        before, after = _shape(node.all_input_nodes[0]), _shape(node)
        self.result.ops.append(Op(name, module, before, after))

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


def mend_for(kind: str) -> str:
    """What to use instead of a module or function called `kind`."""
    found = (mend for pattern, mend in _MENDS.items() if re.search(pattern, kind, re.IGNORECASE))
    return next(found, f"use {_LAYERS}")


def _identifier(target: str, kind: type[nn.Module]) -> str:
    """`features.0` as `features_0`; `0`, as Sequential has it, as `conv2d_0`."""
    name = target.replace(".", "_")
    return name if name.isidentifier() else f"{kind.__name__.lower()}_{name}"


def _is_tensor(node: fx.Node) -> bool:
    return node.op == "get_attr" or hasattr(node.meta.get("tensor_meta"), "shape")


def _shape(node: fx.Node) -> tuple[int, ...]:
    """Without the batch; the whole shape, which nothing matches, where the batch is not first."""
    shape = tuple(node.meta["tensor_meta"].shape)
    return shape[1:] if shape[0] == _PROBE_BATCH else shape


def _argument(node: fx.Node, at: int, name: str, default: Any) -> Any:
    if len(node.args) > at:
        return node.args[at]
    return node.kwargs.get(name, default)
