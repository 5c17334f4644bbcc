"""One name for one thing in signatures: what draws random numbers, intervals, tests, numbers of things."""

import ast
import inspect
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import infer
import simulate
from simulate import contrastive, retrieval

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for package in ("simulate", "infer", "reverie") for path in (ROOT / package).rglob("*.py"))
#: Names that once stood for what has another name: `confidence` or `false_alarms`, `n_draws`, `n_folds`, `n_repeats`.
GONE = {"level", "significance", "folds", "repeats", "n_iterations", "replicate"}
#: What is recorded as a number in a result or a store, and so is a number.
RECORDED = {"analyse", "sweep", "digits_task", "memory_task"}


def functions(tree):
    """Functions of a module with the class that they are methods of, or None."""
    of = {id(node): owner for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef) for node in owner.body}
    return [(node, of.get(id(node))) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


FUNCTIONS = [
    (path.relative_to(ROOT), function, owner)
    for path in MODULES
    for function, owner in functions(ast.parse(path.read_text(encoding="utf-8")))
]


def parameters(function):
    given = function.args
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def test_functions_take_seed_and_estimators_random_state():
    wrong, found = [], 0
    for path, function, owner in FUNCTIONS:
        names = parameters(function)
        found += len(names & {"seed", "random_state"})
        if owner is None and "random_state" in names and function.name != "seed_of":  # which makes one of the other
            wrong.append(f"{path}: {function.name}")
        if owner is not None and function.name == "__init__" and "seed" in names:
            methods = {each.name for each in owner.body if isinstance(each, ast.FunctionDef)}
            if methods & {"fit", "solve"}:
                wrong.append(f"{path}: {owner.name}")
    assert found > 100
    assert wrong == []


def test_other_names_for_the_same_are_gone():
    wrong = [
        f"{path}: {function.name}: {', '.join(sorted(parameters(function) & GONE))}"
        for path, function, _ in FUNCTIONS
        if parameters(function) & GONE
    ]
    assert wrong == []


XI = simulate.random_patterns(2, 8, seed=0)
J = simulate.hebbian(XI)
GLAUBER = simulate.Glauber(J, temperature=1.0)
MODEL = infer.PairModel(J / 2, np.zeros(8))
SECOND = np.full((3, 3), 0.1) + 0.9 * np.eye(3)


@cache
def rows():
    """Samples of two chains."""
    return simulate.sample(simulate.Glauber(J, temperature=2.0), draws=60, chains=2, seed=0, check=False)


@cache
def fitted():
    return infer.MeanField(errors=False).fit(rows())


#: Of every public function with a seed, a short call.
CALLS = {
    "boltzmann_learning": lambda seed: simulate.boltzmann_learning(
        XI, lambda couplings, fields: simulate.Glauber(couplings, 1.0, fields=fields), n_steps=3, chains=2, seed=seed
    ),
    "bounded_learning": lambda seed: simulate.bounded_learning(XI, 0.5, n_dreams=3, seed=seed),
    "centred_daydream": lambda seed: simulate.centred_daydream(XI, 5, seed=seed),
    "correlated_patterns": lambda seed: simulate.correlated_patterns(3, 8, correlation=0.2, seed=seed),
    "daydream": lambda seed: simulate.daydream(XI, 5, seed=seed),
    "digit_patterns": lambda seed: simulate.digit_patterns(4, seed=seed),
    "eigenvector_dreaming": lambda seed: simulate.eigenvector_dreaming(J, 3, seed=seed),
    "parallel_tempering": lambda seed: (
        simulate.parallel_tempering(J, 1.0, draws=5, burn_in=5, seed=seed)["spins"].values
    ),
    "random_patterns": lambda seed: simulate.random_patterns(2, 8, seed=seed),
    "sample": lambda seed: simulate.sample(GLAUBER, draws=5, chains=2, seed=seed, check=False)["spins"].values,
    "thermal_unlearn": lambda seed: simulate.thermal_unlearn(J, 1.0, 2, burn_in=5, draws=3, seed=seed),
    "trajectory": lambda seed: simulate.trajectory(GLAUBER, duration=2.0, seed=seed)["spins"].values,
    "unlearn": lambda seed: simulate.unlearn(J, 5, seed=seed),
    "compare": lambda seed: infer.compare(J, XI, n_null=20, seed=seed).to_dict(),
    "compare_models": lambda seed: infer.compare_models(rows(), seed=seed).to_dict(),
    "compare_recordings": lambda seed: (
        infer.compare_recordings(*rows()["spins"].values, n_permutations=50, seed=seed).p_value
    ),
    "compare_unlearning": lambda seed: infer.compare_unlearning(J, XI, max_points=3, seed=seed).to_dict(),
    "diagnose": lambda seed: [check.p_value for check in infer.diagnose(MODEL, rows(), seed=seed).checks],
    "energy_landscape": lambda seed: infer.energy_landscape(MODEL, rows(), n_model_rows=200, seed=seed).to_dict(),
    "fit_from_moments": lambda seed: (
        infer.fit_from_moments(np.zeros(3), SECOND, 10, method="pcd", n_chains=20, seed=seed).couplings
    ),
    "goodness_of_fit": lambda seed: infer.goodness_of_fit(MODEL, rows(), seed=seed).to_dict(),
    "log_likelihood": lambda seed: infer.log_likelihood(fitted(), rows(), seed=seed),
    "log_partition": lambda seed: infer.log_partition(J, method="ais", n_chains=5, n_temperatures=5, seed=seed).value,
    "contrast_against_dissipation": lambda seed: contrastive.experiments.contrast_against_dissipation(
        [0.1], n_synapses=3, seed=seed
    ).to_dict(),
    "free_correlations": lambda seed: contrastive.free_correlations(J, free_state="thermal", n_sweeps=3, seed=seed),
    "learn_patterns": lambda seed: contrastive.learn_patterns(XI, 3, seed=seed),
    "basins": lambda seed: retrieval.basins(J, XI, [0.2], n_repeats=1, seed=seed)["overlap"].values,
    "capacity": lambda seed: (
        retrieval.capacity(simulate.hebbian, [0.25], 8, n_repeats=1, n_starts=2, seed=seed)["overlap"].values
    ),
    "lifetimes": lambda seed: (
        retrieval.lifetimes(
            simulate.hebbian, 0.25, 8, [1, 3], dynamics=lambda one: simulate.Glauber(one, 1.0), n_repeats=2, seed=seed
        )["overlap"].values
    ),
    "recognition": lambda seed: retrieval.recognition(GLAUBER, XI, n_repeats=2, draws=3, seed=seed)["overlap"].values,
    "relax": lambda seed: retrieval.relax(J, XI, seed=seed),
}


def test_every_public_function_with_a_seed_is_called():
    public = {
        name
        for module in (simulate, infer, contrastive, contrastive.experiments, retrieval)
        for name in module.__all__
        if inspect.isfunction(function := getattr(module, name)) and "seed" in inspect.signature(function).parameters
    }
    assert public - RECORDED == set(CALLS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_seed_is_a_number_a_sequence_or_a_generator(name):
    """The sequence of a number gives what the number gives, and is not used up; equal generators give equal results."""
    call = CALLS[name]
    sequence = np.random.SeedSequence(3)
    first, second = call(3), call(sequence)
    assert sequence.n_children_spawned == 0
    third, fourth = (call(np.random.default_rng(3)) for _ in range(2))
    for found, expected in ((second, first), (fourth, third)):
        np.testing.assert_equal(found, expected)
