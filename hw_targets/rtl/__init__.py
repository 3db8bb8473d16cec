"""Our SystemVerilog kernels: one `.sv` and one `.py` each, the Python side with an exact model."""
