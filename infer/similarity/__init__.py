"""How close inferred couplings are to Hebbian, dreamed and unlearned ones."""
