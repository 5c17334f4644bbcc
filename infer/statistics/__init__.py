"""Statistics of autocorrelated samples: batches, moments, error bars."""
