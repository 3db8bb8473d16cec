"""Modules and functions of PyTorch by what they become, and what to use instead of others."""

from __future__ import annotations

import operator
import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from passes._modules import Add, Concat, Shortcut

_LAYERS = "Conv, Linear, BatchNorm, ReLU, MaxPool, AvgPool, Flatten and Dropout"
_MENDS: dict[str, str] = {
    "convtranspose|unpool|shuffle": "end the network before it, or use Upsample and Conv2d",
    "conv3d|pool3d": "use Conv2d",
    "conv1d|conv2d|linear|batch_norm": "use the torch.nn module instead of the function",
    "avgpool|avg_pool|^mean$": "use AvgPool2d or AdaptiveAvgPool2d(1), then Flatten",
    "maxpool|max_pool": "use MaxPool2d with kernel equal to stride",
    "relu|gelu|silu|swish|sigmoid|tanh|elu|softplus|mish|clamp|clip|hard": "use ReLU or ReLU6",
    "permute|transpose|movedim": "bring samples to (channels, ...) in the data set",
    "unsqueeze": "give samples of (channels, length) or (channels, height, width)",
    "layernorm|groupnorm|instancenorm|_norm": "use BatchNorm after the convolution and retrain",
    "^(i?add|cat|concat|stack|i?sub|i?mul)$": "use add or cat of two branches",
    "pad": "pad with zeros",
    "softmax": "use it only at the end",
    "lstm|gru|rnn|attention|transformer|embedding|matmul|bmm": f"use {_LAYERS}",
}

RELU: set[Any] = {F.relu, torch.relu, torch.relu_, F.relu_, "relu", "relu_"}
RELU6: set[Any] = {F.relu6}
HARDTANH: set[Any] = {F.hardtanh, F.hardtanh_}
CLAMP: set[Any] = {torch.clamp, torch.clip, torch.clamp_, torch.clip_, "clamp", "clip", "clamp_"}
MAX_POOL: dict[Any, type[nn.MaxPool1d] | type[nn.MaxPool2d]] = {
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    F.max_pool1d: nn.MaxPool1d,
    torch.max_pool1d: nn.MaxPool1d,
}
RESHAPE: set[Any] = {
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unsqueeze,
    "flatten",
    "view",
    "reshape",
    "squeeze",
    "unsqueeze",
}
DROPOUT: set[Any] = {F.dropout, F.dropout2d, F.alpha_dropout, torch.dropout}
SAME: set[Any] = {"contiguous", "clone", "detach", "float", "to", torch.clone}
SOFTMAX: set[Any] = {F.softmax, torch.softmax, "softmax"}
LOG_SOFTMAX: set[Any] = {F.log_softmax, torch.log_softmax, "log_softmax"}
ADD: set[Any] = {operator.add, operator.iadd, torch.add, "add", "add_"}
CONCAT: set[Any] = {torch.cat, torch.concat, torch.concatenate}
MEAN: set[Any] = {torch.mean, "mean"}
AVG_POOL: set[Any] = {F.avg_pool2d}
AVG_POOL_1D: set[Any] = {F.avg_pool1d}
ADAPTIVE: dict[Any, nn.Module] = {
    F.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d(1),
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d(1),
    F.adaptive_max_pool1d: nn.AdaptiveMaxPool1d(1),
    F.adaptive_max_pool2d: nn.AdaptiveMaxPool2d(1),
}
INTERPOLATE: set[Any] = {F.interpolate}

ZERO_PADS = (nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d)
KEPT = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.Softmax,
    nn.LogSoftmax,
    Add,
    Concat,
    Shortcut,
)
DROPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.Identity)


def mend_for(kind: str) -> str:
    """What to use instead of a module or function called `kind`."""
    found = (mend for pattern, mend in _MENDS.items() if re.search(pattern, kind, re.IGNORECASE))
    return next(found, f"use {_LAYERS}")
