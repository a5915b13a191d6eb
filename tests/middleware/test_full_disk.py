"""A disk that is really full or read-only: one line, nothing lost, and the command works once the disk does.

The file systems are mounted for the test, which only root may do; the same through injected errors is in test_faults.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_states import STATES, said

COMMANDS = ("run", "ingest", "publish", "report", "skymap", "certify", "camera", "refcat", "route")
SIZE = 32 * 2**20


def mount(*arguments: object) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(template: Path, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with the repositories on it."""
    point = tmp_path / "disk"
    point.mkdir()
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", point):
        pytest.skip("only root may mount a small file system")
    try:
        place = shutil.copytree(template, point / "place")
        (place / "said").symlink_to(tmp_path / "said")
        yield place
    finally:
        subprocess.run(["umount", "-l", point], check=True)


def refused(folder: Path, words: str) -> None:
    [line] = said(folder)
    assert line.startswith("etendue: error: ")
    assert words in line.lower()


def leave(disk: Path, free_kib: int) -> Path:
    """Fill the disk up to some KiB."""
    ballast = disk.parent / "ballast"
    room = os.statvfs(disk)
    with ballast.open("wb") as stream:
        stream.write(bytes(max(0, room.f_bavail * room.f_frsize - 1024 * free_kib)))
    return ballast


@pytest.mark.slow
@pytest.mark.parametrize("free_kib", [40, 250, *(pytest.param(k, marks=pytest.mark.thorough) for k in (4, 100))])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_loses_nothing(command, free_kib, server, disk, undisturbed):
    ballast = leave(disk, free_kib)
    if server.do(command, disk) != 0:
        refused(disk, "no space left on device")
    ballast.unlink()
    assert server.do(command, disk) == 0, said(disk)
    assert STATES[command](disk) == undisturbed(command)


@pytest.mark.slow
def test_workers_on_a_full_disk_lose_nothing(server, disk, undisturbed):
    ballast = leave(disk, 200)
    assert server.do("run_in_pool", disk) == 1
    refused(disk, "no space left on device")
    ballast.unlink()
    assert server.do("run_in_pool", disk) == 0, said(disk)
    assert STATES["run"](disk) == undisturbed("run")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_disk_is_one_line(command, server, disk, undisturbed):
    (disk / "fired").mkdir(exist_ok=True)
    assert mount("-o", "remount,ro", disk.parent)
    try:
        assert server.do(command, disk) == 1
        refused(disk, "read-only")
    finally:
        assert mount("-o", "remount,rw", disk.parent)
    assert server.do(command, disk) == 0, said(disk)
    assert STATES[command](disk) == undisturbed(command)
