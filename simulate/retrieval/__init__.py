"""Retrieval: overlaps, stability, basins of attraction and capacity."""

from simulate.retrieval.measures import basins, capacity, fixed_points, overlaps, relax, stability

__all__ = ["basins", "capacity", "fixed_points", "overlaps", "relax", "stability"]
