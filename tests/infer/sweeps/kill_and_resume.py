"""Script: run a sweep again and again in a process that is killed at random moments, until it ends by itself.

python kill_and_resume.py CONFIG STORE KILLS SEED

Processes are forked from one that has everything imported and compiled, so that the moments fall on the work itself.
Prints, as JSON, how many cells the store held after each kill, and the pid of every process that computed a cell.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from infer.sweeps import run
from infer.sweeps.plan import plan_sweep
from infer.sweeps.store import Store

computed_by = Path(sys.argv[2]).with_suffix(".pids")


def noted(cell, compute=run.try_cell):
    """Compute a cell and leave a note once it is done."""
    outcome = compute(cell)
    with computed_by.open("a") as notes:
        notes.write(f"{os.getpid()}\t{cell.key}\n")
    return outcome


def start(path):
    """A process that runs the sweep."""
    pid = os.fork()
    if pid == 0:
        run.sweep(config, path, n_jobs=1)
        os._exit(0)
    return pid


def duration(path):
    """How long a run takes that nobody disturbs."""
    begin = time.perf_counter()
    _, status = os.waitpid(start(path), 0)
    assert status == 0
    return time.perf_counter() - begin


def count():
    """Cells kept, as a reader sees them."""
    try:
        with Store.open(store) as kept:
            return len(kept.outcomes())
    except (ValueError, OSError):
        return 0


config, store, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
cells = plan_sweep(config).cells
for cell in cells[-3:] + cells[:3]:
    run.try_cell(cell)
whole, empty = duration(store.with_suffix(".whole")), duration(store.with_suffix(".whole"))
share = (whole - empty) / kills
run.try_cell = noted

rng = random.Random(seed)
kept_after_kill = []
for kill in range(kills):
    pid = start(store)
    # the first while the store comes to be, the others anywhere in about twice their share of the work
    time.sleep(rng.uniform(0, empty if kill == 0 else empty + 2 * share))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kept_after_kill.append(count())
_, status = os.waitpid(start(store), 0)
assert status == 0
sys.stdout.write(json.dumps({"kept": kept_after_kill, "cells": len(cells)}) + "\n")
