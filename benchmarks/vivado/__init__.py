"""The cost of FINN's nodes under Vivado: fitted, and compared with FINN's own estimates."""
