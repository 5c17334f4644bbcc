"""Recordings of two-valued units: from files of many formats to rows of spins."""
