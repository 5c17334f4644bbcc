"""A Dask cluster that is lost ends a sweep with one line, and with every result that has come, whatever the order."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from infer import sweep
from infer.cli.commands import app
from infer.sweeps import run as driver
from infer.sweeps.cell import NUMBERS, Outcome

distributed = pytest.importorskip("distributed")

TOML = """
n_spins = 16
load = 0.25
temperature = [2.0, 3.0, 4.0, 5.0]

[[dynamics]]
name = "glauber"
"""
NO_WORKER = r"lost all of its workers, .* 0\.01 seconds; results so far are kept"
LOST = "the Dask cluster was lost; results so far are kept"


class Cluster:
    """Stands in for a client: ``ready`` results come in one batch, then the cluster has no worker any more.

    Results are outcomes or an exception; ``status`` is that of their futures by the time they are read.
    """

    loop = None

    def __init__(self, status: list[str], results: list[Any]):
        self.status, self.results = status, results
        self.workers = {"tcp://worker": 1}

    def __call__(self, *arguments: Any, **options: Any) -> "Cluster":  # in place of the class
        return self

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def ncores(self) -> dict[str, int]:
        return self.workers

    def map(self, compute: Any, cells: list[Any], pure: bool) -> list[Any]:
        waiting = len(cells) - len(self.status)
        self.futures = [SimpleNamespace(status=each) for each in (*self.status, *["pending"] * waiting)]
        self.batch = [
            (future, Outcome(cell.key, dict.fromkeys(NUMBERS, 1.0)) if result is None else result)
            for future, cell, result in zip(self.futures, cells, self.results, strict=False)
        ]
        return self.futures

    def cancel(self, futures: list[Any]) -> None:
        pass

    def as_completed(self, futures: list[Any], **options: Any) -> Any:
        def next_batch(block: bool) -> list[Any]:
            batch, self.batch, self.workers = self.batch, [], {}
            return batch

        return SimpleNamespace(is_empty=lambda: False, has_ready=lambda: bool(self.batch), next_batch=next_batch)


CASES = [
    # the second result had come when its worker was lost, and the loss was told before it was read
    (["finished", "lost"], [None, None], TimeoutError, NO_WORKER, 2),
    (["finished", "pending"], [None, None], TimeoutError, NO_WORKER, 2),
    (["finished", "cancelled"], [None, distributed.CancelledError()], ConnectionError, LOST, 1),
    # the connection broke while the second result was fetched, which is then never ready
    (["finished", "cancelled"], [None], ConnectionError, LOST, 1),
]


@pytest.fixture(params=CASES)
def lost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, ...]:
    status, results, *expected = request.param
    cluster = Cluster(status, results)
    monkeypatch.setattr(driver, "SECONDS_FOR_WORKERS", 0.01)
    monkeypatch.setattr(distributed, "Client", cluster)
    monkeypatch.setattr(distributed, "as_completed", cluster.as_completed)
    (tmp_path / "map.toml").write_text(TOML)
    return tuple(expected)


def kept(path: Path) -> int:
    with sqlite3.connect(path) as store:
        (number,) = store.execute("SELECT count(*) FROM cells WHERE error IS NULL").fetchone()
    store.close()
    return int(number)


def test_a_lost_cluster_keeps_what_has_come(lost: tuple[Any, ...], tmp_path: Path):
    error, message, number = lost
    with pytest.raises(error, match=message):
        sweep(tmp_path / "map.toml", tmp_path / "s.sqlite", backend="dask", scheduler="tcp://scheduler:8786")
    assert kept(tmp_path / "s.sqlite") == number


def test_the_command_says_so_and_ends_with_status_one(lost: tuple[Any, ...], tmp_path: Path):
    _, _, number = lost
    options = ["--output", str(tmp_path / "s.sqlite"), "--backend", "dask", "--scheduler", "tcp://scheduler:8786"]
    result = CliRunner().invoke(app, ["sweep", str(tmp_path / "map.toml"), *options, "--no-progress"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the Dask cluster ")
    assert result.stderr.endswith("results so far are kept, run again to resume\n")
    assert result.stderr.count("\n") == 1
    assert kept(tmp_path / "s.sqlite") == number
