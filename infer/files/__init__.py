"""Writing files: atomic, NetCDF, JSON."""
