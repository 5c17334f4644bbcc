"""Configs of sweeps: their cells, and the messages for invalid ones."""

import copy
from pathlib import Path

import numpy as np
import pytest

from infer.sweeps.plan import plan_sweep
from simulate import theory

CONFIG = {
    "n_spins": 40,
    "repeats": 2,
    "load": [0.1, 0.2],
    "temperature": [2.0, 3.0],
    "dynamics": [
        {"name": "persistent-threshold", "persistence": [0.0, 0.5, 0.9]},
        {"name": "coloured-field", "persistence_time": 2, "active_temperature": 1.5, "load": 0.3, "thin": 6},
        {
            "name": "active-ornstein-uhlenbeck",
            "persistence_time": [1],
            "reduced_active_temperature": 2,
            "temperature": 0,
        },
        {"name": "glauber"},
    ],
}


def changed(*path, to):
    """The config with the value at a path replaced, or taken out."""
    config = copy.deepcopy(CONFIG)
    place = config
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return config


def test_cells_span_the_grid_in_the_order_of_the_config():
    cells = plan_sweep(CONFIG).cells
    assert len(cells) == 2 * (2 * 2 * 3 + 2 + 2 + 4)
    first = cells[0]
    assert (first.dynamics, first.n_patterns, first.temperature, first.persistence) == ("persistent-threshold", 4, 2, 0)
    assert (first.chains, first.draws, first.burn_in, first.thin) == (4, 8000, 500, 4)
    coloured = [cell for cell in cells if cell.dynamics == "coloured-field"]
    assert {(cell.n_patterns, cell.persistence_time, cell.thin) for cell in coloured} == {(12, 2.0, 6)}
    units = [cell for cell in cells if cell.dynamics == "active-ornstein-uhlenbeck"]
    assert [cell.active_temperature for cell in units if cell.repeat == 0] == [
        pytest.approx(2 * theory.transition_active_temperature(load, 1.0)) for load in (0.1, 0.2)
    ]
    assert {(cell.temperature, cell.draws, cell.thin) for cell in units} == {(0.0, 2000, 2)}
    assert len({cell.key for cell in cells}) == len(cells)


@pytest.mark.slow
def test_a_table_replaces_what_is_shared_also_reduced_by_plain():
    config = changed("temperature", to=None)
    config["reduced_temperature"] = 1.5
    cells = plan_sweep(config).cells
    persistent = [cell for cell in cells if cell.dynamics == "persistent-threshold"]
    assert {cell.temperature for cell in persistent} == {
        1.5 * theory.transition_temperature(load, a) for load in (0.1, 0.2) for a in (0.0, 0.5, 0.9)
    }
    assert {cell.temperature for cell in cells if cell.dynamics == "active-ornstein-uhlenbeck"} == {0.0}


@pytest.mark.slow
def test_reduced_temperatures_are_in_units_of_the_transition_under_the_drive():
    coloured = {"name": "coloured-field", "persistence_time": 5, "active_temperature": 2.5, "reduced_temperature": 1.5}
    harmonic = {"name": "active-ornstein-uhlenbeck", "persistence_time": 1, "stiffness": 4, "temperature": 0}
    config = {"n_spins": 40, "load": 0.2, "dynamics": [coloured, harmonic | {"reduced_active_temperature": 2}]}
    spins, units = plan_sweep(config).cells
    assert spins.temperature == pytest.approx(1.5 * theory.transition_temperature(0.2, 0.0, 5.0, 2.5))
    assert units.active_temperature == pytest.approx(2 * (1 + np.sqrt(0.2)))  # there is no transition
    with pytest.raises(ValueError, match=r"reduced_temperature: nothing orders at load 0\.2 under this drive"):
        plan_sweep(config | {"dynamics": coloured | {"active_temperature": 50}})


def test_random_numbers_follow_from_the_cell_alone():
    alone = changed("dynamics", to=[{"name": "persistent-threshold", "persistence": 0.5}]) | {"temperature": 3.0}
    whole = {cell.key: cell for cell in plan_sweep(CONFIG).cells}
    for cell in plan_sweep(alone).cells:
        assert whole[cell.key].chain_seed().entropy == cell.chain_seed().entropy
    cells = list(whole.values())
    assert len({cell.chain_seed().entropy for cell in cells}) == len(cells)
    # one pattern set for each number of patterns and repeat, whatever the dynamics
    sets = {(cell.n_patterns, cell.repeat) for cell in cells}
    assert len({cell.pattern_seed().entropy for cell in cells}) == len(sets)
    other = plan_sweep(CONFIG, seed=1).cells
    assert not {cell.pattern_seed().entropy for cell in other} & {cell.pattern_seed().entropy for cell in cells}
    assert {cell.seed for cell in other} == {1}


