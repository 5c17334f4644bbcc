"""Where mean field stops being as accurate as pseudo-likelihood: `python benchmarks/mean_field.py`.

Root mean square error of the inferred couplings (in units of the temperature), and the slope of inferred on true ones,
for samples of equilibrium whose couplings are known: Sherrington-Kirkpatrick at 0.6 and 0.9 (couplings of standard
deviation 0.6 / sqrt(N) and 0.9 / sqrt(N), T = 1) and Hopfield networks at load 0.05 around their patterns. No fields.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from duration import announce
from pseudolikelihood import draw
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from infer import MeanField, PseudoLikelihood
from simulate import Glauber, hebbian, random_patterns

METHODS = ("naive", "tap", "bethe", "sessak-monasson", "independent-pair")


def cases(n_spins: int, n_samples: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Samples and true couplings over temperature, by name."""
    found = {}
    for strength in (0.6, 0.9):
        upper = np.triu(np.random.default_rng(0).normal(0.0, strength / np.sqrt(n_spins), (n_spins, n_spins)), 1)
        couplings = upper + upper.T
        samples = draw(Glauber(couplings=couplings, temperature=1.0), n_samples // 20, initial=None)
        found[f"SK {strength}"] = samples, couplings
    patterns = random_patterns(n_spins // 20, n_spins, seed=0)
    for temperature in (0.8, 0.5):
        dynamics = Glauber(couplings=hebbian(patterns), temperature=temperature)
        # as many chains as patterns and their opposites, all started there
        starts = np.concatenate([patterns, -patterns])[np.arange(20) % (2 * len(patterns))]
        samples = draw(dynamics, n_samples // 20, initial=starts)
        found[f"Hopfield T={temperature}"] = samples, hebbian(patterns) / temperature
    return found


def compare(name: str, samples: np.ndarray, couplings: np.ndarray) -> None:
    """Fit one case with all methods and print its rows."""
    off = ~np.eye(len(couplings), dtype=bool)
    truth = couplings[off]
    print(
        f"\n{name}: N = {len(couplings)}, {len(samples)} samples; rms of the true couplings "
        f"{np.sqrt(np.mean(truth**2)):.4f}"
    )
    print(f"  {'':24s}{'rms error':>12s}{'slope':>10s}{'seconds':>10s}")
    models = {method: MeanField(method, fit_fields=False) for method in METHODS}
    for label, model in {"pseudo-likelihood": PseudoLikelihood(), **models}.items():
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                inferred = model.fit(samples).couplings_[off]
        except ValueError as error:
            print(f"  {label:24s}  {error}")
            continue
        seconds = time.process_time() - start
        note = "" if model.converged_ else f"   not converged ({getattr(model, 'n_clipped_', 'some')} pairs)"
        print(
            f"  {label:24s}{np.sqrt(np.mean((inferred - truth) ** 2)):12.4f}{truth @ inferred / (truth @ truth):10.3f}"
            f"{seconds:10.2f}{note}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spins", type=int, default=200)
    parser.add_argument("--samples", type=int, default=50_000)
    arguments = parser.parse_args()
    announce(4 + arguments.samples / 50_000 * (arguments.spins / 200) ** 2 * 12)
    with threadpool_limits(1):
        for name, (samples, couplings) in cases(arguments.spins, arguments.samples).items():
            compare(name, samples, couplings)


if __name__ == "__main__":
    main()
