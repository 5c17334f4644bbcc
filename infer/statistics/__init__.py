"""Statistics of samples that remember each other: batches, moments, error bars."""
