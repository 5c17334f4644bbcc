"""Benchmarks say first how long they take."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "about 1 second on"),
        (37.0, "about 35 seconds on"),
        (100.0, "about 2 minutes on"),
        (89 * 60.0, "about 90 minutes on"),
        (7300.0, "about 2 hours on"),
    ],
)
def test_durations_are_round_numbers(
    seconds: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "duration", raising=False)
    from duration import announce

    announce(seconds)
    announce(seconds, processors=2)
    one, two = capsys.readouterr().out.splitlines()
    assert one == f"{said} one processor that does nothing else"
    assert two == f"{said} 2 processors that do nothing else"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_benchmark_announces_its_duration(path: Path) -> None:
    assert "    announce(" in path.read_text(encoding="utf-8")
