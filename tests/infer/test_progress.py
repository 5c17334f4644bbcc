"""Steps of a command: dots in a pipe, a live line and shares of the time on a terminal, nothing while it is young."""

import io
import re
import time

import pytest

from infer import progress
from infer.progress import end_line, shown_steps, step


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(wanted: bool = True, seconds: float = 0.15) -> None:
    with shown_steps(wanted):
        with step("first"):
            time.sleep(seconds)
        with shown_steps(False), step("second"):  # steps of a function that is called on the way
            time.sleep(seconds)


@pytest.mark.slow
def test_a_line_with_dots_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.02)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    run()
    written = progress.sys.stderr.getvalue()
    assert re.fullmatch(r"first \.+ [\d.]+ s\nsecond \.+ [\d.]+ s\n", written), written


def test_short_commands_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    run(seconds=0.0)
    run(wanted=False, seconds=0.0)
    assert progress.sys.stderr.getvalue() == ""


@pytest.mark.slow
def test_short_steps_are_named_once_a_command_is_not_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.1)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with shown_steps(True):
        with step("short"):
            pass
        with step("long"):
            time.sleep(0.3)
            end_line()  # as a warning does
            progress.sys.stderr.write("warning: x\n")
    assert re.fullmatch(r"short 0\.0 s\nlong \.+\nwarning: x\nlong [\d.]+ s\n", progress.sys.stderr.getvalue())


@pytest.mark.slow
def test_a_terminal_shows_the_running_step_and_shares_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "REFRESH", 0.01)
    monkeypatch.setattr("sys.stderr", Terminal())
    run()
    written = progress.sys.stderr.getvalue()
    assert "\r\x1b[Kfirst (0 s)" in written
    assert re.search(r"\r\x1b\[K0 s: first \d+%, second \d+%\n$", written), written


def test_an_error_ends_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.02)
    monkeypatch.setattr("sys.stderr", io.StringIO())

    def interrupted() -> None:
        with shown_steps(True), step("stopped"):
            time.sleep(0.1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert re.fullmatch(r"stopped \.+\n", progress.sys.stderr.getvalue())
    assert vars(progress)["_current"] is None
