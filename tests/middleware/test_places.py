"""Repositories on PostgreSQL, on S3 and on chains of places are like any other."""

import json
from pathlib import Path

import pytest
from fault_commands import DRAWINGS
from frames import CAMERA, write_frame
from lsst.daf.butler import Config
from sqlalchemy.engine import make_url
from toy_survey import INPUTS, certify_offsets, fill

from etendue.errors import InputError
from etendue.middleware.configuration import Places
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.datastores import file_datastores, found_files, stored_sizes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.holdings import holdings

pytestmark = pytest.mark.slow  # processes and runs, seconds each

WHERE = "detector = 1 AND exposure IN (1, 2)"


def ran(repository: Repository) -> Repository:
    fill(repository)
    certify_offsets(repository)
    run_pipeline(repository, DRAWINGS, inputs=INPUTS, output="toy/out", where=WHERE, workers=1, progress=False)
    return repository


def resumed(repository: Repository) -> int:
    report = run_pipeline(
        repository, DRAWINGS, inputs=INPUTS, output="toy/out", where=WHERE, workers=1, progress=False, resume=True
    )
    return report.executed


def places(kind: str, request: pytest.FixtureRequest) -> Places:
    if kind == "postgresql":
        return Places(database=request.getfixturevalue("postgres").new_database())
    request.getfixturevalue("bucket")
    return Places(files="s3://survey/night") if kind == "s3" else Places(mirrors=("s3://survey/night",))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return ran(Repository.create(tmp_path_factory.mktemp("plain") / "repo"))


@pytest.mark.parametrize("kind", ["postgresql", "s3", "chain"])
def test_a_run_makes_the_same_products_anywhere(kind, plain, tmp_path, request):
    repository = ran(Repository.create(tmp_path / "repo", places(kind, request)))
    assert content_hashes(repository, "toy/out") == content_hashes(plain, "toy/out")
    held = holdings(repository.butler)
    stores = file_datastores(repository.butler)
    assert len(stores) == (2 if kind == "chain" else 1)
    assert len(held.copies) == len(held.refs) * len(stores)
    assert all(copy.size > 0 and copy.checksum for copy in held.copies)
    assert all({c.path for c in held.copies if c.store == n} == set(found_files(s.root)) for n, s in enumerate(stores))
    assert resumed(repository) == 0


def test_connections_that_break_between_quanta_cost_nothing(plain, postgres, tmp_path):
    database = postgres.new_database()
    repository = Repository.create(tmp_path / "repo", Places(database=database))
    fill(repository)
    certify_offsets(repository)
    broken = []

    def break_connections() -> bool:
        broken.append(postgres.break_connections(make_url(database).database))
        return False

    report = run_pipeline(repository, DRAWINGS, inputs=INPUTS, output="toy/out", where=WHERE, workers=2,
                          progress=False, stop=break_connections)  # fmt: skip
    assert report.ok
    assert max(broken) > 0
    assert content_hashes(repository, "toy/out") == content_hashes(plain, "toy/out")


@pytest.mark.parametrize("lost", ["s3", "here"])
def test_a_quantum_runs_again_where_one_store_of_a_chain_lost_its_file(lost, bucket, tmp_path):
    repository = ran(Repository.create(tmp_path / "repo", Places(mirrors=("s3://survey/night",))))
    store = file_datastores(repository.butler)[lost == "s3"]
    [first, *_] = repository.query("measured", collections="toy/out")
    store.getURI(first).remove()
    run = str(first.run)
    assert len(stored_sizes(repository.butler, run)) == len(
        found_files(file_datastores(repository.butler)[0].root, run)
    ) - (lost == "s3")
    assert resumed(repository) == 1
    assert all(store.exists(first) for store in file_datastores(repository.butler))


@pytest.mark.parametrize("kind", ["s3", "chain"])
def test_raw_frames_in_a_store_elsewhere_find_their_camera(kind, tmp_path, request):
    repository = Repository.create(tmp_path / "repo", places(kind, request))
    repository.register_camera(CAMERA.model_copy(update={"plate_scale": 0.4}))
    frame = write_frame(tmp_path / "raw", 2, "science")
    assert [o.status for o in repository.ingest([frame])] == ["ingested"]
    assert [o.status for o in repository.ingest([frame])] == ["already there"]
    assert [visit.defined for visit in repository.define_visits()] == [True]
    [ref] = repository.query("raw", collections="simcam/raw/all")
    assert repository.get(ref).array[0, 0] == 1002
    there = file_datastores(repository.butler)[-1].root.join("etendue/cameras/simcam.yaml")
    assert b"plate_scale: 0.4" in there.read()


