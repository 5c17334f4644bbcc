"""Protocol of a check of the diagnosis, Holm's correction for several checks, and the format of their numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from infer.model import PairModel
from infer.samples import Samples
from infer.wording import decimals


class Check(Protocol):
    """A check of a model against samples: a class whose `run` returns an instance with the result.

    ``name`` is its name in `Diagnosis.missed`. ``p_value`` is the chance of a deviation as large if the model were
    right, ``effect`` the size of the deviation in plain words, ``verdict`` a sentence.
    """

    name: ClassVar[str]

    @property
    def p_value(self) -> float:
        """Chance of a deviation as large if the model were right."""
        ...

    @property
    def effect(self) -> str:
        """Size of the deviation, in plain words."""
        ...

    @property
    def verdict(self) -> str:
        """One sentence."""
        ...

    @classmethod
    def run(cls, model: PairModel, samples: Samples, seed: np.random.SeedSequence) -> Self | None:
        """Check a model against samples; None where the check does not apply."""
        ...


def holm(p_values: list[float], false_alarms: float) -> NDArray[np.bool_]:
    """True for null hypotheses that are not rejected by Holm's step-down procedure (1979, Scand. J. Statist. 6, 65)."""
    order = np.argsort(p_values, kind="stable")
    stands = np.ones(len(p_values), dtype=bool)
    for place, k in enumerate(order):
        if p_values[k] > false_alarms / (len(p_values) - place):
            break
        stands[k] = False
    return stands


def percent(share: float) -> str:
    """A share as a percentage with two significant digits, of it or of what is missing to 1; at least one decimal."""
    value = 100.0 * share
    if value == 0.0 or 100.0 - value < 1e-6:
        return f"{value:.0f} %"
    if value < 9.95:
        return f"{value:#.2g} %"
    return f"{value:.{max(1, decimals(100.0 - value))}f} %"


def nats(value: float, std: float | None = None) -> str:
    """A number of nats per row, with as many digits as its standard error justifies."""
    if std is None or not math.isfinite(std) or std <= 0:
        return f"{value:.2g}"
    digits = min(decimals(std), 6)
    return f"{value:.{digits}f} +- {std:.{digits}f}"


def spin_name(samples: Any, spin: int) -> str:
    """Name of a spin, or its number where it has no name; of units that are called by numbers "spin 24"."""
    name = str(spin) if samples.names is None else str(samples.names[spin])
    return f"spin {name}" if name.isdecimal() else name
