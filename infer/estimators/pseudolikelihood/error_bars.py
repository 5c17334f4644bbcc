"""Standard errors of node-wise estimates by the sandwich formula with batch means."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from infer.checks import constant_spins, name_spins, seed_of
from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.columns import VaryingSpins, report_few
from infer.estimators.pseudolikelihood.influence import Influence, batch_influence
from infer.estimators.pseudolikelihood.joint_errors import MOST_JOINT
from infer.model import PairModel
from infer.samples import Samples
from infer.statistics.uncertainty import (
    block_bootstrap_indices,
    laplace_posterior,
    posterior_dataset,
)
from infer.types import FloatArray
from simulate.threads import in_threads, one_blas_thread

#: Largest size of the influences of batches that a fit keeps for replicates, in bytes.
MOST_KEPT = 1 << 29


class ErrorBars(SpinEstimator):
    """Standard errors, posterior and bootstrap of an estimator that fits node by node.

    `_ridge_and_sparsity(n_samples)` gives the strengths of the quadratic and of the absolute part of its penalty.
    """

    couplings_by_node_: NDArray[np.float64]
    symmetrisation: str
    n_jobs: int | None
    _influence: Influence | None = None  # of the batches of the samples of the fit
    fits_blocks = True

    def _ridge_and_sparsity(self, n_samples: float) -> tuple[float, float]:
        raise NotImplementedError(f"{type(self).__name__} does not say how it penalises: write _ridge_and_sparsity()")

    def _keep(self, found: Fit, samples: VaryingSpins) -> None:
        """Set the attributes of a fit: its standard errors as plain arrays, and the influences of its batches."""
        super()._keep(found, samples)
        self.couplings_by_node_, _ = samples.expand(found.couplings, found.fields)
        self._varying, self._influence = samples.varying, None
        if self.errors and self.symmetrisation == "mean":
            if samples.n_varying:
                influence = self._batch_influence(samples)
                self._keep_errors(influence)
                report_few(samples.n_samples, influence.time, stacklevel=4)
            else:  # nothing was estimated
                self._set_errors(*samples.expand_errors(found.couplings, found.fields), np.inf)

    def _keep_errors(self, influence: Influence) -> None:
        """Keep standard errors, and the influences themselves unless they are very large."""
        self._set_errors(*influence.std(), influence.degrees_of_freedom)
        self._influence = influence if influence.couplings.nbytes <= MOST_KEPT else None

    def _batch_influence(self, samples: VaryingSpins) -> Influence:
        """Influences of batches of samples on couplings and fields."""
        ridge, sparsity = self._ridge_and_sparsity(samples.n_samples)
        given = samples.samples
        with one_blas_thread():
            return batch_influence(
                samples.ordered_rows(self.n_jobs),
                self.couplings_by_node_,
                self.fields_,
                given.weight,
                samples.n_samples,
                given.chains,
                samples.varying,
                ridge,
                samples.fit_fields,
                sparsity > 0,
            )

    def _why_no_errors(self) -> str:
        if self.errors and self.symmetrisation == "joint":
            return (
                f"symmetrisation='joint' has standard errors for at most {MOST_JOINT} spins, in memory and without "
                "missing values: use symmetrisation='mean'"
            )
        return super()._why_no_errors()

    @property
    def can_resample(self) -> bool:
        """Whether the fit kept the influences of batches, from which replicates are drawn."""
        return self._influence is not None

    def _influences(self) -> Influence:
        """The influences that the fit kept."""
        check_is_fitted(self, "couplings_")
        if self._influence is not None:
            return self._influence
        if self.errors and self.symmetrisation == "joint":
            raise AttributeError("posterior and bootstrap need symmetrisation='mean', which fits node by node")
        if not hasattr(self, "couplings_std_"):
            raise AttributeError(self._why_no_errors())
        raise AttributeError(
            f"the influences of batches on the couplings of {len(self.couplings_)} spins were too large to keep: fit "
            "fewer spins, or pass refit=X to bootstrap"
        )

    def posterior(
        self, draws: int = 250, random_state: int | np.random.RandomState | None = None, *, chains: int = 4
    ) -> xr.Dataset:
        """Draws from the Gaussian (Laplace) approximation of the posterior of couplings and fields, flat prior.

        Its covariance is the sandwich covariance, which accounts for autocorrelation and chains. Its rank is at most
        the number of batches of samples (100 or less for time-ordered rows, 200 for counts). Each coupling has the
        correct variance, and pairs of couplings have the correct covariance on average; but with more parameters than
        batches, draws vary only in a subspace.

        Parameters
        ----------
        draws : int, default=250
            Draws of each chain.
        random_state : int, RandomState or None
            Seed.
        chains : int, default=4
            Number of independent chains; arviz needs this dimension.

        Returns
        -------
        xarray.Dataset
            "couplings" with dims (chain, draw, pair), one for each pair ``i < j`` of spins that vary, and, if they are
            fitted, "fields" with dims (chain, draw, spin). The coordinate "pair" names the two spins, as in "0-1", in
            the order of `numpy.triu_indices`.

        Raises
        ------
        ValueError
            If standard errors are not finite because samples do not determine the couplings.
        """
        mean, values, coords = self._parameters()
        factor = np.concatenate(list(values.values()), axis=1).astype(np.float64)
        return laplace_posterior(
            mean,
            factor=factor,
            dims={"couplings": ("pair",), "fields": ("spin",)},
            coords=coords,
            draws=draws,
            chains=chains,
            seed=seed_of(random_state),
            attributes={"model": type(self).__name__, "approximation": "Gaussian, sandwich covariance"},
        )

    def bootstrap(
        self,
        draws: int = 50,
        random_state: int | np.random.RandomState | None = None,
        *,
        chains: int = 4,
        refit: Any = None,
    ) -> xr.Dataset:
        """Block bootstrap of couplings and fields, as arviz data.

        By default batches of consecutive samples are drawn with replacement from those of all chains together, so that
        differences between chains are included, as in the standard errors. Each replicate is the fit plus the
        first-order change under this reweighting, which takes little time. With ``refit`` every replicate is a new fit,
        which includes higher orders; blocks are then drawn within each chain, which keeps its length.

        Rows with weights and without chains are independent: Gaussian numbers weight the batches (wild bootstrap), and
        ``refit`` draws the effective number of samples of the rows.

        Parameters
        ----------
        draws : int, default=50
            Number of replicates of each chain.
        random_state : int, RandomState or None
            Seed.
        chains : int, default=4
            Number of chains that the replicates are divided into; arviz needs this dimension.
        refit : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording, optional
            The samples of the fit; every replicate is then a new fit to a resampling of them.

        Returns
        -------
        xarray.Dataset
            As from `posterior`.

        Raises
        ------
        ValueError
            If a number of draws or chains is below 1, or ``refit`` meets a replicate in which a spin no longer varies,
            missing values, or the blocks of a Dask array.
        """
        if draws < 1 or chains < 1:
            raise ValueError(f"draws and chains must be at least 1, got draws={draws}, chains={chains}")
        n_replicates, rng = chains * draws, check_random_state(random_state)
        if refit is not None:
            check_is_fitted(self, "couplings_")
            found, coords = self._refits(self._read(refit, reset=False), n_replicates, rng), self._coordinates()
        else:
            mean, values, coords = self._parameters()
            multipliers = self._influences().draw_multipliers(n_replicates, rng)
            found = {name: mean[name] + multipliers @ value.astype(np.float64) for name, value in values.items()}
        dims = {"couplings": "pair", "fields": "spin"}
        result = posterior_dataset(
            {name: value.reshape(chains, draws, -1) for name, value in found.items()},
            {
                "model": type(self).__name__,
                "approximation": f"block bootstrap, {'first order' if refit is None else 'refits'}",
            },
        )
        return result.rename({f"{name}_dim_0": dims[name] for name in found}).assign_coords(coords)

    def log_likelihood(self, draws: xr.Dataset, X: Any) -> xr.Dataset:
        """Log pseudo-likelihood of every sample for every draw, as `arviz.loo` needs it.

        Parameters
        ----------
        draws : xarray.Dataset
            From `posterior` or `bootstrap` of this fit.
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
            Without missing values.

        Returns
        -------
        xarray.Dataset
            Variable "spins", dims (chain, draw, sample), in nats: ``sum_i log p(s_ki | rest of s_k)``. Leaving out one
            sample after another takes samples as independent.

        Raises
        ------
        ValueError
            If X holds anything but +-1, or draws are not of the spins of this fit.

        Examples
        --------
        >>> import arviz  # doctest: +SKIP
        >>> posterior = model.posterior()  # doctest: +SKIP
        >>> groups = {"posterior": posterior, "log_likelihood": model.log_likelihood(posterior, X)}  # doctest: +SKIP
        >>> arviz.loo(arviz.InferenceData(**groups))  # arviz 0.2x  # doctest: +SKIP
        >>> arviz.loo(xarray.DataTree.from_dict(groups))  # arviz 1.x  # doctest: +SKIP
        """
        check_is_fitted(self, "couplings_")
        above, labels = self._pairs(), self._coordinates()["pair"]
        if "couplings" not in draws or list(draws["couplings"].coords.get("pair", [])) != labels:
            raise ValueError("draws must come from posterior() or bootstrap() of this fit")
        spins = self._read(X, reset=False).spins
        couplings = draws["couplings"].transpose("chain", "draw", "pair").values
        fields = draws["fields"].transpose("chain", "draw", "spin").values if "fields" in draws else None
        values = np.empty((*couplings.shape[:2], len(spins)))
        matrix, field = np.zeros_like(self.couplings_), self.fields_.copy()
        for at in np.ndindex(*couplings.shape[:2]):
            matrix[above] = matrix.T[above] = couplings[at]
            if fields is not None:
                field[self._varying] = fields[at]
            values[at] = PairModel(matrix, field).log_pseudolikelihood(spins)
        coords = {name: draws[name].values for name in ("chain", "draw")} | {"sample": np.arange(len(spins))}
        return xr.Dataset({"spins": (("chain", "draw", "sample"), values)}, coords=coords)

    def _refits(self, samples: Samples, n_replicates: int, rng: np.random.RandomState) -> dict[str, FloatArray]:
        """Fits of samples made of blocks drawn with replacement."""
        if samples.blocks:
            raise ValueError("refit needs samples in memory, not in the blocks of a Dask array: leave it out")
        if not samples.complete:
            raise ValueError("refit goes with complete samples; values are missing here, so leave it out")
        spins, weight = samples.spins, samples.weight
        independent = weight is not None and samples.chains is None
        model = clone(self).set_params(threshold=None, n_jobs=1, errors=False, fit_fields=self.fit_fields_)
        above = self._pairs()
        constant = np.setdiff1d(np.arange(samples.n_spins), self._varying)

        def fit(seed: int) -> tuple[NDArray, NDArray]:
            generator = np.random.default_rng(seed)
            if independent and weight is not None:
                counts = generator.multinomial(int(samples.n_samples), weight / weight.sum()).astype(np.float64)
            else:
                index = next(block_bootstrap_indices(len(spins), samples.chains, seed=generator))
                counts = np.bincount(index, minlength=len(spins)).astype(np.float64)
                counts *= 1.0 if weight is None else weight
            lost = np.setdiff1d(constant_spins(spins, counts), constant)
            if len(lost):  # a fit would give them couplings of zero, which are no estimates
                raise ValueError(
                    f"{name_spins(lost, samples.names)} never change in one of the replicates, so that "
                    "couplings to them cannot be fitted: leave refit out, drop these columns, or give more samples"
                )
            fitted = clone(model).fit(spins, sample_weight=counts)
            return fitted.couplings_[above], fitted.fields_[self._varying]

        seeds = rng.randint(np.iinfo(np.int32).max, size=n_replicates)
        fits = in_threads(fit, [int(seed) for seed in seeds], self.n_jobs)
        found = {"couplings": np.stack([couplings for couplings, _ in fits])}
        if self.fit_fields_:
            found["fields"] = np.stack([fields for _, fields in fits])
        return found

    def _pairs(self) -> tuple[NDArray, NDArray]:
        """First and second spins of all pairs of spins that vary."""
        first, second = np.triu_indices(len(self._varying), 1)
        return self._varying[first], self._varying[second]

    def _coordinates(self) -> dict[str, Any]:
        """Labels of pairs and spins."""
        labels = np.arange(len(self.couplings_)) if self.spin_names_ is None else np.array(self.spin_names_)
        # no further coordinates of pairs, such as the first spin of each: summaries of arviz 1.x fail where variables
        # do not share them
        coords: dict[str, Any] = {"pair": [f"{labels[i]}-{labels[j]}" for i, j in zip(*self._pairs(), strict=True)]}
        return coords | ({"spin": labels[self._varying]} if self.fit_fields_ else {})

    def _parameters(self) -> tuple[dict[str, NDArray], dict[str, NDArray], dict[str, Any]]:
        """Estimates, influences (n_batches, ...) and coordinates of the estimated parameters."""
        influence = self._influences()
        first, second = self._pairs()
        mean = {"couplings": self.couplings_[first, second]}
        values = {"couplings": influence.couplings[:, first, second]}
        if self.fit_fields_:
            mean["fields"], values["fields"] = self.fields_[self._varying], influence.fields[:, self._varying]
        return mean, values, self._coordinates()

    def bootstrap_couplings(
        self, n_replicates: int = 200, random_state: int | np.random.RandomState | None = None
    ) -> NDArray[np.float64]:
        """Replicates of the couplings by a one-step block bootstrap.

        Batches of consecutive samples of all chains are drawn with replacement, and each replicate is the fit plus the
        first-order change that this reweighting makes. Where rows are independent with counts, batches are weighted by
        Gaussian numbers instead (wild bootstrap). Couplings that the rows do not determine, such as those of spins that
        are never +1 together, are set by the penalty, and stay as they were fitted.

        Parameters
        ----------
        n_replicates : int, default=200
            Number of replicates.
        random_state : int, RandomState or None
            Seed.

        Returns
        -------
        ndarray (n_replicates, n_spins, n_spins)
            Symmetric with zero diagonal.
        """
        influence = self._influences()
        multipliers = influence.draw_multipliers(n_replicates, check_random_state(random_state))
        n_batches = len(influence.couplings)
        change = multipliers @ influence.couplings.reshape(n_batches, -1).astype(np.float64)
        unknown = np.isnan(change[:1])
        if not unknown.all():  # a single batch of rows has no replicates
            np.copyto(change, 0.0, where=unknown)
        return self.couplings_ + change.reshape(n_replicates, *self.couplings_.shape)
