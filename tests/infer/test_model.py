"""Couplings are symmetric by one rule, wherever they come in."""

import numpy as np
import pytest

from infer import PairModel, compare, inverse_temperature, log_partition, read_couplings
from simulate import Glauber, random_patterns
from tests import exact


def from_file(couplings, folder):
    np.save(folder / "couplings.npy", couplings)
    return read_couplings(folder / "couplings.npy")


DOORS = {
    "PairModel": lambda couplings, folder: PairModel.of(couplings),
    "Glauber": lambda couplings, folder: Glauber(couplings, 1.0),
    "compare": lambda couplings, folder: compare(couplings, random_patterns(2, 8, seed=0)),
    "log_partition": lambda couplings, folder: log_partition(couplings),
    "inverse_temperature": lambda couplings, folder: inverse_temperature(couplings, exact.draw(couplings, 200, seed=0)),
    "read_couplings": from_file,
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_noise_of_single_precision_is_no_asymmetry_and_triangles_are_not_halved(door, tmp_path):
    couplings = exact.random_couplings(8, 1.0, 0)
    # a product in single precision, as of a matrix with its transpose: differences of 2e-7 of the largest entry
    noisy = couplings * (1.0 + 2e-7 * np.triu(np.ones((8, 8))))
    door(noisy, tmp_path)
    with pytest.raises(ValueError, match=r"triangular, so that it holds each pair once: (pass|save) J \+ J\.T"):
        door(np.triu(couplings), tmp_path)
    noisy = couplings + 1e-3 * np.triu(np.ones((8, 8)), 1)
    with pytest.raises(ValueError, match=r"(pass|save) \(J \+ J\.T\) / 2"):
        door(noisy, tmp_path)


def test_noise_is_averaged(tmp_path):
    couplings = exact.random_couplings(8, 1.0, 0)
    noisy = couplings * (1.0 + 2e-7 * np.triu(np.ones((8, 8))))
    for found in (PairModel.of(noisy).couplings, from_file(noisy, tmp_path)):
        np.testing.assert_array_equal(found, (noisy + noisy.T) / 2)
