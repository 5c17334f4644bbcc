"""Parameter sweeps from patterns to dreaming rates: planning, computation, storage, and results as tables and maps."""
