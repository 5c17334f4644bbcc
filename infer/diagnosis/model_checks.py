"""Checks of the means and correlations of a pair model, and of its third moments, number of +1 and energy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from infer.diagnosis.check import nats, percent, spin_name
from infer.diagnosis.draws import Draws, draw
from infer.diagnosis.residuals import Residuals, Statistics, choose_statistics, group_p_value, residuals, scores
from infer.model import PairModel
from infer.samples import Samples
from infer.statistics.batches import batch_labels
from infer.statistics.moments import choose_triples
from infer.types import FloatArray
from infer.wording import join, p_text

#: Third moments that are compared; a random choice where there are more.
N_TRIPLES = 2_000
#: Root mean square distance of means and correlations, in standard errors, up to which a fit is accepted.
ACCEPTED_RMS_Z = 1.0
#: Largest ``z^2 / sqrt(n)`` of the energy of a fit of more couplings than rows, z its distance from the rows in
#: standard errors: about the error, in standard errors, of taking shares of energies to be linear in the mean energy.
ACCEPTED_BEND = 5.0


class SampledModel(PairModel):
    """A pair model with draws of its own, made once for all checks."""

    @property
    def _kept(self) -> dict[str, Any]:
        """Results kept from earlier calls."""
        return self.__dict__.setdefault("_results", {})

    def compare(
        self,
        samples: Samples,
        seed: np.random.SeedSequence,
        n_jobs: int | None = 1,
        n_triples: int = N_TRIPLES,
    ) -> Comparison:
        """Compute the statistics of the samples and of draws from the model.

        Draws are made at the first call; later calls with the same samples return the same comparison, whatever their
        seed, so that all checks refer to the same draws.
        """
        kept = self._kept
        if kept.get("samples") is not samples:
            kept.update(samples=samples, found=compare_with_draws(self, samples, seed, n_jobs, n_triples))
        found: Comparison = kept["found"]
        return found


@dataclass(frozen=True, eq=False)
class Comparison:
    """Statistics of samples and of draws of a model; constant spins are left out of both.

    ``varying`` are the indices of the spins that are compared, ``model`` the model of these given the others.
    """

    varying: np.ndarray
    model: PairModel
    draws: Draws
    statistics: Statistics
    residuals: Residuals
    n_samples: float

    def group(self, name: str) -> slice:
        """Columns of the statistics of a group."""
        start = 0
        for each, size in self.statistics.sizes.items():
            if each == name:
                return slice(start, start + size)
            start += size
        raise KeyError(name)


def compare_with_draws(
    model: PairModel, samples: Samples, seed: np.random.SeedSequence, n_jobs: int | None, n_triples: int
) -> Comparison:
    """Draw from the model, and compute all statistics of draws and samples."""
    draw_seed, triple_seed, replicate_seed = seed.spawn(3)
    spins = samples.spins
    varying = np.flatnonzero(spins.min(axis=0) != spins.max(axis=0))
    constant = np.setdiff1d(np.arange(samples.n_spins), varying)
    fixed = spins[0, constant].astype(np.float64)
    reduced = PairModel(
        model.couplings[np.ix_(varying, varying)],
        model.fields[varying] + model.couplings[np.ix_(varying, constant)] @ fixed,
    )
    rows = np.ascontiguousarray(spins[:, varying]) if len(constant) else spins
    weight = samples.weight
    means = rows.mean(axis=0, dtype=np.float64) if weight is None else weight @ rows / weight.sum()
    n_rows = max(2, round(samples.n_samples))
    draws = draw(reduced, n_rows, rows, means, draw_seed, n_jobs)
    statistics = choose_statistics(reduced, draws, choose_triples(len(varying), n_triples, triple_seed))
    batches = batch_labels(len(rows), samples.chains) if samples.ordered and weight is None else None
    found = residuals(statistics, draws, rows, weight, batches, replicate_seed)
    return Comparison(varying, reduced, draws, statistics, found, samples.n_samples)


@dataclass(frozen=True, eq=False, repr=False)
class ModelCheck:
    """A group of statistics of samples against draws of the model.

    Attributes
    ----------
    p_value : float
        p-value of the smaller of the two below, by its distribution in draws of the model.
    p_values : dict of float
        "all together" (sum of squares) and "largest" (largest deviation).
    rms_z, max_z : float
        Root mean square and largest deviation in standard errors.
    nats : float
        Estimated gain of a model with a term for the deviation, in nats per row: the relative entropy of the observed
        and the predicted distribution less its bias; for third moments that of the largest deviation only.
    effect : str
        The largest deviation in plain words.
    """

    p_value: float
    p_values: dict[str, float]
    rms_z: float
    max_z: float
    nats: float
    effect: str
    name: ClassVar[str] = ""

    def __repr__(self) -> str:
        """The verdict."""
        return f"{type(self).__name__}({self.verdict!r})"

    @property
    def verdict(self) -> str:
        """One sentence."""
        return f"{self.name[0].upper()}{self.name[1:]}: {p_text(self.p_value)}; largest deviation: {self.effect}."

    @classmethod
    def run(cls, model: PairModel, samples: Samples, seed: np.random.SeedSequence) -> Self | None:
        """Check a model against samples; None where there is nothing to compare."""
        sampled = model if isinstance(model, SampledModel) else SampledModel(model.couplings, model.fields)
        found = sampled.compare(samples, seed)
        group = found.group(cls.name)
        if group.stop == group.start:
            return None
        z, null = scores(found.residuals, group, found.n_samples)
        several, p_value = group_p_value(z, null)
        largest = int(np.argmax(np.abs(z)))
        return cls(
            p_value=p_value,
            p_values=several,
            rms_z=float(np.sqrt(np.mean(z**2))),
            max_z=float(np.abs(z).max()),
            nats=cls._gain(found, group, z),
            effect=cls._effect(found, samples, group, largest),
        )

    @classmethod
    def _gain(cls, found: Comparison, group: slice, z: FloatArray) -> float:
        """Relative entropy of observed and predicted shares, less its bias."""
        seen, expected = found.residuals.seen[group], np.maximum(found.residuals.expected[group], 1e-12)
        expected = expected / expected.sum()
        inside = seen > 0
        entropy = float(np.sum(seen[inside] * np.log(seen[inside] / expected[inside])))
        return max(0.0, entropy - (len(seen) - 1) / (2.0 * found.n_samples))

    @classmethod
    def _effect(cls, found: Comparison, samples: Samples, group: slice, k: int) -> str:
        """The k-th statistic in plain words."""
        raise NotImplementedError(f"{cls.__name__} does not say how large its deviation is: write _effect()")

    @classmethod
    def _shares(cls, found: Comparison, group: slice, k: int) -> str:
        """Observed and predicted share."""
        predicted = max(0.0, float(found.residuals.expected[group][k]))
        return f"{percent(float(found.residuals.seen[group][k]))} of the rows, {percent(predicted)} in the model"


class ThirdMoments(ModelCheck):
    """Coincidences of three spins beyond what their means and pairs give."""

    name = "third moments"

    @classmethod
    def _gain(cls, found: Comparison, group: slice, z: FloatArray) -> float:
        return max(0.0, (float(np.max(z**2)) - 1.0) / (2.0 * found.n_samples))

    @classmethod
    def _effect(cls, found: Comparison, samples: Samples, group: slice, k: int) -> str:
        triple = found.statistics.triples[k]
        rare = found.statistics.rare[triple]
        names = join([spin_name(samples, int(found.varying[spin])) for spin in triple])
        if np.all(rare == rare[0]):
            states = f"all {'+1' if rare[0] > 0 else '-1'}"
        else:
            states = join([f"{state:+d}" for state in rare])
        return f"{names} are {states} in {cls._shares(found, group, k)}"


class NumberOfUp(ModelCheck):
    """Distribution of the number of spins that are +1."""

    name = "number of +1"

    @classmethod
    def _effect(cls, found: Comparison, samples: Samples, group: slice, k: int) -> str:
        inside = np.flatnonzero(found.statistics.count_bins == k)
        # constant spins that are +1 are counted
        constant = np.setdiff1d(np.arange(samples.n_spins), found.varying)
        low, high = (int(end) + int((samples.spins[0, constant] > 0).sum()) for end in (inside[0], inside[-1]))
        which = "no spin is" if high == 0 else f"{low} {'spin is' if low == 1 else 'spins are'}"
        which = which if low == high else f"{low} to {high} spins are"
        return f"{which} +1 in {cls._shares(found, group, k)}"


class EnergyDistribution(ModelCheck):
    """Distribution of the energy of the fitted model."""

    name = "energy"

    @classmethod
    def _effect(cls, found: Comparison, samples: Samples, group: slice, k: int) -> str:
        edges = found.statistics.energy_edges
        # to a twentieth of the narrowest bin, so that the share of the rows in it can be counted again
        narrowest = float(np.diff(edges).min()) if len(edges) > 1 else 1.0
        places = int(np.clip(np.ceil(-np.log10(narrowest / 10.0)), 0, 9))
        if k == 0:
            where = f"below {edges[0]:.{places}f}"
        elif k == len(edges):
            where = f"above {edges[-1]:.{places}f}"
        else:
            where = f"between {edges[k - 1]:.{places}f} and {edges[k]:.{places}f}"
        return f"energies {where} in {cls._shares(found, group, k)}"


@dataclass(frozen=True, eq=False, repr=False)
class MeansAndCorrelations(ModelCheck):
    """Means and pair correlations, which the model was fitted to.

    ``collective`` is the largest distance of the rows from the model's draws, in standard errors, in what all pairs do
    together: the energy, and the square of the number of +1. ``shrunk`` says that there are fewer rows than couplings
    and that it is too large for the checks of the model, which rest on a linear regression. Single pairs are then too
    noisy to show what a penalty has taken from all of them.
    """

    name = "means and correlations"
    collective: float = 0.0
    shrunk: bool = False

    @classmethod
    def run(cls, model: PairModel, samples: Samples, seed: np.random.SeedSequence) -> Self | None:
        """Check a model against samples."""
        check = super().run(model, samples, seed)
        if check is None:
            return None
        sampled = model if isinstance(model, SampledModel) else SampledModel(model.couplings, model.fields)
        distance, n = sampled.compare(samples, seed).residuals.collective, samples.n_samples
        few = n < model.n_spins * (model.n_spins - 1) / 2
        shrunk = bool(few and distance**2 > ACCEPTED_BEND * np.sqrt(n))
        return dataclasses.replace(check, collective=distance, shrunk=shrunk)

    @property
    def accepted(self) -> bool:
        """Whether the fit reproduces them well enough to judge the form of the model."""
        return (self.rms_z <= ACCEPTED_RMS_Z or self.p_value > 0.01) and not self.shrunk

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.accepted:
            return f"The model has the means and correlations of the rows, to {self.rms_z:.2g} standard errors."
        if self.shrunk:
            return (
                "There are fewer rows than couplings, and the penalty of the fit takes something from all pairs: what "
                f"pairs do together in the rows lies {_size(self.collective)} standard errors from the model."
            )
        return (
            f"The model does not have the means and correlations of the rows: they are off by {_size(self.rms_z)} "
            f"standard errors (root mean square); {self.effect}."
        )

    @classmethod
    def _gain(cls, found: Comparison, group: slice, z: FloatArray) -> float:
        return max(0.0, float(np.sum(z**2)) / (2.0 * found.n_samples))

    @classmethod
    def _effect(cls, found: Comparison, samples: Samples, group: slice, k: int) -> str:
        spins = found.statistics.moments(k)
        names = join([spin_name(samples, int(found.varying[spin])) for spin in spins])
        states = found.statistics.rare[spins]
        shown = f"{states[0]:+d}" if np.all(states == states[0]) else join([f"{state:+d}" for state in states])
        verb = "is" if len(spins) == 1 else "are both" if np.all(states == states[0]) else "are"
        return f"{names} {verb} {shown} in {cls._shares(found, group, k)}"


#: All checks of the fit and of the model, with what they judge.
CHECKS: dict[type[ModelCheck], str] = {
    MeansAndCorrelations: "fit",
    ThirdMoments: "model",
    NumberOfUp: "model",
    EnergyDistribution: "model",
}


def _size(z: float) -> str:
    """A number of standard errors without an exponent."""
    return f"{z:.2g}" if z < 10 else f"{z:,.0f}"


def gain_text(check: ModelCheck) -> str:
    """Gain of a model with a term for the deviation."""
    return f"{nats(check.nats)} nats per row"
