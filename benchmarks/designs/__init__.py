"""The cost model against whole networks: resources by Yosys, cycles by Verilator."""
