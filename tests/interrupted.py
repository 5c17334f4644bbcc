"""Interrupts of one long call after another, in a process of its own: how long each goes on, and what goes on then.

For each call a line: its name, the exception, and seconds of processor time from the signal to it and afterwards. The
number that each call takes sets its length; with a small one it compiles what it needs.
"""

import signal
import sys
import threading
import time
from functools import cache, partial
from typing import Any

import numpy as np

import infer
import simulate
from simulate import retrieval
from simulate.contrastive import ContrastiveClassifier, free_correlations, learn_patterns

AFTER = 0.2  # seconds of its own processor time in which threads that go on would use as much


@cache
def spins(n_rows: int, n_spins: int) -> Any:
    rng = np.random.default_rng(0)
    common = rng.choice(np.array([-1, 1], dtype=np.int8), (n_rows, 1))
    return np.where(rng.random((n_rows, n_spins)) < 0.6, common, -common).astype(np.int8)


def couplings(n_spins: int) -> Any:
    return simulate.hebbian(simulate.random_patterns(n_spins // 5, n_spins, seed=0))


def jackknife(n: int) -> Any:
    return infer.temperature_bias(infer.PseudoLikelihood(errors=False), spins(20_000, 40), n_groups=n, n_jobs=2)


def refits(n: int) -> Any:
    samples = spins(5000, 40)
    return infer.PseudoLikelihood(errors=False, n_jobs=2).fit(samples).bootstrap(n, 0, chains=1, refit=samples)


def partition(n: int) -> Any:
    return infer.log_partition(couplings(60) / 0.3, n_chains=200, n_temperatures=100 * n, n_jobs=2)


def basins(n: int) -> Any:
    asymmetric = np.random.default_rng(0).normal(size=(200, 200)) * (1 - np.eye(200))  # rarely come to rest
    patterns = simulate.random_patterns(20, 200, seed=0)
    return retrieval.basins(asymmetric, patterns, n_repeats=2, max_sweeps=10 * n, n_jobs=2)


def capacity(n: int) -> Any:
    def dynamics(matrix: Any) -> simulate.Glauber:
        return simulate.Glauber(matrix, 0.5)

    return retrieval.capacity(
        simulate.hebbian, [0.1], 100, dynamics=dynamics, n_repeats=2, draws=100, thin=10 * n, n_jobs=2
    )


def tempering(n: int) -> Any:
    return simulate.parallel_tempering(couplings(300), 0.5, draws=n, thin=1000, burn_in=0, seed=0)


def learning(n: int) -> Any:
    patterns = simulate.random_patterns(5, 100, seed=0)
    return learn_patterns(patterns, 100 * n, free_state="thermal", temperature=0.5)


def free_state(n: int) -> Any:
    return free_correlations(couplings(200), "thermal", temperature=0.5, n_sweeps=100 * n)


def classifier(n: int) -> Any:
    rng = np.random.default_rng(0)
    return ContrastiveClassifier(n_epochs=n).fit(rng.random((1000, 64)), rng.integers(10, size=1000))


def likelihood(n: int) -> Any:
    model = infer.MaximumLikelihood("pcd", n_chains=100 * n, tol=1e-9, max_iter=n, errors=False)
    return model.fit(spins(2000, 30))


def fit_of_rows(n: int) -> Any:
    return infer.PseudoLikelihood(n_jobs=2).fit(spins(1000 * n, 100))


def missing_values(n: int) -> Any:
    samples = spins(100 * n, 30).astype(np.float64)
    samples[np.random.default_rng(0).random(samples.shape) < 0.2] = np.nan
    return infer.PseudoLikelihood(missing="mask").fit(samples)


def comparison(n: int) -> Any:
    patterns = simulate.random_patterns(10, 100, seed=0)
    return infer.compare(couplings(100), patterns, n_null=100 * n, n_bootstrap=100)


def landscape(n: int) -> Any:
    return infer.energy_landscape(couplings(100), n_model_rows=1000 * n)


def goodness(n: int) -> Any:
    samples = spins(1000 * n, 40)
    return infer.goodness_of_fit(infer.PseudoLikelihood(errors=False).fit(samples[:2000]), samples, n_jobs=2)


def unlearning(n: int) -> Any:
    return simulate.unlearn(couplings(500), 100 * n)


def driven(n: int) -> Any:
    return simulate.sample(simulate.PersistentGlauber(couplings(200), 1.0, 0.5), draws=100, thin=10 * n, n_jobs=2)


LONG = {jackknife: 1000, refits: 4000, partition: 10_000, basins: 10_000, capacity: 3000, tempering: 1000}
LONG |= {learning: 10_000, classifier: 10_000, likelihood: 300, fit_of_rows: 1000, missing_values: 100}
LONG |= {comparison: 1000, landscape: 1000, goodness: 1000, unlearning: 1000, driven: 1000, free_state: 10_000}


def interrupted(call: Any, before: float) -> str:
    """Exception of a call that is interrupted, and processor time of all threads until it arrives and afterwards.

    Processor time, since other processes may take most of the time; the interrupt comes after ``before`` seconds of it.
    """
    sent: list[float] = []
    over = threading.Event()

    def interrupt() -> None:
        begin = time.process_time()
        while time.process_time() < begin + before:
            if over.wait(0.01):
                return
        sent.append(time.process_time())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    clock = threading.Thread(target=interrupt)
    clock.start()
    try:
        call()
        found = "finished"
    except BaseException as error:
        found = type(error).__name__
    ended = time.process_time()
    over.set()
    clock.join()
    # busy itself, it shares the processors with threads that go on, however many other processes there are
    begin, own = time.process_time(), time.thread_time()
    while time.thread_time() < own + AFTER:
        pass
    others = time.process_time() - begin - (time.thread_time() - own)
    return f"{found} {ended - sent[0] if sent else 0:.2f} {others:.2f}"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background of a shell
    before = float(sys.argv[1])
    for name in sys.argv[2:]:
        call = globals()[name]
        call(2)
        sys.stdout.write(f"{name} {interrupted(partial(call, LONG[call]), before)}\n")
        sys.stdout.flush()
