import numpy as np
import pytest

from simulate.contrastive import IdealContrast, ReceptorLadder, experiments


def test_range_follows_the_asymmetry_of_the_protocol():
    table = experiments.range_against_asymmetry([2, 5, 20], rate=50)
    np.testing.assert_allclose(table["learning_range"], [2, 5, 20], rtol=1e-4)
    np.testing.assert_allclose(table["onset"], 1, rtol=1e-4)
    assert (abs(table["slope"] - 1) < 0.1).all()


def test_offset_grows_as_area_times_mean_signal():
    table = experiments.offset_against_area([0.0, 0.02, 0.04], [0, 25, 50], rate=500)
    shift = table["offset"] - table["offset"].sel(mean_signal=0)
    expected = table["area"] * table["mean_signal"]
    np.testing.assert_allclose(shift, expected, rtol=0.05, atol=1e-9)


def test_dissipation_against_accuracy_is_that_of_the_ladder_and_its_law():
    table = experiments.dissipation_against_accuracy([1.0, 0.1, 0.001])
    assert float(table["dissipation"].sel(gamma=0.1)) == ReceptorLadder(0.1).dissipation()
    np.testing.assert_allclose(table["law"].sel(gamma=0.001), table["dissipation"].sel(gamma=0.001), rtol=0.01)
    assert np.isnan(table["law"].sel(gamma=1.0))
    assert table.attrs["cost_of_halving"] == pytest.approx(0.671, abs=1e-3)


def test_driving_turns_learning_of_the_free_state_into_unlearning():
    table = experiments.contrast_against_dissipation([1.0, 0.3, 0.1, 0.03, 0.001])
    ratio = table["ratio"].values
    assert ratio[0] == pytest.approx(-1, abs=0.05)
    assert ratio[1] < -0.9
    assert ratio[-2] > 0.6
    assert ratio[-1] > 0.8
    assert (np.diff(table["dissipation"]) > 0).all()


@pytest.mark.slow
def test_memory_task_sets_contrastive_training_beside_the_other_couplings():
    table = experiments.memory_task(60, 12, 400, flipped=(0.0, 0.1), seed=1)
    again = experiments.memory_task(60, 12, 400, flipped=(0.0, 0.1), seed=1)
    assert table.identical(again)
    overlap = table["mean_overlap"].sel(flipped=0.1)
    assert float(overlap.sel(network="contrastive")) > 0.98
    assert float(overlap.sel(network="hebbian")) < float(overlap.sel(network="contrastive"))
    norms = np.linalg.norm(table["couplings"].values, axis=(1, 2))
    np.testing.assert_allclose(norms, norms[0])
    assert float(table["least_stability"].sel(network="contrastive")) > 0
    ideal = experiments.memory_task(60, 12, 400, rule=IdealContrast(), flipped=(0.1,), seed=1)
    assert float(ideal["mean_overlap"].sel(network="contrastive", flipped=0.1)) > 0.98


@pytest.mark.slow
def test_digits_task_has_a_curve_for_each_rule_and_goes_on_from_its_checkpoints(tmp_path):
    first = experiments.digits_task(1, n_hidden=30, checkpoint_folder=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ideal-contrast.npz", "temporal.npz", "threshold-0.npz"]
    table = experiments.digits_task(2, n_hidden=30, checkpoint_folder=tmp_path)
    np.testing.assert_array_equal(table["test_error"].sel(epoch=1), first["test_error"].sel(epoch=1))
    assert (table["test_error"].sel(rule=["ideal contrast", "temporal"], epoch=2) < 0.3).all()
    assert float(table["test_error"].sel(rule="threshold 0", epoch=2)) > 0.7


def test_rows_without_learning_window_are_left_open():
    # at rate 1 the memory lasts as long as the rise: a fall of three times that passes the threshold first
    table = experiments.range_against_asymmetry([3, 10, 50], rate=1.0)
    assert table["window"].values.tolist() == [False, True, True]
    for name in ("learning_range", "onset", "slope", "offset"):
        assert np.isnan(table[name].values).tolist() == [True, False, False]
    assert (table["learning_range"].values[1:] < [10, 50]).all()
    with pytest.raises(ValueError, match="memory of the kernel shorter"):
        experiments.range_against_asymmetry([3], rate=1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: experiments.range_against_asymmetry([0.5]), "no learning window"),
        (lambda: experiments.contrast_against_dissipation([0.0]), "gamma must be > 0"),
        (lambda: experiments.contrast_against_dissipation([0.5], threshold=1.0), "threshold must be > 0 and < 1"),
        (lambda: experiments.memory_task(seed=-1), "seed must be at least 0"),
        (lambda: experiments.digits_task(1, checkpoint_folder="/nowhere/at/all"), "does not exist; create it first"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
