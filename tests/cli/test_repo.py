"""The commands that look after repositories say what they did, in tables or JSON, and fail in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from etendue.cli.main import main
from etendue.middleware.repository import Repository

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def etendue(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def night(tmp_path: Path) -> Path:
    assert etendue("init", tmp_path / "night").exit_code == 0
    home = Repository.open(tmp_path / "night")
    home.butler.registry.insertDimensionData("instrument", {"name": "x", "class_name": "etendue.middleware.cameras.x"})
    home.register_dataset_type("note", ("instrument",), "EtendueText")
    home.put("clouds", "note", {"instrument": "x"}, run="scratch/notes")
    return home.path


@pytest.fixture
def file(night: Path) -> Callable[[], Path]:
    return lambda: next(night.rglob("note_*.txt"))


def test_a_check_tells_damage_and_repairs_it(night, file, tmp_path):
    assert "1 datasets, 1 files" in etendue("repo", "check", night).output
    etendue("init", tmp_path / "replica")
    assert "1 new of 1 datasets" in etendue("repo", "transfer", night, tmp_path / "replica").output
    file().write_text("fogged")
    told = etendue("repo", "check", night, "--json")
    assert told.exit_code == 1
    facts = json.loads(told.output[: told.output.rindex("}") + 1])
    assert [(row["problem"], row["what"]) for row in facts["problems"]] == [("checksum", "note instrument=x")]
    told = etendue("repo", "check", night, "--repair", "--replica", tmp_path / "replica")
    assert told.exit_code == 0
    assert "repaired" in told.output
    assert file().read_text() == "clouds"


def test_nothing_is_pruned_without_delete(night, file):
    told = etendue("repo", "prune", night, "--scratch", "scratch/*")
    assert "6 bytes (0.0 MB) would go; nothing was deleted: add --delete" in told.output
    assert file().is_file()
    assert "deleted 1 datasets and files, 6 bytes" in etendue(
        "repo", "prune", night, "--scratch", "scratch/*", "--delete"
    ).output  # fmt: skip
    assert json.loads(etendue("repo", "check", night, "--json").output)["datasets"] == 0


def test_a_backup_and_an_export_come_back(night, tmp_path):
    assert "1 datasets, 1 files" in etendue("repo", "backup", night, tmp_path / "n.tar").output
    assert "all as written" in etendue("repo", "restore", tmp_path / "n.tar", "--verify").output
    assert "restored" in etendue("repo", "restore", tmp_path / "n.tar", tmp_path / "again").output
    assert etendue("repo", "export", tmp_path / "again", tmp_path / "out").exit_code == 0
    etendue("init", tmp_path / "third")
    assert "1 new of" in etendue("repo", "import", tmp_path / "third", tmp_path / "out").output
    facts = json.loads(etendue("repo", "info", tmp_path / "third", "--json").output)
    assert facts["collections"] == [{"run": "scratch/notes", "datasets": 1, "bytes": 6}]
    assert facts["layout"] == "1 of 1"


@pytest.mark.parametrize(("command", "words"), [
    ("repo check NONE", "is not a repository; create one with"),
    ("repo check REPO --replica NONE", "give --repair as well"),
    ("repo check REPO --repair --replica NONE", "is not a repository"),
    ("repo prune REPO --delete", "give --superseded, --scratch or --orphans"),
    ("repo prune REPO --scratch nothing/*", "no RUN collection matches"),
    ("repo prune REPO --orphans -t note", "types are of --superseded and --scratch"),
    ("repo transfer REPO NONE", "is not a repository"),
    ("repo transfer REPO REPO -t quatsch", "no dataset matches"),
    ("repo export REPO NONE -w quatsch", "cannot query"),
    ("repo import REPO NONE", "holds no export.yaml; give a folder from"),
    ("repo backup REPO night.zip", "call it NAME.tar or .tar.gz"),
    ("repo restore NONE new", "No such file or directory"),
    ("repo restore NONE", "give the folder of the new repository"),
    ("init postgresql://localhost/x --database postgresql://localhost/y", "give a folder, or a URL without --database"),
    ("init new --database postgresql://me:secret@localhost/x", "put it into ~/.pgpass and leave it out"),
    ("init new --schema x", "a schema is of PostgreSQL only"),
    ("init new --files REPO", "holds the files of another repository|is not empty"),
])  # fmt: skip
def test_a_wrong_call_is_one_line(command, words, night, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = etendue(*(part.replace("REPO", str(night)).replace("NONE", "nowhere") for part in command.split()))
    assert told.exit_code == 1
    lines = [line for line in told.output.splitlines() if line.startswith("etendue: error: ")]
    assert len(lines) == 1
    assert any(word in lines[0] for word in words.split("|"))
    assert "secret" not in lines[0]
    assert not (tmp_path / "new").exists()
