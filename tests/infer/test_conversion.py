"""Parameters for -1, +1 and for 0, 1 describe the same model: held to all states, written out plainly."""

import numpy as np
import pytest

from infer import CountModel
from infer.conversion import to_binary_parameters, to_spin_parameters
from infer.errors import InputError
from tests import exact


def log_weights(couplings, fields, states):
    """Logarithm of the Boltzmann weight of each state, pair by pair."""
    n = len(fields)
    return np.array(
        [
            sum(couplings[i, j] * x[i] * x[j] for i in range(n) for j in range(i))
            + sum(fields[i] * x[i] for i in range(n))
            for x in states
        ]
    )


def some_parameters(seed):
    rng = np.random.default_rng(seed)
    return exact.random_couplings(6, 1.5, rng), rng.normal(size=6)


@pytest.mark.parametrize("seed", range(3))
def test_every_state_has_the_same_weight(seed):
    couplings, fields = some_parameters(seed)
    spins = exact.all_states(6)
    units = (spins + 1) // 2
    K, b, c = to_binary_parameters(couplings, fields)
    np.testing.assert_allclose(log_weights(couplings, fields, spins), log_weights(K, b, units) + c, atol=1e-12)
    J, h, c = to_spin_parameters(couplings, fields)  # the same numbers taken as parameters of units 0 and 1
    np.testing.assert_allclose(log_weights(couplings, fields, units), log_weights(J, h, spins) + c, atol=1e-12)


def test_partition_functions_differ_by_the_constant():
    couplings, fields = some_parameters(3)
    K, b, c = to_binary_parameters(couplings, fields)
    units = (exact.all_states(6) + 1) // 2
    log_sum = np.logaddexp.reduce(log_weights(K, b, units))
    assert exact.log_partition(couplings, fields) == pytest.approx(log_sum + c, abs=1e-12)


def test_there_and_back():
    couplings, fields = some_parameters(4)
    K, b, c = to_binary_parameters(couplings, fields)
    J, h, back = to_spin_parameters(K, b)
    np.testing.assert_allclose(J, couplings, atol=1e-14)
    np.testing.assert_allclose(h, fields, atol=1e-14)
    assert back == pytest.approx(-c, abs=1e-12)


def test_inputs_stay_as_they_are_and_fields_are_optional():
    couplings, _ = some_parameters(5)
    np.fill_diagonal(couplings, 3.0)
    before = couplings.copy()
    K, b, _ = to_binary_parameters(couplings)
    np.testing.assert_array_equal(couplings, before)
    assert not K.diagonal().any()
    np.testing.assert_allclose(b, -2 * (couplings.sum(axis=1) - 3.0))


@pytest.mark.parametrize("convert", [to_binary_parameters, to_spin_parameters])
@pytest.mark.parametrize(
    ("couplings", "fields", "words"),
    [
        (np.zeros((2, 3)), None, r"square matrix \(n_spins, n_spins\), got shape \(2, 3\)"),
        ([[0.0, np.nan], [np.nan, 0.0]], None, r"entry \[0, 1\] is nan"),
        ([[0.0, 1.0], [2.0, 0.0]], None, r"\[0, 1\] = 1 but couplings\[1, 0\] = 2"),
        (np.zeros((2, 2)), [0.0], r"expected shape \(2,\)"),
        (np.zeros((2, 2)), [0.0, np.inf], "entry 1 is inf"),
    ],
)
def test_what_cannot_be_converted(convert, couplings, fields, words):
    with pytest.raises(ValueError, match=words):
        convert(couplings, fields)


@pytest.mark.parametrize("convert", [to_binary_parameters, to_spin_parameters])
def test_a_potential_of_the_count_is_not_lost_in_silence(convert):
    with pytest.raises(InputError, match="pair models only, and this CountModel has a potential"):
        convert(CountModel.of(np.zeros((3, 3)), potential=[0.0, 0.0, 0.0, 1.0]))
