"""Folders of Kilosort and phy: spike times in samples, clusters and their quality labels."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.spike_times import SpikeTimes, spikes_of_labels
from infer.wording import shown

# a Python file, read as text and never executed
RATE = re.compile(r"^\s*sample_rate\s*=\s*([0-9][0-9_.eE+]*)", re.MULTILINE)
MOST_BYTES = 10_000_000
LABELS = ("group", "KSLabel")  # manual labels; those of Kilosort


def is_phy(path: Path) -> bool:
    """Whether a folder holds sorted spikes."""
    clusters = (path / "spike_clusters.npy", path / "spike_templates.npy")
    return (path / "spike_times.npy").is_file() and any(each.is_file() for each in clusters)


def read_phy(path: Path, key: str | None) -> SpikeTimes:
    """Spike times in seconds of all clusters; by default those labelled good are taken."""
    times = np.load(path / "spike_times.npy", allow_pickle=False)
    curated = path / "spike_clusters.npy"
    clusters = np.load(curated if curated.is_file() else path / "spike_templates.npy", allow_pickle=False)
    if times.dtype.kind not in "iu" or clusters.dtype.kind not in "iu":
        raise InputError(f"{path}: spike times and clusters are {times.dtype} and {clusters.dtype}, not whole numbers")
    spikes = spikes_of_labels(str(path), np.ravel(times) / _rate(path), np.ravel(clusters))
    table = _clusters(path, spikes.names)
    label = next((name for name in LABELS if "good" in table.get(name, ())), None)
    return SpikeTimes(
        spikes.times,
        spikes.units,
        spikes.names,
        unit_table={"cluster_id": spikes.names, **table},
        default_units=None if label is None else f"{label}=good",
    )


def _rate(path: Path) -> float:
    """Samples per second, from params.py."""
    try:
        found = RATE.search((path / "params.py").read_bytes()[:MOST_BYTES].decode("utf-8", errors="replace"))
    except OSError:
        found = None
    try:
        rate = float(found.group(1)) if found else 0.0
    except ValueError:
        rate = 0.0
    if not 0 < rate < np.inf:
        raise InputError(
            f"{path}: params.py does not give the sampling rate; write a line such as sample_rate = 30000 into it"
        )
    return rate


def _clusters(path: Path, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Labels of each cluster from tables such as cluster_group.tsv and cluster_info.tsv; "" where there is none."""
    place = {name: i for i, name in enumerate(names)}
    table: dict[str, list[Any]] = {}
    # manual labels are read last and replace others
    files = sorted(path.glob("cluster_*.tsv"), key=lambda each: (each.name == "cluster_group.tsv", each.name))
    for file in files[:50]:
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            continue
        with file.open(encoding="utf-8", errors="replace", newline="") as handle:
            rows = csv.DictReader(handle, delimiter="\t")
            identity = next((name for name in ("cluster_id", "id") if name in (rows.fieldnames or ())), None)
            if identity is None:
                raise InputError(f"{path}: {shown(file.name)} has no column cluster_id")
            for row in rows:
                unit = place.get((row[identity] or "").strip())
                for name, value in row.items():
                    if unit is not None and isinstance(name, str) and name != identity:
                        table.setdefault(name, [""] * len(names))[unit] = value or ""
    return table


FORMAT = Format(
    name="phy",
    endings=(),
    is_folder=is_phy,
    read_spikes=read_phy,
    has_keys=False,
)
