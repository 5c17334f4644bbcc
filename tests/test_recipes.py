"""Each line of the page of recipes runs, with a file made by the library that makes it."""

import json
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import infer
from infer.cli.commands import app
from infer.recordings.recording import Recording
from tests.infer.recordings.lab_files import FILES, OBJECTS, SPINS

PAGE = Path(__file__).parents[1] / "notebooks" / "recipes.md"
RECIPE = re.compile(r"<!-- (.+?): (.+?) -->\n```(sh|python)\n(.+?)```", re.DOTALL)
FOUND = [match.groups() for match in RECIPE.finditer(PAGE.read_text(encoding="utf-8"))]
COMMANDS = [(name, file, lines) for name, file, language, lines in FOUND if language == "sh"]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(COMMANDS)]
SCRIPTS = [(name, lines) for _, names, language, lines in FOUND if language == "python" for name in names.split(", ")]


class StopError(Exception):
    """Stops a command once its file was read."""


def made(lab: Any, folder: Path) -> Any:
    """The file or the object; what its library warns of is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lab.make(folder)


def placed(name: str, file: str, folder: Path) -> None:
    """The file under the name that the recipe gives it."""
    (folder / "made").mkdir()
    made(FILES[name], folder / "made").rename(folder / file)


def test_every_block_of_the_page_is_a_recipe() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(COMMANDS) > 20
    assert text.count("```") == 2 * len(FOUND)
    assert {name for name, *_ in COMMANDS} <= FILES.keys()
    assert {name for name, _ in SCRIPTS} <= OBJECTS.keys()


@pytest.mark.parametrize(
    ("name", "file", "lines"), COMMANDS, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(COMMANDS)]
)
def test_commands_read_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, lines: str
) -> None:
    """The command as it stands, up to the analysis, which is the same for all."""
    placed(name, file, tmp_path)
    monkeypatch.chdir(tmp_path)
    seen: list[Recording] = []

    def analyse(recording: Recording, *_: Any, **__: Any) -> None:
        seen.append(recording)
        raise StopError

    monkeypatch.setattr("infer.report.analysis.analyse", analyse)
    for line in lines.strip().splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert isinstance(result.exception, StopError), result.output
        assert all(text.startswith("note: ") for text in result.stderr.splitlines()), result.stderr
        spins = SPINS[:, [0, 1, 3]] if "--units 0,1,3" in line else SPINS
        np.testing.assert_array_equal(seen.pop().spins, spins)


@pytest.mark.validation
@pytest.mark.parametrize(
    ("name", "file", "lines"), COMMANDS, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(COMMANDS)]
)
def test_commands_write_their_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, lines: str
) -> None:
    placed(name, file, tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in lines.strip().splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["names"]
        (tmp_path / "report.html").unlink()


@pytest.mark.parametrize(("name", "lines"), SCRIPTS, ids=[name for name, _ in SCRIPTS])
def test_scripts_read_their_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lines: str) -> None:
    data = made(OBJECTS[name], tmp_path)
    seen: list[Recording] = []
    monkeypatch.setattr(infer, "analyse", seen.append, raising=False)
    monkeypatch.setattr(infer, "write_report", lambda analysis, path: None, raising=False)
    exec(lines, {"data": data})
    np.testing.assert_array_equal(seen.pop().spins, SPINS)
