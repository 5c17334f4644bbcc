"""What the README shows is true: its Python runs, its commands exist."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_finds_the_rate(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    model = names["model"]
    # the theory shown beside it is of second order in 1/T: near the fitted rate, not equal to it
    assert 0.03 < model.rate_ < 0.2
    assert model.rate_std_ < 0.02
    assert "rate" in capsys.readouterr().out


def test_the_commands_it_names_exist():
    import typer.main

    from infer.cli import app

    commands = set(typer.main.get_command(app).commands)
    named = set(re.findall(r"`?reverie ([a-z]+)", README)) - {"lets"}
    assert {"demo", "report", "simulate", "fit", "compare"} <= named & commands
