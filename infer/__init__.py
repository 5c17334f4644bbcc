"""Equilibrium couplings from samples, and how similar they are to dreamed ones."""