def test_sizes_methods_and_starts_span_the_grid_too():
    config = changed("load", to=[0.1, 0.2]) | {"n_spins": [20, 40], "method": ["hybrid-rbm", "couplings"]}
    config["dynamics"] = [{"name": "persistent-threshold", "persistence": 0.5, "initial": "patterns"}]
    cells = plan_sweep(config).cells
    assert len(cells) == 2 * 2 * 2 * 2 * 2
    assert {(cell.n_spins, cell.n_patterns) for cell in cells} == {(20, 2), (20, 4), (40, 4), (40, 8)}
    assert {cell.initial for cell in cells} == {"patterns"}
    # methods see the same samples; other starts have other random numbers
    by_method = {}
    for cell in cells:
        by_method.setdefault(cell.method, []).append(cell.chain_seed().entropy)
    assert by_method["hybrid-rbm"] == by_method["couplings"]
    config["dynamics"][0] |= {"initial": "random"}
    assert not {cell.chain_seed().entropy for cell in plan_sweep(config).cells} & set(by_method["couplings"])
    assert plan_sweep(plan_sweep(config).config) == plan_sweep(config)


def test_each_dynamics_has_its_own_default_method():
    soft = {"name": "soft-spin", "persistence_time": 1, "active_temperature": 0.3, "barrier": 1.0, "temperature": 0}
    cells = plan_sweep(changed("dynamics", to=[*CONFIG["dynamics"], soft])).cells
    assert {(cell.dynamics, cell.method) for cell in cells} == {
        ("persistent-threshold", "pseudolikelihood"),
        ("coloured-field", "pseudolikelihood"),
        ("active-ornstein-uhlenbeck", "gaussian"),
        ("glauber", "pseudolikelihood"),
        ("soft-spin", "score-matching"),
    }
    assert {cell.build(np.zeros((40, 40))).potential.barrier for cell in cells if cell.dynamics == "soft-spin"} == {1.0}


def test_the_checked_config_is_a_config_of_the_same_cells():
    plan = plan_sweep(CONFIG)
    assert plan_sweep(plan.config) == plan


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed("n_spins", to=None), "n_spins is missing"),
        (changed("n_spins", to=40.0), "n_spins must be an integer, got 40.0"),
        (changed("repeats", to=0), "repeats must be at least 1, got 0"),
        (changed("chains", to=1), "chains must be at least 2, got 1"),
        (changed("loads", to=[0.1]), "loads is not a key here; did you mean load?"),
        (changed("x", to=1), "x is not a key here; known keys are n_spins, "),
        (changed("load", to=[0.1, 0.02]), "load[1] = 0.02 is less than two patterns of 40 spins"),
        (changed("load", to=[]), "load is empty"),
        (changed("load", to=["a"]), "load[0] must be a finite number, got 'a'"),
        (changed("load", to=[0.1, 0.2, 0.1]), "load holds 0.1 twice"),
        (changed("load", to=[0.1, 0.101]), "two points of the grid are the same cell: persistent-threshold with 4 pat"),
        (changed("temperature", to=[2, 0]), "temperature[1] must be > 0, got 0"),
        (changed("temperature", to=None), "dynamics[0].temperature (or reduced_temperature) is missing: persistent-"),
        (CONFIG | {"reduced_temperature": 2.0}, "reduced_temperature: give either temperature or reduced_temperature"),
        (changed("dynamics", to=[]), "dynamics must be one or more tables"),
        (changed("dynamics", to="glauber"), "dynamics must be one or more tables"),
        (changed("dynamics", 0, "name", to="magic"), "dynamics[0].name must be one of persistent-threshold, "),
        (changed("dynamics", 0, "name", to=None), "dynamics[0].name is missing"),
        (
            changed("dynamics", 0, "persistence", to=[0.5, 1.0]),
            "dynamics[0].persistence[1] must be >= 0 and < 1",
        ),
        (changed("dynamics", 1, "persistence", to=0.5), "dynamics[1].persistence is not a key here; did you mean pers"),
        (changed("dynamics", 1, "active_temperature", to=None), "dynamics[1].active_temperature (or reduced_active_"),
        (changed("dynamics", 1, "thin", to=0), "dynamics[1].thin must be at least 1, got 0"),
        (changed("n_spins", to=[40, 40]), "n_spins holds 40 twice"),
        (changed("n_spins", to=[]), "n_spins is empty"),
        (changed("n_spins", to=[40, 50]) | {"load": 0.13}, "load[0] = 0.13 is 5.2 patterns of 40 spins: with several"),
        (changed("initial", to="pattern"), "initial must be one of random, patterns, one-pattern, got 'pattern'"),
        (changed("method", to=[]), "method is empty: give at least one of pseudolikelihood, hybrid-rbm, couplings"),
        (
            changed("method", to="hybrid-rbm"),
            "method: active-ornstein-uhlenbeck knows gaussian, score-matching, couplings, not 'hybrid-rbm'; "
            "give dynamics[2].method of its own",
        ),
        (changed("dynamics", 0, "method", to="gaussian"), "dynamics[0].method: persistent-threshold knows pseudolik"),
        (changed("dynamics", 3, "method", to=["couplings"] * 2), "dynamics[3].method holds couplings twice"),
        (changed("draws", to=1), "draws must be at least 20, got 1"),
    ],
)
def test_bad_configs_are_refused_in_one_line_that_names_the_key(config, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text is looked at
        plan_sweep(config)
    assert str(caught.value).startswith(f"config: {message}")
    assert "\n" not in str(caught.value)


def test_bad_files_are_named(tmp_path: Path):
    path = tmp_path / "sweep.toml"
    for content, message in [
        (None, "there is no such file"),
        (b"n_spins = ", "not a TOML file"),
        (b"\xff", "not text"),
    ]:
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught:
            plan_sweep(path)
        assert str(caught.value).startswith(str(path))
