"""Whether an equilibrium model with pair couplings explains samples."""
