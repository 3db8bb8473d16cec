"""Everything that knows hardware: boards, families, cost, RTL kernels, shells and tool flows.

Imports neither `compiler` nor `passes`, and torch and FINN only inside the code that needs them.
"""
