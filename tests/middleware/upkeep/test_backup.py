"""A backup is one file with everything, and becomes a repository again, anywhere."""

import gzip
import io
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pytest
from fault_commands import DRAWINGS
from toy_survey import INPUTS

from etendue.errors import InputError
from etendue.middleware.configuration import Places
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.datastores import file_datastores
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.backup import backup, restore, verify
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.holdings import all_datasets, holdings

pytestmark = pytest.mark.thorough

COLLECTIONS = ("toy/numbers", "toy/offsets/early", "simcam/raw/all")


def hashes(home: Repository) -> dict[str, dict[str, str]]:
    return {name: content_hashes(home, name) for name in COLLECTIONS}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "s3", "chain"])
def test_a_repository_of_any_kind_is_backed_up_and_restored(kind, filled, tmp_path):
    home = filled(kind)
    report = backup(home, tmp_path / "all.tar")
    assert (report.datasets, report.files) == (20, 20)
    assert verify(tmp_path / "all.tar").datasets == 20
    again = restore(tmp_path / "all.tar", tmp_path / "again")
    assert hashes(again) == hashes(home)
    assert {ref.id for ref in all_datasets(again.butler)} == {ref.id for ref in all_datasets(home.butler)}
    assert check(again, depth="open", workers=1).ok
    assert not any(copy.outside for copy in holdings(again.butler).copies)
    again.put(7, "number", {"instrument": "toy", "exposure": 1, "detector": 0}, run="more")
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("places", [
    pytest.param("postgresql", marks=pytest.mark.slow), pytest.param("chain", marks=pytest.mark.slow), "s3",
])  # fmt: skip
def test_a_backup_is_restored_to_another_kind_of_repository(places, filled, tmp_path, request):
    home = filled()
    backup(home, tmp_path / "all.tar.gz")
    chosen = {
        "postgresql": lambda: Places(database=request.getfixturevalue("postgres").new_database()),
        "s3": lambda: request.getfixturevalue("bucket") and Places(files="s3://survey/again"),
        "chain": lambda: request.getfixturevalue("bucket") and Places(mirrors=("s3://survey/again",)),
    }[places]()
    again = restore(tmp_path / "all.tar.gz", tmp_path / "again", chosen)
    assert hashes(again) == hashes(home)
    assert check(again, depth="open", workers=1).ok
    assert (again.cameras_folder / "simcam.yaml").is_file()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_runs_overrides_and_whatever_lies_in_the_folder_come_along(toy_repository, tmp_path):
    def run(home: Repository) -> int:
        return run_pipeline(
            home,
            DRAWINGS,
            inputs=INPUTS,
            output="toy/out",
            where="detector = 1",
            workers=1,
            progress=False,
            resume=True,
        ).executed

    assert run(toy_repository) > 0
    (toy_repository.path / "overrides.yaml").write_text("bad_frames: []\n")
    (toy_repository.path / "archive" / "x").mkdir(parents=True)
    (toy_repository.path / "archive" / "x" / "table.parquet").write_bytes(b"PAR1")
    (toy_repository.path / "toy" / "out" / "stray").write_bytes(b"belongs to nobody")
    backup(toy_repository, tmp_path / "all.tar")
    shutil.rmtree(toy_repository.path)
    again = restore(tmp_path / "all.tar", tmp_path / "elsewhere")
    assert run(again) == 0
    assert (again.path / "overrides.yaml").read_text() == "bad_frames: []\n"
    assert (again.path / "archive" / "x" / "table.parquet").read_bytes() == b"PAR1"
    assert not (again.path / "toy" / "out" / "stray").exists()


def test_a_backup_unpacked_by_tar_is_a_repository(filled, tmp_path):
    home = filled()
    backup(home, tmp_path / "all.tar", outside=False)
    with tarfile.open(tmp_path / "all.tar") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    unpacked = Repository.open(tmp_path / "unpacked")
    assert content_hashes(unpacked, "toy/numbers") == content_hashes(home, "toy/numbers")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_written_during_a_backup_is_in_it_whole_or_not_at_all(kind, filled, tmp_path, monkeypatch):
    home = filled(kind)
    from etendue.middleware.upkeep import backup as module

    taken = module._side_files

    def meanwhile(*arguments, **options):
        home.put(99, "number", {"instrument": "toy", "exposure": 1, "detector": 0}, run="late")
        yield from taken(*arguments, **options)

    monkeypatch.setattr(module, "_side_files", meanwhile)
    backup(home, tmp_path / "all.tar")
    again = restore(tmp_path / "all.tar", tmp_path / "again")
    assert not again.has_collection("late")
    assert check(again, workers=1).ok


