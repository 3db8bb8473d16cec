"""The RTL against its integer models, in simulation and in the synthesis readers."""
