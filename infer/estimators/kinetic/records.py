"""Record of the simulation in the attributes of samples, and checks of the update that it fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infer.samples import Samples
from simulate.user_warnings import warn

LONGEST_INTERVAL = 0.1  # sweeps; couplings are too small by about this share


@dataclass(frozen=True)
class Records:
    """Dynamics, updates and intervals of simulated rows, from their attributes; None where they are not given."""

    dynamics: str | None
    update: str | None
    spacing: float | None  # units of time between rows: sweeps, or parallel updates

    @classmethod
    def of(cls, samples: Samples) -> Records:
        """Read the attributes of samples."""
        found = samples.attributes
        spacing = found.get("interval", found.get("thin"))
        dynamics = found.get("dynamics")
        update = found.get("update")
        if dynamics is not None and update is None:
            update = "sequential"
        return cls(dynamics, update, None if spacing is None else float(spacing))

    def check_parallel(self) -> None:
        """Warn where a kinetic Ising model did not make a parallel update from each row to the next."""
        if self.dynamics != "KineticIsing":
            return
        if self.update == "sequential":
            why = "spins were updated one after the other; record simulate.trajectory(dynamics, ...) and pass "
            why += "update='sequential'"
        elif self.spacing not in (None, 1.0):
            why = f"rows are {self.spacing:g} updates apart; sample with thin=1"
        else:
            return
        text = f"the couplings predict the next row and are not those of the dynamics: {why}"
        warn(text, UserWarning, stacklevel=5)

    def interval_of_single_updates(self, given: float | None, n_spins: int) -> float:
        """Time between rows in sweeps, checked."""
        if self.update == "parallel":
            raise ValueError("these rows come from parallel updates: pass update='parallel'")
        remedy = "record single updates with simulate.trajectory(dynamics, duration=..., interval=0.05)"
        interval = self.spacing if self.spacing is not None else given
        if interval is None:
            raise ValueError(f"interval, the time between rows in sweeps, is not known: pass interval=..., or {remedy}")
        if given is not None and not np.isclose(given, interval, rtol=1e-6):
            raise ValueError(
                f"interval={given:g}, but these rows were recorded {interval:g} sweeps apart: leave it out"
            )
        longest = max(LONGEST_INTERVAL, 1.0 / n_spins)  # at most one single update is exact
        if interval > longest * (1.0 + 1e-9):
            raise ValueError(
                f"rows are {interval:g} of a sweep apart, and spins change more than once (couplings would be "
                f"far too small): the interval must be at most {longest:g}; {remedy}, or, for what one row says about "
                "the next, pass update='parallel'"
            )
        return float(interval)
