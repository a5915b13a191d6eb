"""What may not be read or written is one line and stops nothing else; root is made to obey permissions first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from etendue.camera.shipped import load_camera
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey

UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(UNPRIVILEGED) and shutil.which("setpriv") is None, reason="root needs setpriv to be refused like others"
    ),
]


def etendue(*arguments, status=0):
    command = [*UNPRIVILEGED, str(Path(sys.executable).with_name("etendue")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def night(tmp_path):
    write_survey(small_survey("r", bias=1, stars=0.0), tmp_path / "night")
    yield tmp_path / "night"
    for folder in (tmp_path / "repo", tmp_path / "night" / "closed"):
        folder.chmod(0o755) if folder.exists() else None


@pytest.fixture
def repo(tmp_path):
    Repository.create(tmp_path / "repo").register_camera(load_camera("simcam"))
    return tmp_path / "repo"


def test_an_unreadable_frame_and_a_closed_folder_are_refused_by_name_and_stop_no_other(night, repo):
    good, locked = sorted(night.rglob("*.fits.fz"))
    locked.chmod(0)
    (night / "closed").mkdir(mode=0)
    told = etendue("ingest", repo, good, locked).stdout
    assert "1 ingested, 1 refused" in told
    assert f"refused {locked}: may not be read; change its permissions" in told
    told = etendue("ingest", repo, night).stdout
    assert "1 already there, 2 refused" in told
    assert f"refused {night / 'closed'}: may not be read; change its permissions" in told


def test_another_s_repository_can_be_read_and_says_that_it_cannot_be_written(night, repo):
    for path in (*repo.rglob("*"), repo):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert "simcam" in etendue("camera", "list", "-b", repo).stdout
    for command in (["ingest", repo, night], ["run", "drp", "-b", repo], ["overrides", "apply", "-b", repo]):
        (line,) = etendue(*command, status=1).stderr.splitlines()
        assert line.startswith(f"etendue: error: {repo}: cannot open the repository: no permission to write, or")


def test_a_place_that_cannot_be_written_is_told_before_the_work(night, tmp_path):
    frame, shut = next(night.rglob("*.fits.fz")), tmp_path / "shut"
    shut.mkdir(mode=0o555)
    done = etendue("process", frame, "--out", shut / "out", status=1)
    assert f"failed: {frame}: {shut}: cannot be written to; choose another --out" in done.stdout
    (line,) = etendue("init", shut / "repo", status=1).stderr.splitlines()
    assert "cannot create a repository: Permission denied" in line
