"""Patterns and the couplings that store them."""

from simulate.couplings import (
    PatternCouplings,
    dreaming,
    hebbian,
    lowest_rate,
    pattern_correlation,
    pseudo_inverse,
)
from simulate.memory.boltzmann import boltzmann_learning
from simulate.memory.neighbours import bounded_learning, centred_daydream, high_temperature_unlearn
from simulate.memory.patterns import binarise_images, correlated_patterns, digit_patterns, random_patterns
from simulate.memory.perceptron import perceptron
from simulate.memory.thermal import mean_field_correlations, thermal_unlearn
from simulate.memory.unlearning import daydream, eigenvector_dreaming, unlearn

__all__ = [
    "PatternCouplings",
    "binarise_images",
    "boltzmann_learning",
    "bounded_learning",
    "centred_daydream",
    "correlated_patterns",
    "daydream",
    "digit_patterns",
    "dreaming",
    "eigenvector_dreaming",
    "hebbian",
    "high_temperature_unlearn",
    "lowest_rate",
    "mean_field_correlations",
    "pattern_correlation",
    "perceptron",
    "pseudo_inverse",
    "random_patterns",
    "thermal_unlearn",
    "unlearn",
]