def test_a_damaged_repository_is_backed_up_on_demand_only(filled, tmp_path):
    home = filled()
    [first, second, *_] = [
        Path(home.butler.getURI(ref).ospath) for ref in home.query("number", collections="toy/numbers")
    ]
    first.unlink()
    second.write_text("8")
    with pytest.raises(InputError, match=r"is not what was written: .*--damaged"):
        backup(home, tmp_path / "all.tar")
    assert not (tmp_path / "all.tar").exists()
    assert len(backup(home, tmp_path / "all.tar", damaged=True).damaged) == 2
    again = restore(tmp_path / "all.tar", tmp_path / "again")
    assert sorted(problem.kind for problem in check(again, workers=1).problems) == ["checksum", "missing"]


def test_a_chain_is_backed_up_from_the_store_that_is_whole(filled, tmp_path):
    home = filled("chain")
    store = file_datastores(home.butler)[0]
    for ref in home.query("number", collections="toy/numbers"):
        store.getURI(ref).remove()
    backup(home, tmp_path / "all.tar")
    assert check(restore(tmp_path / "all.tar", tmp_path / "again"), depth="open", workers=1).ok


def test_a_backup_that_is_cut_off_or_changed_is_refused_and_leaves_nothing(filled, tmp_path):
    backup(filled(), tmp_path / "all.tar")
    whole = (tmp_path / "all.tar").read_bytes()
    place = whole.index(b"SIMPLE  =") + 6000
    packed = gzip.compress(whole, 1)
    for content, words in (
        (whole[: len(whole) // 2], "is no whole backup|is cut off"),
        (whole[: whole.rindex(b"etendue-backup-end.json")], "is no whole backup|is cut off"),
        (whole[:place] + b"damage" + whole[place + 6 :], "1 of its files are not what was written"),
        (packed[: len(packed) // 2], "is no whole backup"),
        (packed[:5000] + b"damage" + packed[5006:], "is no whole backup|is cut off|not what was written"),
        (b"hello", "is no whole backup"),
    ):
        (tmp_path / "bad.tar").write_bytes(content)
        with pytest.raises(InputError, match=words):
            verify(tmp_path / "bad.tar")
        with pytest.raises(InputError, match=words):
            restore(tmp_path / "bad.tar", tmp_path / "again")
        assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "x/../../evil"])
def test_a_hostile_archive_writes_nothing_outside(name, tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for member, content in (
            ("etendue-backup.json", json.dumps({"format": 1, "outside": {}}).encode()),
            (name, b"x"),
        ):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(InputError, match="would lie outside the repository"):
        restore(tmp_path / "evil.tar", tmp_path / "home" / "again")
    assert not [path for path in tmp_path.rglob("*evil*") if path.name != "evil.tar"]


def test_wrong_names_and_newer_backups_are_refused(filled, tmp_path):
    home = filled()
    with pytest.raises(InputError, match=r"backups are tar files \(got '.zip'\)"):
        backup(home, tmp_path / "all.zip")
    with pytest.raises(InputError, match="lies inside the repository"):
        backup(home, home.path / "all.tar")
    with pytest.raises(InputError, match="its folder does not exist"):
        backup(home, tmp_path / "nowhere" / "all.tar")
    with tarfile.open(tmp_path / "new.tar", "w") as archive:
        content = json.dumps({"format": 2}).encode()
        entry = tarfile.TarInfo("etendue-backup.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(InputError, match="was made by a newer etendue: format 2, this one knows 1"):
        verify(tmp_path / "new.tar")
    backup(home, tmp_path / "all.tar")
    with pytest.raises(InputError, match="not an empty folder"):
        restore(tmp_path / "all.tar", home.path)


def test_a_writer_is_not_kept_waiting_by_the_copy_of_a_database(filled, tmp_path):
    home = filled()
    reader = sqlite3.connect(home.path / "gen3.sqlite3")
    backup(home, tmp_path / "all.tar")
    reader.close()
    key = {"instrument": "toy", "exposure": 1, "detector": 0}
    home.put(7, "number", key, run="more")
    assert home.get("number", key, collections="more") == 7
