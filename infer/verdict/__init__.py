"""Verdicts on inferred couplings: how close they are to dreamed ones, and whether an equilibrium model fits at all."""