def test_several_repositories_share_one_database_by_schemas(postgres, tmp_path):
    database = postgres.new_database()
    first = Repository.create(tmp_path / "a", Places(database=database, schema="first"))
    fill(first)
    second = Repository.create(tmp_path / "b", Places(database=database, schema="second"))
    assert not second.has_collection("toy/numbers")
    with pytest.raises(InputError, match=r"schema second: holds a repository already.*choose another"):
        Repository.create(tmp_path / "c", Places(database=database, schema="second"))
    assert not (tmp_path / "c").exists()


def test_a_failed_creation_leaves_nothing_in_the_database(postgres, tmp_path, monkeypatch):
    database = postgres.new_database()
    postgres.execute("CREATE TABLE mine (x int)", name_of(database))
    monkeypatch.setattr("etendue.middleware.configuration._OWNER", "a\0b")
    with pytest.raises(InputError, match="cannot create a repository"):
        Repository.create(tmp_path / "repo", Places(database=database, files=str(tmp_path / "files")))
    assert postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name_of(database)) == "mine"
    assert not (tmp_path / "repo").exists()


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.mark.parametrize(("given", "words"), [
    (Places(database="postgresql://me:secret@server/name"), r"password in the URL .* put it into ~/.pgpass"),
    (Places(database="mysql://server/name"), r"are SQLite inside the folder, or PostgreSQL"),
    (Places(database="quatsch"), r"is no database URL"),
    (Places(database="postgresql://nobody@localhost:1/none"), r"the database server does not answer; start it"),
    (Places(schema="night"), r"a schema is of PostgreSQL only"),
    (Places(files="s3://nowhere/x"), r"s3://nowhere/x/: cannot be used for files"),
    (Places(files="USED"), r"USED/: is not empty; choose another place"),
    (Places(files="REPO"), r"is the repository's own folder"),
])  # fmt: skip
def test_places_that_cannot_be_used_are_refused_in_one_line(given, words, bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "USED").mkdir()
    (tmp_path / "USED" / "file").touch()
    with pytest.raises(InputError, match=words) as refusal:
        Repository.create(tmp_path / "REPO", given)
    assert "secret" not in str(refusal.value)
    assert not (tmp_path / "REPO").exists()


def test_a_place_of_files_belongs_to_one_repository(tmp_path):
    Repository.create(tmp_path / "a", Places(files=str(tmp_path / "files")))
    with pytest.raises(InputError, match=r"holds the files of another repository \(got '.*/a'\)"):
        Repository.create(tmp_path / "b", Places(mirrors=(str(tmp_path / "files"),)))


def test_checksums_are_recorded_unless_they_are_not_wanted(tmp_path):
    with_them = Repository.create(tmp_path / "a")
    without = Repository.create(tmp_path / "b", Places(checksums=False))
    for repository in (with_them, without):
        fill(repository)
    assert all(len(copy.checksum) == 128 for copy in holdings(with_them.butler).copies)
    assert {copy.checksum for copy in holdings(without.butler).copies} == {None}


@pytest.mark.parametrize("layout", [2, "old"])
def test_a_layout_of_a_newer_etendue_is_refused(layout, tmp_path):
    Repository.create(tmp_path / "repo")
    file = str(tmp_path / "repo" / "butler.yaml")
    config = Config(file)
    config["etendue", "format"] = layout
    config.dumpToUri(file)
    with pytest.raises(InputError, match=f"newer etendue: its layout is {layout}, this one knows 1; pip install"):
        Repository.open(tmp_path / "repo")


def test_a_database_of_another_version_is_told_in_one_line(tmp_path, postgres):
    database = postgres.new_database()
    Repository.create(tmp_path / "repo", Places(database=database))
    postgres.execute(
        "UPDATE butler_attributes SET value = '99.0.0' WHERE name LIKE 'version:%datasets%'", name_of(database)
    )
    with pytest.raises(
        InputError, match=r"another version than lsst-daf-butler .* open it with the version that made it"
    ):
        Repository.open(tmp_path / "repo")


def test_a_repository_may_have_a_dot_in_its_name(tmp_path):
    made = Repository.create(tmp_path / "night.2")
    fill(made)
    assert (
        json.dumps(made.get("number", {"instrument": "toy", "exposure": 1, "detector": 0}, collections="toy/numbers"))
        == "1"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night.2"]
    assert Path(made.path).name == "night.2"
