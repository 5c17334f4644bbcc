"""Energy landscapes of fitted models: minima, basins, saddles, visits of samples, thermodynamics."""
