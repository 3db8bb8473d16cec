"""Our allocator's folding beside FINN's SetFolding on the same networks, at equal resources."""
