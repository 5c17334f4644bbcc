"""Checks of an equilibrium model with pair couplings against samples."""
