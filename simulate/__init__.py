"""Models of driven spins and their samples."""
