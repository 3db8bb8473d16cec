"""Every example through the whole pipeline, to bit-exact simulation of its RTL."""
