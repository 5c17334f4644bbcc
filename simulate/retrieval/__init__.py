"""What couplings remember: overlaps, stability, basins of attraction and capacity."""

from simulate.retrieval.measures import basins, capacity, overlaps, relax, stability

__all__ = ["basins", "capacity", "overlaps", "relax", "stability"]
