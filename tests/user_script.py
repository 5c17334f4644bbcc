"""A user's script with the types that mypy and pyright must find; `assert_type` does nothing at run time."""

from typing import TYPE_CHECKING, assert_type

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import infer
from infer import Diagnosis, PairModel, PseudoLikelihood, Samples, Similarity, compare, diagnose
from simulate import PersistentGlauber, contrastive, hebbian, random_patterns, sample

if TYPE_CHECKING:  # a typing error is one: mypy refuses to ignore what is none
    from infer import PseudoLikelyhood  # type: ignore[attr-defined]  # noqa: F401
    from simulate import smaple  # type: ignore[attr-defined]  # noqa: F401

patterns = assert_type(random_patterns(2, 12, seed=0), NDArray[np.int8])
dynamics = PersistentGlauber(hebbian(patterns), temperature=1.5, persistence=0.5)
samples = assert_type(sample(dynamics, draws=200, chains=2, seed=0), xr.Dataset)
model = assert_type(PseudoLikelihood(alpha=0.01).fit(samples), PseudoLikelihood)
couplings = assert_type(model.couplings_, NDArray[np.float64])
found = assert_type(compare(model, patterns), Similarity)
assert_type(found.best_rate, float)
assert_type(diagnose(model, samples).verdict, str)
assert_type(infer.diagnose(model, samples), Diagnosis)
assert_type(PairModel.of(model).energies(Samples.of(samples).spins), NDArray[np.float64])
assert_type(contrastive.learn_patterns(patterns, 2, seed=0), NDArray[np.float64])
