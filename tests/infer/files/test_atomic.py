"""Atomic file writes: complete files or none."""

import os
from pathlib import Path

import numpy as np
import pytest

from infer.files.atomic import atomic_write, check_writable


def test_writes_under_another_name_and_renames(tmp_path: Path) -> None:
    target = tmp_path / "result.npy"
    with atomic_write(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npy"  # numpy.save and matplotlib choose by the ending
        np.save(temporary, np.arange(3))
        assert not target.exists()
    assert os.listdir(tmp_path) == ["result.npy"]
    np.testing.assert_array_equal(np.load(target), np.arange(3))


def write_half(path: Path, error: BaseException) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit()])
def test_failure_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_half(tmp_path / "result.txt", error)
    assert os.listdir(tmp_path) == []


def test_failure_keeps_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="disk"):
        write_half(target, OSError("disk full"))
    assert os.listdir(tmp_path) == ["result.txt"]
    assert target.read_text() == "old"


def test_follows_a_link_and_replaces_the_file_behind_it(tmp_path: Path) -> None:
    target, link = tmp_path / "result.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_body_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing was written"), atomic_write(tmp_path / "result.txt"):
        pass


@pytest.mark.parametrize(
    ("name", "message"), [("absent/result.txt", "does not exist"), (".", "is a folder"), ("pipe", "not a regular file")]
)
def test_places_that_cannot_be_written_to(tmp_path: Path, name: str, message: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=message):
        check_writable(tmp_path / name)
    with pytest.raises(ValueError, match=message), atomic_write(tmp_path / name):
        raise AssertionError("the body must not run")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(ValueError, match="may not be written to"):
        check_writable(folder / "result.txt")
