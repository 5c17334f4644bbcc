r"""Maximum likelihood of the dreaming model in the hybrid restricted Boltzmann machine that reproduces it.

Gaussian hidden units :math:`y` couple to the spins by a matrix B with :math:`B^T B = J` off the diagonal; summed out of
:math:`\exp(-|y|^2/2 + y \cdot B s + h \cdot s)` they leave :math:`\exp(\frac12 s^T J s + h \cdot s)`, the diagonal
being a constant as :math:`s_i^2 = 1`. Averages of the model come from persistent chains that alternate between the
layers and are continued when parameters change. In terms of overlaps :math:`m_k` with the modes of the patterns, minus
the energy without self-terms is :math:`\frac A2 \sum_k w_k(\lambda) (m_k^2 - 1) + h \cdot s`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.dreaming.errors import Estimate, Grouping
from infer.estimators.dreaming.likelihood import PatternSamples, PseudoLikelihoodMethod
from infer.estimators.dreaming.modes import PatternModes
from simulate.dynamics.block_gibbs import LayerChains
from simulate.progress_bars import tqdm
from simulate.user_warnings import warn

FloatArray = NDArray[np.float64]

N_CHAINS = 256
SWEEPS = (40, 20_000)  # sweeps before the noise is first estimated, and the most for one average
EVERY = 2  # sweeps between states that are averaged
NOISE = 0.2  # largest noise of the chains, in units of the standard errors from the samples
LARGEST_R_HAT = 1.1
FROZEN = 1e-20  # variances below this count as zero: chains or samples of a single state
CLOSE = 0.3  # standard errors: a step shorter than this is the last one
NODES = 3  # of the Gauss-Legendre rule along the line between two models


def hidden_layer(modes: PatternModes, amplitude: float, rate: float) -> FloatArray:
    """
    Matrix B (n_hidden, N) with B^T B = J off the diagonal, for either sign of the couplings.

    There is one hidden unit for each mode where all strengths A w_k are positive. Negative ones need a multiple of the
    identity, which adds a hidden unit for every direction outside the modes.
    """
    strengths = amplitude * modes.weights(rate)[0]
    lowest = float(strengths.min())
    n_spins = len(modes.vectors)
    if len(strengths) == n_spins:
        return np.asarray(np.sqrt(strengths - lowest)[:, None] * modes.vectors.T)
    if lowest >= 0.0:
        return np.asarray(np.sqrt(strengths)[:, None] * modes.vectors.T)
    root = np.sqrt(-lowest)
    return np.asarray(root * np.eye(n_spins) + (modes.vectors * (np.sqrt(strengths - lowest) - root)) @ modes.vectors.T)


@dataclass(frozen=True, eq=False)
class Point:
    """Parameters of the model."""

    amplitude: float
    rate: float
    fields: FloatArray

    def moved(self, step: FloatArray, bound: float) -> Point:
        """The point after a step (2,) or (2 + N,); the rate's coordinate is the log distance from its bound."""
        distance = self.rate - bound
        rate = bound + distance * float(np.exp(np.clip(step[1] / distance, -1.0, 1.0)))
        fields = self.fields + step[2:] if len(step) > 2 else self.fields
        return Point(self.amplitude + float(step[0]), rate, fields)


