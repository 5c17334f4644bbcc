"""Statistics of correlated samples: batches, moments, error bars."""
