"""Retrieval: overlaps, stability, basins of attraction, capacity, lifetimes, and controls of equal noise."""

from simulate.retrieval.curves import capacity, lifetimes
from simulate.retrieval.equal_noise import equilibrium_counterpart
from simulate.retrieval.measures import basins, fixed_points, overlaps, relax, stability
from simulate.retrieval.recognition import recognition

__all__ = [
    "basins",
    "capacity",
    "equilibrium_counterpart",
    "fixed_points",
    "lifetimes",
    "overlaps",
    "recognition",
    "relax",
    "stability",
]
