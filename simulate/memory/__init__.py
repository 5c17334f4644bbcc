"""Patterns and the couplings that store them."""

from simulate.memory.couplings import (
    PatternCouplings,
    dreaming,
    hebbian,
    lowest_rate,
    pattern_correlation,
    pseudo_inverse,
)
from simulate.memory.patterns import binarise_images, correlated_patterns, digit_patterns, random_patterns
from simulate.memory.unlearning import daydream, unlearn

__all__ = [
    "PatternCouplings",
    "binarise_images",
    "correlated_patterns",
    "daydream",
    "digit_patterns",
    "dreaming",
    "hebbian",
    "lowest_rate",
    "pattern_correlation",
    "pseudo_inverse",
    "random_patterns",
    "unlearn",
]
