"""Grids of the whole way from patterns to dreaming rates: planned, computed, kept in a store, read as a map."""
