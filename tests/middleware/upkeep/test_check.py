"""A check finds every missing and damaged file and every file that belongs to none; a repair puts good ones back."""

import os
import shutil
from pathlib import Path

import pytest
from fault_commands import DRAWINGS
from lsst.daf.butler import DatasetRef
from toy_survey import INPUTS

from etendue import faults
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.middleware.configuration import Places
from etendue.middleware.datastores import file_datastores
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import CheckReport, check
from etendue.middleware.upkeep.copying import transfer
from etendue.middleware.upkeep.recording import record_checksums
from etendue.middleware.upkeep.repair import repair

pytestmark = pytest.mark.thorough


def file_of(repository: Repository, exposure: int, detector: int = 0) -> Path:
    return Path(repository.butler.getURI(number(repository, exposure, detector)).ospath)


def number(repository: Repository, exposure: int, detector: int = 0) -> DatasetRef:
    where = f"exposure = {exposure} AND detector = {detector}"
    return repository.query("number", collections="toy/numbers", where=where)[0]


def kinds(report: CheckReport) -> dict[str, int]:
    return {problem.kind: problem.ref.dataId["exposure"] for problem in report.problems if problem.ref is not None}


def age(path: Path) -> Path:
    os.utime(path, (1.0, 1.0))
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow), "s3", "chain"])
def home(request, filled):
    return filled(request.param)


def test_a_whole_repository_is_found_whole(home):
    report = check(home, depth="open", workers=1)
    stores = len(file_datastores(home.butler))
    assert report.ok
    assert (report.datasets, report.files, report.opened) == (20, 20 * stores, 20)
    assert report.compared == report.files
    assert "all is well" in report.summary()


def test_every_kind_of_damage_is_found(filled):
    home = filled()
    file_of(home, 1).unlink()
    file_of(home, 2).write_text("22")
    file_of(home, 3).write_text("4")
    report = check(home, workers=1)
    assert kinds(report) == {"missing": 1, "size": 2, "checksum": 3}
    assert kinds(check(home, depth="exists", workers=1)) == {"missing": 1, "size": 2}
    rows = {row["problem"]: row for row in report.to_dict()["problems"]}
    assert rows["checksum"]["what"] == "number instrument=toy detector=0 exposure=3"
    assert rows["size"]["detail"] == "2 bytes instead of 1"
    assert not report.ok


def test_what_has_no_checksum_is_opened_until_one_is_recorded(toy_repository, tmp_path):
    home = Repository.create(tmp_path / "old", Places(checksums=False))
    transfer(toy_repository, home)
    with home.writing() as butler:  # as repositories were before, and as Rubin's tools register products
        [store] = file_datastores(butler)
        refs = home.query("number", collections="toy/numbers")
        found = store.get_file_info_for_transfer([ref.id for ref in refs])
        bare = [(ref, found[ref.id][0].file_info.update(checksum=None, file_size=-1)) for ref in refs]
        with butler.transaction():
            store.forget(refs)
            store._register_datasets(bare)
    file_of(home, 1).write_text("not JSON")
    report = check(home, workers=1)
    assert kinds(report) == {"unreadable": 1}
    assert report.opened == len(refs)
    assert record_checksums(home, report.unrecorded) == len(refs) - 1
    file_of(home, 2).write_text("3")
    again = check(home, workers=1)
    assert again.opened == 1
    assert {(problem.kind, problem.ref.dataId["exposure"]) for problem in again.problems} == {
        ("unreadable", 1), ("checksum", 2)
    }  # fmt: skip


def test_files_that_belong_to_no_dataset_are_orphans_but_not_what_people_put_there(filled):
    home = filled()
    age(shutil.copy(file_of(home, 1), home.path / "toy" / "numbers" / "stray.json"))
    with whole_file(home.path / "toy" / "x.json", "image") as part:
        part.write_text("half")
        age(shutil.copy(part, part.with_name("." + "a" * 32 + ".part.json")))
    (home.path / "toy" / "x.json").unlink()
    shutil.copy(file_of(home, 1), home.path / "toy" / "young.json")
    (home.path / "notes").mkdir()
    age(shutil.copy(file_of(home, 1), home.path / "notes" / "mine.txt"))
    age(shutil.copy(file_of(home, 1), home.path / "report.html"))
    found = check(home, workers=1).orphans
    assert sorted((Path(orphan.path).name[:5], orphan.kind) for orphan in found) == [
        (".aaaa", "part"),
        ("stray", "file"),
    ]


