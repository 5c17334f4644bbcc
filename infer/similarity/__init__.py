"""Similarity of inferred couplings to Hebbian, dreamed and unlearned ones."""
