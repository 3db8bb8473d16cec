"""Netlists simulated fast: every net a machine word, whose bits are boards side by side.

A netlist of single bits runs no faster on a computer of 64 bits than on one of one bit, unless that
many boards run at once. Here they do, in step, each with samples of its own.
"""
