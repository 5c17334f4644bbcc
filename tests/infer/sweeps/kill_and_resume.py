"""Script: run a sweep again and again in a process that is killed at random moments, until it ends by itself.

python kill_and_resume.py CONFIG STORE KILLS SEED

Processes are forked from one that has everything imported and compiled, so that the moments fall on the work itself.
Prints, as JSON, how many cells the store held after each kill; notes beside the store which cells were computed.
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

computed = Path(sys.argv[2]).with_suffix(".computed")


def noted(cell, compute=run.try_cell):
    """Compute a cell and leave a note once it is done."""
    outcome = compute(cell)
    with computed.open("a") as notes:
        notes.write(f"{cell.key}\n")
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
# on a machine that has become slower since, kills go on until some have fallen into the midst of the work
while len(kept_after_kill) < kills or (len(set(kept_after_kill)) < 4 and max(kept_after_kill) < len(cells)):
    pid = start(store)
    # the first while the store comes to be, the others anywhere in about twice their share of the work
    time.sleep(rng.uniform(0, empty + 2 * share if kept_after_kill else empty))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kept_after_kill.append(count())
    if kept_after_kill[-2:-1] == kept_after_kill[-1:]:
        share *= 1.2
_, status = os.waitpid(start(store), 0)
assert status == 0
sys.stdout.write(json.dumps({"kept": kept_after_kill, "cells": len(cells)}) + "\n")
