"""etendue overrides: check, show, add, apply; and what run tells before it runs."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from etendue import faults
from etendue.camera.shipped import load_camera
from etendue.cli.main import main
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey


def etendue(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def biases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overrides")
    write_survey(small_survey("r", bias=4, stars=0.0), folder / "frames")
    home = Repository.create(folder / "repo")
    home.register_camera(load_camera("simcam"))
    home.ingest(sorted((folder / "frames" / "bias").iterdir()))
    return folder / "repo"


@pytest.fixture
def repo(biases, tmp_path):
    shutil.copytree(biases, tmp_path / "repo")
    return tmp_path / "repo"


def test_a_bad_frame_is_added_checked_and_shown(repo):
    assert "nothing" in etendue("overrides", "show", "-b", repo).output
    text = etendue("overrides", "add", "-b", repo, "--bad", "simcam_2025072200002_000", "--reason", "light leak").output
    assert "simcam_2025072200002_000.fits.fz (exposure 2025072200002): excluded: light leak" in " ".join(text.split())
    told = json.loads(etendue("overrides", "show", "-b", repo, "--json").output)["frames"]
    assert [(row["said"], row["in force"]) for row in told] == [("excluded: light leak", True)]
    with (repo / "overrides.yaml").open("a") as stream:
        stream.write("masks: [{frame: nothing, box: '[1:2,1:2]'}]\n")
    text = etendue("overrides", "check", "-b", repo).output
    assert "2 entries, 1 frame" in text
    assert "masks.0 means no frame" in text


def test_a_name_that_no_frame_has_is_kept_for_later_and_said(repo):
    assert "no frame of this repository is meant yet" in etendue(
        "overrides", "add", "-b", repo, "--bad", "tomorrow*", "--reason", "moon"
    ).output  # fmt: skip
    assert "tomorrow*" in (repo / "overrides.yaml").read_text()


def test_a_frame_is_added_once_and_a_full_disk_leaves_the_file_as_it_was(repo, tmp_path):
    target = tmp_path / "kept elsewhere.yaml"
    target.write_text("# clouds after midnight\n", encoding="utf-8")
    (repo / "overrides.yaml").symlink_to(target)
    etendue("overrides", "add", "-b", repo, "--bad", "nuit étoilée*", "--reason", "lumière")
    before = target.read_text(encoding="utf-8")
    assert before.startswith("# clouds after midnight\n")
    assert (repo / "overrides.yaml").is_symlink()
    (line,) = etendue(
        "overrides", "add", "-b", repo, "--bad", "nuit étoilée*", "--reason", "x", status=1
    ).stderr.splitlines()
    assert "is a bad frame already: lumière; edit it there" in line
    faults.arm("overrides-yaml.before-rename=no-space")
    try:
        assert "space" in etendue("overrides", "add", "-b", repo, "--bad", "b", "--reason", "x", status=1).stderr
    finally:
        faults.arm("")
    assert target.read_text(encoding="utf-8") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept elsewhere.yaml", "repo"]


def test_a_wrong_file_is_one_line(repo):
    (repo / "overrides.yaml").write_text("bad_frames: [{frame: a}]\n")
    for command in (("check",), ("show",), ("apply",), ("add", "--bad", "x", "--reason", "y")):
        result = etendue("overrides", command[0], "-b", repo, *command[1:], status=1)
        (line,) = result.stderr.splitlines()
        assert "overrides.yaml: bad_frames.0.reason: Field required; add 'bad_frames.0.reason'" in line


@pytest.mark.slow
def test_run_tells_what_an_override_changes_and_runs_only_that(repo):
    etendue("run", "calib", "-b", repo, "-j", 1)
    dry = json.loads(etendue("run", "calib", "-b", repo, "--dry-run", "--json").output)
    assert {row["task"]: row["rerun"] for row in dry["changes"]} == {
        "build_bias": 0, "build_defects": 0, "verify_calibrations": 0,
    }  # fmt: skip
    text = "bad_frames: [{frame: simcam_2025072200002_000, reason: light leak}]\n"
    (repo / "overrides.yaml").write_text(text)
    told = etendue("run", "calib", "-b", repo, "--dry-run").output
    assert "nothing -> excluded: light leak" in " ".join(told.split())
    dry = json.loads(etendue("run", "calib", "-b", repo, "--dry-run", "--json").output)["changes"]
    assert [row["what changed"] for row in dry] == [
        "override: 0 -> 1", "after build_bias", "override: 0 -> 1; after build_bias; after build_defects",
    ]  # fmt: skip
    etendue("run", "calib", "-b", repo, "-j", 1)
    home = Repository.open(repo)
    (bias,) = home.query("bias", collections="simcam/calibrations")
    assert home.get(bias, component="metadata")["n_frames"] == 3
    again = json.loads(etendue("run", "calib", "-b", repo, "-j", 1, "--json").output)
    assert again["executed"] == 0
    assert json.loads(etendue("run", "calib", "-b", repo, "-j", 1, "--all", "--json").output)["executed"] == 3
    assert Path(repo / "overrides.yaml").read_text() == text
