"""Pricing a network before it is compiled: its shape and bits, its folding, the boards it fits."""
