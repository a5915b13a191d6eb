"""A file is whole or not there; what the disk refuses is told apart from bugs."""

import errno
import sqlite3

import pytest

from etendue import faults
from etendue.disk import disk_trouble, is_part, whole_file


@pytest.fixture(autouse=True)
def disarmed():
    yield
    faults.arm("")


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with whole_file(path, "page") as part:
        assert part.suffix == ".html"
        assert is_part(part.name)
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("action", ["no-space", "read-only", "io-error"])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, action):
    path = tmp_path / "page.html"
    path.write_text("old")
    faults.arm(f"page.before-rename={action}")
    with pytest.raises(OSError, match=r"page\.before-rename"), whole_file(path, "page") as part:
        part.write_text("new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_a_body_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError), whole_file(tmp_path / "x", "x") as part:
        part.write_text("half \N{GREEK SMALL LETTER ALPHA}", encoding="ascii")
    assert not list(tmp_path.iterdir())


def test_trouble_of_the_disk_is_found_among_the_causes():
    outer = ValueError("cannot write")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert disk_trouble(outer) == "no space left on device"
    assert disk_trouble(sqlite3.OperationalError("database or disk is full")) == "no space left on device"
    assert "read-only file system" in disk_trouble(sqlite3.OperationalError("attempt to write a readonly database"))
    assert disk_trouble(sqlite3.OperationalError("no such table: x")) == ""
    assert disk_trouble(FileNotFoundError(errno.ENOENT, "No such file")) == ""
    assert disk_trouble(ValueError("database or disk is full")) == ""


def test_a_fault_fires_at_its_passage_only_and_once_in_all_processes(tmp_path):
    faults.arm("run.clock@2=clock:-60", str(tmp_path))
    faults.fault_point("run.clock")
    assert faults.clock_shift_s() == 0.0
    faults.fault_point("run.clock")
    faults.fault_point("run.clock")
    assert faults.clock_shift_s() == -60.0
    faults.arm(*faults.armed())  # as another process does
    faults.fault_point("run.clock")
    faults.fault_point("run.clock")
    assert faults.clock_shift_s() == 0.0
    assert [path.name for path in tmp_path.iterdir()] == ["run.clock"]


def test_a_point_costs_next_to_nothing_when_no_fault_is_armed():
    import timeit

    assert timeit.timeit(lambda: faults.fault_point("run.clock"), number=1000) < 0.01
