"""The `liftflow` commands, one file a group; `compiler.cli` puts them together."""
