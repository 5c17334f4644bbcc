"""Every line of code in the guides of the documentation site runs, in order, and prints what is shown below it."""

import contextlib
import io
import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from infer.cli.commands import app

FOLDER = Path(__file__).parents[1] / "notebooks"
# recipes have a test of their own
GUIDES = [path for path in sorted(FOLDER.glob("*.md")) if path.stem != "recipes"]
PAGES = [path for path in GUIDES if "\n```" in path.read_text(encoding="utf-8")]
BLOCK = re.compile(r"(?:<!-- (?P<mark>.+?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
#: What readers do before the commands of reverie work; `.ci/run` and the tests of the README do it.
OUTSIDE = re.compile(r"^python3 -m venv \.venv && \.venv/bin/pip install ")


def blocks(path: Path) -> list[dict[str, Any]]:
    return [match.groupdict() for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]


class StopError(Exception):
    """Stops a report once its file was read."""


def run_command(line: str, patch: pytest.MonkeyPatch) -> str:
    """Standard output of a command; a report is made up to the analysis, which has tests of its own."""
    if OUTSIDE.match(line):
        return ""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "reverie", f"not run by this test: {line}"

    def stop(*_: Any, **__: Any) -> None:
        raise StopError

    with patch.context() as within:
        if arguments[0] == "report":
            within.setattr("infer.report.analysis.analyse", stop)
        result = CliRunner().invoke(app, arguments)
    if arguments[0] == "report":
        assert isinstance(result.exception, StopError), result.output
        return ""
    assert result.exit_code == 0, result.output
    return result.stdout


def run_on_a_cluster(line: str, patch: pytest.MonkeyPatch) -> str:
    """The command up to the cluster, which has tests of its own (`tests/infer/sweeps`)."""
    seen: dict[str, Any] = {}

    def sweep(config: Any, store: Any = None, **options: Any) -> pd.DataFrame:
        seen.update(options)
        return pd.DataFrame({"status": ["settled"]})

    with patch.context() as within:
        within.setattr("infer.sweeps.run.sweep", sweep)
        CliRunner().invoke(app, shlex.split(line)[1:])
    assert (seen["backend"], seen["scheduler"][:6]) == ("dask", "tcp://")
    return ""


def outputs(path: Path, patch: pytest.MonkeyPatch) -> Iterator[tuple[dict[str, Any], str]]:
    """Each block of text with what was printed since the one before; commands may leave their output out."""
    module = types.ModuleType("guide")
    patch.setitem(sys.modules, "guide", module)
    printed = ""
    found = blocks(path)
    for block, after in zip(found, [*found[1:], {"language": ""}], strict=True):
        language, code = block["language"], block["code"]
        if language == "text":
            yield block, printed
            printed = ""
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(code, path.name, "exec"), module.__dict__)
            printed += said.getvalue()
        elif language == "sh":
            lines = code.replace("\\\n", " ").strip().splitlines()
            run = run_on_a_cluster if block["mark"] == "cluster" else run_command
            said_by_commands = "".join([run(line, patch) for line in lines])
            printed += said_by_commands if after["language"] == "text" else ""
        elif language == "toml":
            Path(block["mark"]).write_text(code, encoding="utf-8")
        else:
            raise AssertionError(f"{path.name}: a block of {language} is not run by this test")
    yield {"code": ""}, printed


def same(shown: str, printed: str) -> bool:
    """Same words, and numbers that differ by no more than another linear algebra may change: one in the last digit."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= 1.01 * 10.0 ** -len(a.partition(".")[2]) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_guide(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block, printed in outputs(path, monkeypatch):
        assert same(block["code"], printed), f"shown:\n{block['code']}\nprinted:\n{printed}"


def test_all_blocks_are_found() -> None:
    assert {"tutorial", "simulate", "recording", "sweeps", "contrastive"} <= {path.stem for path in PAGES}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        # directives of the site are written with colons, so that three backticks mean code
        assert text.count("```") == 2 * len(blocks(path)), path.name


def test_a_wrong_output_would_be_noticed() -> None:
    assert same("rate 0.14 +- 0.02\n", "rate 0.15 +- 0.02\n")
    assert not same("rate 0.14\n", "rate 0.16\n")
    assert not same("rate 0.14\n", "slope 0.14\n")
    assert not same("rate 0.14\n", "rate 0.14\nmore 1\n")
