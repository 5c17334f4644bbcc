"""Signals at random moments of commands: status, what is left, no hang. Results: VALIDATION.md."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
import xarray as xr

from infer.cli.console import one_line_errors, stop_on_signals
from infer.sweeps.plan import plan_sweep
from infer.sweeps.store import Store

REVERIE = Path(sys.executable).with_name("reverie")
TIMES = int(os.environ.get("REVERIE_SIGNALS", "20"))
LONGEST = 60.0  # seconds from the signal to the end
SWEEP = """
n_spins = 30
repeats = 4
load = [0.1, 0.2]
temperature = 2.0
draws = 1000
dynamics = [{ name = "persistent-threshold", persistence = [0.0, 0.5] }]
"""
COMMANDS = {
    "fit": ["fit", "rows.npy", "--output", "o.nc"],
    "report": ["report", "rows.npy", "--output", "o.html"],
    "sweep": ["sweep", "map.toml", "--output", "o.sqlite"],
    "simulate": ["simulate", "--output", "o.nc", "--draws", "4000", "--n-spins", "100"],
}
# processes in the background of a shell ignore interrupts, and so would those that they start
HEEDING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def start(name, folder):
    return subprocess.Popen(
        [sys.executable, "-c", HEEDING, str(REVERIE), *COMMANDS[name]],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def fill(folder):
    """Input of all commands; what is in the folder then."""
    folder.mkdir()
    (folder / "map.toml").write_text(SWEEP)
    np.save(folder / "rows.npy", np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (2000, 12)))
    return set(os.listdir(folder))


def check_output(name, folder, before, finished):
    """Output is whole or absent, a store can be read and resumed, and there are no other files."""
    left = set(os.listdir(folder)) - before
    if name == "sweep":
        assert left <= {"o.sqlite"}, left
        if left:
            cells = {cell.key for cell in plan_sweep(folder / "map.toml").cells}
            with Store.open(folder / "o.sqlite") as store:
                kept = store.outcomes()
            assert set(kept) <= cells
            assert all(outcome.error is None for outcome in kept.values())
            assert not finished or set(kept) == cells
            return len(kept)
    elif name == "report":
        assert left in ([set(), {"o.html"}, {"o.html", "o.json"}] if not finished else [{"o.html", "o.json"}]), left
        assert not left or (folder / "o.html").read_text().rstrip().endswith("</html>")
    else:
        assert left == {"o.nc"} if finished else left <= {"o.nc"}, left
        if left:
            with xr.open_dataset(folder / "o.nc", engine="h5netcdf") as found:
                assert len(found.data_vars) > 0
    return 0


@pytest.mark.validation
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", list(COMMANDS))
def test_signals_at_random_moments(tmp_path, name, number):
    rng = random.Random(f"{name} {number}")
    before = fill(tmp_path / "whole")
    begin = time.monotonic()
    with start(name, tmp_path / "whole") as process:
        assert process.wait(timeout=600) == 0, process.stderr.read()
    duration = time.monotonic() - begin
    check_output(name, tmp_path / "whole", before, True)
    statuses, slowest, most_kept = [], 0.0, 0
    for k in range(TIMES):
        folder = tmp_path / str(k)
        before = fill(folder)
        with start(name, folder) as process:
            time.sleep(rng.uniform(0.02, 1.0) * duration)
            process.send_signal(number)
            sent = time.monotonic()
            try:
                _, text = process.communicate(timeout=LONGEST)
            finally:
                process.kill()
        slowest = max(slowest, time.monotonic() - sent)
        status = process.returncode
        statuses.append(status)
        # Python itself takes the signal before the command runs: it ends by it, with its own traceback of an interrupt
        early = status in (-number, 1) and not (set(os.listdir(folder)) - before)
        assert status in (0, 128 + number) or early, (status, text)
        assert early or "Traceback" not in text, text
        if early and status == 1:
            assert "KeyboardInterrupt" in text, text
        kept = check_output(name, folder, before, status == 0)
        most_kept = max(most_kept, kept)
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    sys.stderr.write(f"{name} {number.name}: statuses {counts}, slowest end {slowest:.1f} s, kept {most_kept}\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_turns_into_an_error_stops_the_command(number, status, capsys):
    """Matplotlib reported one inside of its compiled code as an invalid transformation: 1 of 20 reports."""

    @one_line_errors
    def command():
        try:
            signal.raise_signal(number)
        except BaseException:
            raise ValueError("Invalid affine transformation matrix") from None

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here
        stop_on_signals()
        with pytest.raises((SystemExit, typer.Exit)) as stopped:
            command()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        stop_on_signals.__globals__["_raised"].clear()
    assert status == getattr(stopped.value, "exit_code", getattr(stopped.value, "code", None))
    assert "affine" not in capsys.readouterr().err


def test_a_signal_waits_for_the_compiler():
    """In 300 compilations it was lost in a callback 31 times, ended by a segmentation fault 5, printed errors 4."""
    code = """
import os, signal, time
from infer.cli.console import stop_on_signals
import llvmlite.binding as llvm
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
stop_on_signals()

def meet(module, buffer):
    signal.raise_signal(signal.SIGTERM)
    print("notified", flush=True)

module = llvm.parse_assembly("define i32 @f() { ret i32 1 }")
engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
engine.set_object_cache(meet, lambda module: None)
engine.finalize_object()
print("compiled", flush=True)
time.sleep(20)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert found.stdout == "notified\ncompiled\n"
    assert found.stderr == ""
    assert found.returncode == 143
