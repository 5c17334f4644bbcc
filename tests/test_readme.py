"""Examples of the README: its Python runs, its outputs are reproduced, its commands exist, its extensions work."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import estimator_checks_generator

from tests import exact
from tests.simulate.dynamics.test_driven import N_SPINS, one_at_a_time, stationary
from tests.simulate.dynamics.test_spins import chi_square_p_value

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The one fenced block of a language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README + CONTRIBUTING, flags=re.DOTALL)
    (found,) = [text for text in blocks if holding in text]
    return found


def run(holding: str) -> dict:
    """Names left by the Python block that holds a text, in a module from which they can be pickled."""
    module = types.ModuleType("readme")
    sys.modules["readme"] = module
    exec(compile(block("python", holding), "example", "exec"), module.__dict__)
    return module.__dict__


def test_the_example_runs_and_finds_the_rate(capsys):
    names = run("DreamingModel(patterns)")
    model, expected = names["model"], names["expected"]
    # the theory is that of many spins, and 5 % off at most; fails one seed in 300
    assert abs(model.rate_ - expected) < 3 * model.rate_std_ + 0.05 * expected
    assert model.rate_std_ < 0.02
    assert f"theory {expected:.3f}" in capsys.readouterr().out


def test_contrastive_learning_prints_what_is_shown(capsys):
    run("learn_patterns")
    assert capsys.readouterr().out == block("text", "learned in time")


def test_the_sweep_is_one_that_can_be_planned():
    from infer.sweeps.plan import plan_sweep

    plan = plan_sweep(tomllib.loads(block("toml", "persistence")))
    assert len(plan.cells) == 2 * 2 * 3 * 3


def test_extensions_are_short():
    for holding in ("GaussianThreshold", "FirstOrder"):
        assert len(block("python", holding).splitlines()) < 40


@pytest.fixture(scope="module")
def new_dynamics():
    return run("GaussianThreshold")


def test_the_new_dynamics_has_the_steady_state_of_its_transition_matrix(new_dynamics):
    """Chi-square over all 32 states, thinned until draws are independent; a right sampler fails once in 1000."""
    couplings = exact.random_couplings(N_SPINS, 1.5, seed=3)
    fields = np.array([0.3, -0.2, 0.0, 0.5, -0.4])
    dynamics = new_dynamics["GaussianThreshold"](couplings, 1.2, fields)
    samples = new_dynamics["sample"](dynamics, draws=2500, chains=8, burn_in=100, thin=15, seed=2)
    spins = samples["spins"].values.reshape(-1, N_SPINS)
    expected = stationary(one_at_a_time(lambda i, state: stats.norm.cdf((couplings[i] @ state + fields[i]) / 1.2)))
    assert chi_square_p_value(spins, expected) > 1e-3
    # and the test could fail: heat-bath spins at this temperature are something else
    assert chi_square_p_value(spins, exact.boltzmann(couplings, fields, 1.2)) < 1e-6


def test_samples_of_the_new_dynamics_do_not_depend_on_the_jobs_and_bad_input_is_refused(new_dynamics):
    again = new_dynamics["sample"](new_dynamics["dynamics"], draws=500, chains=4, seed=0, n_jobs=2)
    np.testing.assert_array_equal(again["spins"], new_dynamics["samples"]["spins"])
    with pytest.raises(ValueError, match="temperature"):
        new_dynamics["GaussianThreshold"](np.zeros((3, 3)), 0.0)


def test_the_new_estimator_is_right_at_first_order():
    """All states, weighted by their probabilities: exact moments, so that what is left is of second order."""
    FirstOrder = run("FirstOrder")["FirstOrder"]
    states = exact.all_states(6)
    errors = []
    for scale in (0.04, 0.02):
        couplings, fields = exact.random_couplings(6, scale, seed=1), 0.5 * np.linspace(-1.0, 1.0, 6)
        fit = FirstOrder().fit(states, sample_weight=exact.boltzmann(couplings, fields))
        errors.append([np.abs(fit.couplings_ - couplings).max(), np.abs(fit.fields_ - fields).max()])
    assert np.max(errors[1]) < 2e-4
    assert (np.divide(*errors) > 3.0).all()  # a quarter at half the couplings


def test_the_new_estimator_passes_checks_of_scikit_learn():
    wanted = {
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_estimators_dtypes",
        "check_fit_idempotent",
        "check_n_features_in",
        "check_estimators_pickle",
        "check_dict_unchanged",
        "check_sample_weights_list",
        "check_estimators_nan_inf",
    }
    estimator = run("FirstOrder")["FirstOrder"](threshold=0.0)
    done = set()
    for one, check in estimator_checks_generator(estimator):
        if check.func.__name__ in wanted:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # of data that never change
                check(one)
            done.add(check.func.__name__)
    assert done == wanted


def test_its_commands_have_the_options_that_it_gives_them():
    """Lines of the shell blocks and of the table are parsed, not run."""
    import typer.main

    from infer.cli.commands import app

    group = typer.main.get_command(app)
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for text in blocks for line in text.splitlines() if line.startswith("reverie ")]
    rows = [line for line in README.splitlines() if line.startswith("| ")]
    lines += [command for row in rows for command in re.findall(r"`(reverie [^`]*)`", row)]
    assert len(lines) > 12
    for line in lines:
        command, *arguments = shlex.split(line)[1:]
        group.commands[command].make_context(command, arguments)


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"| reverie {version} (Python) |" in README


@pytest.mark.validation
@pytest.mark.parametrize("holding", ["reverie-demo/report.html", "digits.json"])
def test_its_outputs_are_what_is_printed_today(tmp_path, holding):
    shown = block("text", holding)
    lines = ["reverie demo"] if "demo" in holding else block("sh", "digit_patterns").splitlines()
    script = "\n".join(lines)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    warned = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "\n".join([*warned, result.stdout]) == shown


def test_the_commands_it_names_exist():
    import typer.main

    from infer.cli.commands import app

    commands = set(typer.main.get_command(app).commands)
    named = set(re.findall(r"(?:^|`|/)reverie ([a-z]+)", README, flags=re.MULTILINE)) - {"lets"}
    assert {"demo", "report", "simulate", "fit", "compare", "sweep", "contrastive"} <= named <= commands