def test_files_of_a_run_that_can_be_resumed_are_not_orphans(toy_repository):
    def run() -> None:
        run_pipeline(
            toy_repository, DRAWINGS, inputs=INPUTS, output="toy/out", where="detector = 1", workers=1,
            progress=False, resume=True,
        )  # fmt: skip

    faults.arm("register.before-transfer=io-error")
    with pytest.raises(InputError):
        run()
    faults.arm("")
    for path in (toy_repository.path / "toy" / "out").rglob("*"):
        age(path)
    report = check(toy_repository, workers=1)
    assert report.ok
    assert report.pending > 20
    run()
    after = check(toy_repository, workers=1)
    assert after.ok
    assert after.pending == 0
    assert after.datasets == report.datasets + report.pending


def test_a_camera_without_description_is_a_problem(filled, tmp_path):
    home = filled()
    (home.cameras_folder / "simcam.yaml").rename(tmp_path / "gone.yaml")
    assert check(home, workers=1).ok  # the one that is shipped has the same name
    (home.cameras_folder / "own.yaml").touch()
    home.butler.registry.insertDimensionData("instrument", {
        "name": "own", "class_name": "etendue.middleware.cameras.own", "detector_max": 1,
    })  # fmt: skip
    home.butler.collections.register("own/raw/all")
    (home.cameras_folder / "own.yaml").unlink()
    assert [problem.kind for problem in check(home, workers=1).problems] == ["camera"]


def test_a_damaged_database_is_a_problem(filled):
    home = filled()
    database = home.path / "gen3.sqlite3"
    with database.open("r+b") as stream:
        stream.seek(-3000, os.SEEK_END)
        stream.write(b"\0\1\2\3" * 600)
    home.butler.close()
    report = check(Repository.open(home.path, writeable=False), workers=1)
    assert "database" in {problem.kind for problem in report.problems}


@pytest.mark.parametrize("lost", [0, 1])
def test_a_chain_repairs_itself(lost, filled):
    home = filled("chain")
    stores = file_datastores(home.butler)
    stores[lost].getURI(number(home, 1)).remove()
    stores[lost].getURI(number(home, 2)).write(b"77")
    stores[lost].getURI(number(home, 3)).write(b"9")
    fourth = number(home, 4)
    with home.writing() as butler, butler.transaction():
        file_datastores(butler)[lost].forget([fourth])
    report = check(home, workers=1)
    assert {(problem.kind, problem.store) for problem in report.problems} == {
        (kind, lost) for kind in ("missing", "size", "checksum", "unmirrored")
    }
    repaired = repair(home, report)
    assert {repair.source for repair in repaired} == {str(stores[1 - lost].root)}
    assert check(home, depth="open", workers=1).ok
    assert [stores[lost].get(number(home, exposure)) for exposure in range(1, 5)] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["sqlite", "s3"])
def test_a_replica_repairs_a_repository(kind, filled, make):
    home, replica = filled(kind), make("sqlite", "replica")
    transfer(home, replica)
    [store] = file_datastores(home.butler)
    store.getURI(number(home, 1)).remove()
    store.getURI(number(home, 2)).write(b"77")
    store.getURI(number(home, 3)).write(b"9")
    repaired = repair(home, check(home, workers=1), replicas=[replica.path])
    assert [bool(repair.source) for repair in repaired] == [True] * 3
    assert check(home, depth="open", workers=1).ok
    assert [home.get(number(home, exposure)) for exposure in (1, 2, 3)] == [1, 2, 3]


def test_a_file_is_not_replaced_by_another_content_nor_by_a_damaged_one(filled, make):
    home, replica = filled(), make("sqlite", "replica")
    transfer(home, replica)
    file_of(replica, 1).write_text("8")
    file_of(home, 1).unlink()
    file_of(replica, 2).unlink()
    file_of(home, 2).unlink()
    remade = number(home, 3)
    with replica.writing(run="toy/numbers") as butler:
        butler.pruneDatasets([number(replica, 3)], disassociate=True, unstore=True, purge=True)
        butler.put(5, "number", remade.dataId.required)
    file_of(home, 3).unlink()
    told = {r.problem.ref.dataId["exposure"]: r.reason for r in repair(home, check(home), replicas=[replica.path])}
    assert told[1] == f"the copy in {replica.path} is damaged too"
    assert told[2] == f"the copy in {replica.path} is damaged too"
    assert told[3] == f"the copy in {replica.path} has another content"


def test_a_user_s_own_file_is_never_written(filled, make, tmp_path):
    home, replica = filled(), make("sqlite", "replica")
    transfer(home, replica)
    (tmp_path / "raw" / "frame2_0.fits").unlink()
    [told] = repair(home, check(home), replicas=[replica.path])
    assert told.reason == "it lies outside the repository: put the file back yourself"
    assert not (tmp_path / "raw" / "frame2_0.fits").exists()
