"""Modules that several passes share, as their `uses` name them."""

QUANT_NETWORK = (
    "passes._brevitas_quantizers",
    "passes._brevitas_structure",
    "passes._brevitas_fused",
    "passes._brevitas_network",
    "passes._brevitas_exact",
    "passes._integer_conv",
    "passes._graph",
    "passes._modules",
    "passes._score",
    "passes._threads",
)
"""What a quantized network is built, run and measured with."""

TRAINING = (
    "passes._augment",
    "passes._distill",
    "passes._distributed",
    "passes._joined_norm",
)
"""What every training shares."""