@dataclass(eq=False)
class Averages:
    """Running averages of the derivatives t of minus the energy, less those of the samples, over states of chains."""

    n_chains: int
    size: int
    n_modes: int
    count: int = 0
    sums: FloatArray = field(init=False)  # (n_chains, p)
    products: FloatArray = field(init=False)  # (p, p)
    squares: FloatArray = field(init=False)  # (R,)

    def __post_init__(self) -> None:
        self.sums = np.zeros((self.n_chains, self.size))
        self.products = np.zeros((self.size, self.size))
        self.squares = np.zeros(self.n_modes)

    def add(self, values: FloatArray, squares: FloatArray) -> None:
        """Add one state of every chain: t (n_chains, p), squared overlaps (n_modes, n_chains)."""
        self.count += 1
        self.sums += values
        self.products += values.T @ values
        self.squares += squares.mean(axis=1)

    @property
    def mean(self) -> FloatArray:
        """Mean of t (p,)."""
        return np.asarray(self.sums.mean(axis=0) / self.count)

    @property
    def covariance(self) -> FloatArray:
        """Covariance of t over states: the Fisher information (p, p)."""
        mean = self.mean
        return np.asarray(self.products / (self.count * self.n_chains) - np.outer(mean, mean))

    def noise(self, projection: FloatArray) -> FloatArray:
        """Covariance of the mean of t @ projection, from the scatter between the chains, which are independent."""
        means = self.sums @ projection / self.count
        return np.atleast_2d(np.cov(means.T)) / self.n_chains

    @property
    def r_hat(self) -> float:
        """Root of 1 + (variance between chains) / (variance within), the larger of amplitude and rate."""
        between = self.sums[:, :2].std(axis=0, ddof=1) / self.count
        total = np.diag(self.covariance)[:2]
        share = np.divide(between**2, total, out=np.zeros(2), where=total > 0.0)
        return float(np.sqrt(1.0 / (1.0 - min(float(share.max()), 1.0 - 1e-9))))


@dataclass(eq=False)
class Measurement:
    """Slope and curvature of the log-likelihood at a point, with their errors."""

    point: Point
    gradient: FloatArray  # (p,) of the mean log-likelihood
    hessian: FloatArray  # (p, p) of minus it
    projection: FloatArray  # (p, 2) onto amplitude and rate at the best fields
    noise: FloatArray  # (2, 2) covariance of the projected gradient from the chains
    model_mean: FloatArray  # (p,)
    r_hat: float
    errors: FloatArray  # (2,) standard errors of amplitude and rate from the samples; infinite where not free
    enough: bool  # whether the noise of the chains is small enough

    @property
    def profile(self) -> FloatArray:
        """Hessian (2, 2) by amplitude and rate, maximised over the fields."""
        return np.asarray(self.projection.T @ self.hessian @ self.projection)

    def chain_errors(self, free: list[int]) -> FloatArray:
        """Standard errors (2,) of amplitude and rate from the noise of the chains."""
        return _standard_errors(self.profile, self.noise, free, 0.0)

    def newton_step(self, free: list[int]) -> FloatArray:
        """Newton step (p,) over the free ones among (amplitude, rate) and the fields."""
        keep = np.array([*free, *range(2, len(self.gradient))])
        hessian = self.hessian[np.ix_(keep, keep)]
        scale = np.sqrt(np.maximum(np.diag(hessian), FROZEN))
        values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
        values = np.maximum(np.abs(values), 1e-6)
        step = np.zeros(len(self.gradient))
        step[keep] = vectors @ ((vectors.T @ (self.gradient[keep] / scale)) / values) / scale
        return step


def _standard_errors(hessian: FloatArray, spread: FloatArray, free: list[int], held: float) -> FloatArray:
    """Standard errors (2,) from the covariance of the mean score; `held` stands for parameters that are not free."""
    inverse = np.linalg.pinv(hessian[np.ix_(free, free)], hermitian=True)
    errors = np.full(2, held)
    errors[free] = np.sqrt(np.maximum(np.diag(inverse @ spread[np.ix_(free, free)] @ inverse), FROZEN))
    return errors


