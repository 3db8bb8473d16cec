"""Our matrix-vector units beside those of FINN's RTL library, through the same synthesis."""