@dataclass(eq=False)
class HybridMachineMethod:
    """
    The dreaming model by maximum likelihood with persistent block Gibbs chains; a `Method`.

    A step runs the chains at fixed parameters until their noise is below a fifth of the standard errors from the
    samples (or a quarter of the step, while steps are long). It then goes to the maximum of the quadratic with this
    slope and curvature (the Fisher information, from the same states). The last step is the first below 0.3 standard
    errors, where the quadratic is accurate enough.
    """

    samples: PatternSamples
    grouping: Grouping
    fit_fields: bool
    max_iter: int
    seed: int
    progress: bool = False
    tol: float = 1e-8  # of the pseudo-likelihood fit that it starts from

    def __post_init__(self) -> None:
        root = np.random.SeedSequence(self.seed)
        rng = np.random.default_rng(root.spawn(1)[0])
        weight = np.cumsum(self.samples.weight)
        # evenly spaced rows, so that states that chains cannot leave have chains in proportion to their rows
        places = (np.arange(N_CHAINS) + rng.random()) / N_CHAINS * weight[-1]
        rows = np.searchsorted(weight, places).clip(max=len(weight) - 1)
        self._chains = LayerChains(self.samples.spins[rows], root.spawn(N_CHAINS))
        self._vectors = np.ascontiguousarray(self.modes.vectors.T, dtype=np.float32)
        self._data_squares = np.zeros(len(self.modes.eigenvalues))
        for rows, overlaps in self.samples.overlap_chunks():
            self._data_squares += self.samples.weight[rows] @ overlaps**2
        self._data_squares /= weight[-1]
        self._data_spins = self.samples.weight @ self.samples.spins / weight[-1]

    @property
    def modes(self) -> PatternModes:
        """Modes of the patterns."""
        return self.samples.modes

    @property
    def weight(self) -> FloatArray:
        """Weights of the rows."""
        return self.samples.weight

    def derivatives(self, point: Point, squares: FloatArray, spins: NDArray) -> FloatArray:
        """t (n, p) of states with squared overlaps (n, R) and spins (n, N)."""
        weights = self.modes.weights(point.rate)[:2]
        pair = 0.5 * (squares - 1.0) @ (weights * np.array([[1.0], [point.amplitude]])).T
        return np.concatenate([pair, spins], axis=1) if self.fit_fields else pair

    def scores(self, measured: Measurement) -> FloatArray:
        """Gradient (n_rows, 2) of the log-likelihood of every row, fields eliminated."""
        result = np.empty((len(self.samples.spins), 2))
        for rows, overlaps in self.samples.overlap_chunks():
            values = self.derivatives(measured.point, overlaps**2, self.samples.spins[rows])
            result[rows] = (values - measured.model_mean) @ measured.projection
        return result

    def measure(self, point: Point, free: list[int]) -> Measurement:
        """Slope and curvature at a point, from chains run until their noise is small."""
        factor = hidden_layer(self.modes, point.amplitude, point.rate).astype(np.float32)
        external = point.fields.astype(np.float32)
        size = 2 + (len(point.fields) if self.fit_fields else 0)
        averages = Averages(N_CHAINS, size, len(self._data_squares))
        data = self.derivatives(point, self._data_squares[None], self._data_spins[None])[0]
        sweep, spread = 0, None

        def add_sweep(spins: NDArray[np.float32]) -> None:
            nonlocal sweep
            sweep += 1
            if sweep % EVERY == 0:
                squares = np.square(self._vectors @ spins).astype(np.float64)
                averages.add(self.derivatives(point, squares.T, spins.T) - data, squares)

        # the chains adapt to the new parameters before they are averaged
        self._chains.advance(factor, external, SWEEPS[0], lambda spins: None)
        sweeps, before = SWEEPS[0], np.inf
        while True:
            self._chains.advance(factor, external, sweeps, add_sweep)
            hessian = self._curvature(point, averages)
            projection = np.eye(size)[:, :2]
            if self.fit_fields:
                projection[2:] = -np.linalg.solve(hessian[2:, 2:] + 1e-9 * np.eye(size - 2), hessian[2:, :2])
            found = Measurement(
                point=point,
                gradient=-averages.mean,
                hessian=hessian,
                projection=projection,
                noise=averages.noise(projection),
                model_mean=data + averages.mean,
                r_hat=averages.r_hat,
                errors=np.full(2, np.inf),
                enough=True,
            )
            if spread is None:
                spread = self.grouping.mean_covariance(self.scores(found), self.weight).covariance
            # the score by a fixed rate must have as little noise as that by a free one
            both = _standard_errors(found.profile, spread, [0, 1], np.inf)
            loudness = float(np.max(found.chain_errors([0, 1]) / both))
            found.errors = _standard_errors(found.profile, spread, free, np.inf)
            length = float(np.max(np.abs(found.newton_step(free)[:2]) / found.errors))
            allowed = max(NOISE, 0.25 * length if length > 1.0 else 0.0)
            if loudness <= allowed:
                return found
            # twice the sweeps should reduce the noise by 30 %; below 10 %, chains do not leave their states
            if sweep >= SWEEPS[1] or loudness > 0.9 * before:
                found.enough = False
                return found
            wanted = sweep * (1.1 * loudness / allowed) ** 2 - sweep
            sweeps, before = int(np.clip(wanted, sweep, max(SWEEPS[1] - sweep, EVERY))), loudness

    def _curvature(self, point: Point, averages: Averages) -> FloatArray:
        """Minus the second derivatives of the log-likelihood: Fisher information plus a term from the misfit."""
        hessian = averages.covariance
        misfit = self._data_squares - averages.squares / averages.count
        _, slope, bend = self.modes.weights(point.rate)
        hessian[0, 1] -= 0.5 * slope @ misfit
        hessian[1, 0] = hessian[0, 1]
        hessian[1, 1] -= 0.5 * point.amplitude * bend @ misfit
        return hessian

    def fit(self, rate: float | None = None, start: Estimate | None = None) -> Estimate:
        """Maximise over all parameters, or over all but the rate."""
        if start is None:
            rough = PseudoLikelihoodMethod(self.samples, self.fit_fields, self.tol, 100)
            start = rough.fit(rate)
            if not start.converged and rate is None:
                start = rough.fit(rate=0.0)
        point = Point(start.amplitude, start.rate, start.fields)
        free = [0, 1] if rate is None else [0]
        converged, n_iter = False, 0
        with tqdm(total=self.max_iter, disable=not self.progress, desc="hybrid machine", unit="step") as bar:
            while not converged and n_iter < max(self.max_iter, 1):
                n_iter += 1
                found = self.measure(point, free)
                step = found.newton_step(free)
                length = float(np.max(np.abs(step[:2]) / found.errors))
                # steps are limited so that the model's distribution changes little
                reach = float(np.sqrt(max(float(step @ found.hessian @ step), 0.0)))
                step *= min(1.0, 1.0 / max(reach, 1e-300))
                point = point.moved(step, self.modes.lower_bound)
                converged = length <= CLOSE and reach <= 1.0 and bool(np.linalg.eigvalsh(found.profile)[0] > 0.0)
                if self.modes.at_end(point.rate):
                    converged = False
                    break
                bar.update()
                bar.set_postfix(step=f"{length:.2g} standard errors", refresh=False)
        self._warn_of_chains(found)
        # Hessian and scores are those of the last measured point, which is less than a standard error away
        return Estimate(
            theta=np.array([point.amplitude, point.rate]),
            fields=point.fields,
            value=float("nan"),
            hessian=found.profile,
            scores=self.scores(found),
            noise=found.noise,
            n_iter=n_iter,
            converged=converged,
        )

    def gain(self, full: Estimate, restricted: Estimate) -> float:
        """Difference of the mean log-likelihoods: the slope integrated along the line between the two."""
        places, shares = np.polynomial.legendre.leggauss(NODES)
        a, b = (np.array([*e.theta, *(e.fields if self.fit_fields else ())]) for e in (restricted, full))
        total = 0.0
        for place, share in zip(places, shares, strict=True):
            here = a + 0.5 * (1.0 + place) * (b - a)
            point = Point(float(here[0]), float(here[1]), here[2:] if self.fit_fields else full.fields)
            total += 0.5 * share * float(self.measure(point, [0, 1]).gradient @ (b - a))
        return total

    def _warn_of_chains(self, found: Measurement) -> None:
        """Warn where the chains do not mix well enough."""
        if found.r_hat > LARGEST_R_HAT:
            warn(
                f"the chains of the hybrid machine differ from each other (R-hat {found.r_hat:.2f}): they do not leave "
                "the states that they started from, so that the likelihood is not that of all states; "
                "method='pseudolikelihood' needs no chains",
                ConvergenceWarning,
                stacklevel=4,
            )
        elif not found.enough:
            warn(
                f"{SWEEPS[1]} sweeps of {N_CHAINS} chains leave a noise of {found.chain_errors([0, 1])[1]:.2g} in the "
                "rate, which is more than a fifth of what the samples leave; it is part of the standard errors",
                ConvergenceWarning,
                stacklevel=4,
            )
