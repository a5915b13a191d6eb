import shutil
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from frames import CAMERA, write_frame
from lsst.daf.butler import CollectionType, DatasetRef, Timespan
from sqlalchemy.engine import make_url
from toy_survey import certify_offsets, fill

from etendue import faults
from etendue.errors import InputError
from etendue.middleware.configuration import Places
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.datastores import file_datastores
from etendue.middleware.repository import Repository

pytestmark = pytest.mark.slow  # processes and runs, seconds each

ALL = """
sinks: {replica: {kind: repository, path: replica%s}}
rules: [{name: all, datasets: %s, sinks: replica}]
"""
RUNS = ("toy/numbers", "toy/offsets/early", "toy/offsets/late", "toy/labels")


def all_rules(extra="", datasets='"*"'):
    return ALL % (extra, datasets)


def file_of(repository, dataset_type, collections, **data_id):
    [ref] = repository.query(
        dataset_type, collections=collections, where=" AND ".join(f"{k}={v}" for k, v in data_id.items())
    )
    return Path(repository.butler.getURI(ref).ospath)


def forget_checksums(repository):
    """Make records as old repositories have them."""
    with sqlite3.connect(repository.path / "gen3.sqlite3") as database:
        database.execute("UPDATE file_datastore_records SET checksum = NULL")


@pytest.fixture
def picture_rules(routing, replica):
    routing.picture(1)
    return all_rules(datasets="picture")


def test_a_replica_has_the_same_datasets_with_the_same_content(routing, replica):
    status = routing.once(all_rules())["replica"]
    assert status.counts["done"] == 17
    assert status.bytes > 0
    for run in RUNS:
        assert content_hashes(replica(), run) == content_hashes(routing.repository, run)
        ids = [{ref.id for ref in home.query("number", collections=run)} for home in (routing.repository, replica())]
        assert ids[0] == ids[1]


def test_chains_and_validity_ranges_are_as_at_the_source(routing, replica):
    routing.once(all_rules())
    assert replica().butler.collections.get_info("toy/calib").children == ("toy/certified",)
    spans = [
        {(a.ref.id, a.timespan) for a in home.butler.registry.queryDatasetAssociations("offset", "toy/certified")}
        for home in (routing.repository, replica())
    ]
    assert spans[0] == spans[1]
    assert len(spans[0]) == 4


def test_a_change_of_validity_alone_reaches_the_replica(routing, replica):
    routing.once(all_rules())
    with routing.repository.writing() as butler:
        butler.collections.redefine_chain("toy/calib", ["toy/certified", "toy/offsets/late"])
    routing.once(all_rules())
    assert replica().butler.collections.get_info("toy/calib").children == ("toy/certified", "toy/offsets/late")


def test_what_the_replica_has_of_its_own_in_a_collection_stays_and_holds_up_no_delivery(routing, replica):
    routing.once(all_rules())
    other = replica()
    with other.writing() as writer:  # somebody certifies another calibration there, where the source's ends
        writer.collections.register("mine", CollectionType.RUN)
        ref = writer.put(1.0, "offset", instrument="toy", detector=0, run="mine")
        writer.registry.decertify("toy/certified", "offset", Timespan(None, None), dataIds=[ref.dataId])
        writer.registry.certify("toy/certified", [ref], Timespan(None, None))
        writer.collections.redefine_chain("toy/calib", ["toy/certified", "mine"])
    routing.repository.put(7, "number", {"instrument": "toy", "exposure": 1, "detector": 0}, run="toy/new")
    status = routing.once(all_rules())["replica"]
    assert (status.counts["done"], status.state) == (18, "off")
    assert "ConflictingDefinitionError" in status.trouble
    assert "trouble" in [notice.kind for notice in routing.notices]
    assert replica().butler.collections.get_info("toy/calib").children == ("toy/certified", "mine")
    found = replica().butler.registry.queryDatasetAssociations("offset", "toy/certified")
    assert {a.ref.run for a in found} == {"mine", "toy/offsets/early", "toy/offsets/late"}


def test_tags_follow_the_source(routing, replica):
    refs = routing.repository.query("number", collections="toy/numbers")
    with routing.repository.writing() as writer:
        writer.collections.register("chosen", CollectionType.TAGGED)
        writer.registry.associate("chosen", refs[:4])
    routing.once(all_rules())
    with routing.repository.writing() as writer:
        writer.registry.disassociate("chosen", refs[:1])
        writer.registry.associate("chosen", refs[4:6])
    routing.once(all_rules())
    assert {ref.id for ref in replica().query("number", collections="chosen")} == {ref.id for ref in refs[1:6]}


@pytest.mark.slow
def test_collections_can_be_left_alone(routing, replica):
    routing.once(all_rules(", collections: false"))
    assert not replica().has_collection("toy/calib")


@pytest.mark.slow
def test_once_more_changes_nothing(routing, replica):
    routing.once(all_rules())
    before = file_of(replica(), "number", "toy/numbers", exposure=1, detector=0).stat().st_mtime_ns
    assert routing.once(all_rules())["replica"].counts["done"] == 17
    assert file_of(replica(), "number", "toy/numbers", exposure=1, detector=0).stat().st_mtime_ns == before


@pytest.mark.slow
def test_what_somebody_else_copied_is_verified_and_kept(routing, replica):
    with replica().writing() as writer:
        writer.transfer_from(
            routing.repository.butler, routing.repository.query("number", collections="toy/numbers"), transfer="copy",
            register_dataset_types=True, transfer_dimensions=True,
        )  # fmt: skip
    path = file_of(replica(), "number", "toy/numbers", exposure=1, detector=0)
    before = path.stat().st_mtime_ns
    file_of(replica(), "number", "toy/numbers", exposure=2, detector=0).write_text("77")
    routing.once(all_rules())
    assert path.stat().st_mtime_ns == before
    assert content_hashes(replica(), "toy/numbers") == content_hashes(routing.repository, "toy/numbers")


def test_a_sink_that_is_not_there_is_waited_for(routing, replica, tmp_path):
    (tmp_path / "replica").rename(tmp_path / "away")
    status = routing.once(all_rules())["replica"]
    assert (status.state, status.counts["waiting"], status.counts.get("dead", 0)) == ("down", 17, 0)
    assert "no repository is there; make it with 'etendue init', or mount its disk" in status.reason
    (tmp_path / "away").rename(tmp_path / "replica")
    status = routing.once(all_rules())["replica"]
    assert (status.state, status.counts["done"]) == ("off", 17)
    assert [notice.kind for notice in routing.notices] == ["down", "delivered", "up"]


def test_a_full_disk_at_the_sink_loses_nothing_and_kills_no_letter(routing, replica):
    faults.arm("router.after-transfer=no-space")
    try:
        status = routing.once(all_rules())["replica"]
    finally:
        faults.arm("")
    assert (status.state, status.counts["waiting"], status.counts["retrying"]) == ("down", 17, 0)
    assert "no space left on device" in status.reason
    assert routing.once(all_rules())["replica"].counts["done"] == 17
    assert content_hashes(replica(), "toy/numbers") == content_hashes(routing.repository, "toy/numbers")


def test_damage_at_the_source_is_told_and_the_rest_goes_on(routing, replica, picture_rules):
    routing.picture(2)
    bad = file_of(routing.repository, "picture", "toy/run1", exposure=2)
    bad.write_bytes(bad.read_bytes()[:-2880] + bytes(2880))
    status = routing.once(picture_rules)["replica"]
    assert (status.counts["done"], status.counts["waiting"]) == (1, 1)
    [(_, _, reason)] = routing.queue("replica").troubles("waiting")
    assert "the source's file is damaged: its checksum is not the recorded one" in reason


def test_a_file_that_is_missing_at_the_source_is_told(routing, replica, picture_rules):
    file_of(routing.repository, "picture", "toy/run1", exposure=1).unlink()
    routing.once(picture_rules)
    [(_, attempts, reason)] = routing.queue("replica").troubles("waiting")
    assert attempts == 1
    assert reason.startswith("its file is missing")


def test_a_damaged_source_never_overwrites_a_good_replica(routing, replica):
    routing.once(all_rules())
    good = file_of(replica(), "number", "toy/numbers", exposure=3, detector=1)
    source = file_of(routing.repository, "number", "toy/numbers", exposure=3, detector=1)
    text = good.read_bytes()
    source.write_text("666")
    forget_checksums(routing.repository)
    [key] = [held.event.key for held in routing.queue("replica").held() if held.event.data_id == {
        "instrument": "toy", "exposure": 3, "detector": 1} and held.event.dataset_type == "number"]  # fmt: skip
    assert routing.queue("replica").retry([key]) == 1
    assert routing.once(all_rules())["replica"].counts["waiting"] == 1
    assert "the source's file is not what was delivered before" in routing.queue("replica").troubles("waiting")[0][2]
    assert good.read_bytes() == text


def test_a_new_revision_replaces_the_old_one(routing, replica):
    routing.once(all_rules())
    [ref] = routing.repository.query("label", collections="toy/labels")
    with routing.repository.writing(run="toy/labels") as butler:
        butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
        butler.put("another", DatasetRef(ref.datasetType, ref.dataId, run=ref.run, id=ref.id))
    status = routing.once(all_rules())["replica"]
    assert (status.counts["done"], status.counts["replaced"]) == (17, 1)
    assert replica().get(replica().query("label", collections="toy/labels")[0]) == "another"


def test_what_left_the_source_before_it_was_delivered_is_gone(routing, replica, tmp_path):
    (tmp_path / "replica").rename(tmp_path / "away")
    routing.once(all_rules())
    with routing.repository.writing() as butler:
        refs = routing.repository.query("number", collections="toy/numbers", where="exposure < 3")
        butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    (tmp_path / "away").rename(tmp_path / "replica")
    counts = routing.once(all_rules())["replica"].counts
    assert (counts["done"], counts["gone"], counts.get("waiting", 0)) == (13, 4, 0)


def test_one_dataset_that_the_sink_cannot_take_stops_no_other(routing, replica):
    other = replica()
    with other.writing() as writer:
        ref = routing.repository.query("number", collections="toy/numbers")[0]
        writer.transfer_from(routing.repository.butler, [ref], transfer="copy", register_dataset_types=True,
                             transfer_dimensions=True)  # fmt: skip
        writer.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
        writer.put(99, "number", ref.dataId, run="toy/numbers")  # the same data ID under another dataset ID
    counts = routing.once(all_rules(", retries: {attempts: 1}"))["replica"].counts
    assert (counts["done"], counts["dead"]) == (16, 1)
    [(event, _, reason)] = routing.queue("replica").troubles("dead")
    assert event.dataset_id == ref.id
    assert "Conflict" in reason


def test_retention_deletes_at_the_sink_and_never_at_the_source(routing, replica):
    for number in (1, 2, 3):
        routing.picture(number, seed=number)
    size = file_of(routing.repository, "picture", "toy/run1", exposure=1).stat().st_size
    rules = all_rules(f", retention: {{gigabytes: {1.5e-9 * size}}}", "picture")
    routing.once(rules)
    routing.once(rules)
    assert [ref.dataId["exposure"] for ref in replica().query("picture", collections="toy/run1")] == [3]
    assert len(list((replica().path / "toy" / "run1").rglob("*.fits"))) == 1
    assert len(routing.repository.query("picture", collections="toy/run1")) == 3
    assert all(routing.repository.butler.stored(r) for r in routing.repository.query("picture", collections="toy/run1"))
    assert routing.status()["replica"].counts["expired"] == 2


@pytest.mark.slow
def test_content_hashes_can_be_compared_too(routing, replica, picture_rules):
    assert routing.once(all_rules(", verify: content", "picture"))["replica"].counts["done"] == 1


@pytest.mark.parametrize("path", ["repo", "repo/inside"])
def test_a_repository_is_never_its_own_sink(path, routing):
    with pytest.raises(InputError, match=r"lie in each other|is the source itself"):
        routing.router(all_rules().replace("path: replica", f"path: {path}"))


def test_a_link_to_the_source_is_seen_through(routing, tmp_path):
    (tmp_path / "link").symlink_to(routing.repository.path)
    with pytest.raises(InputError, match="lie in each other"):
        routing.router(all_rules().replace("path: replica", "path: link"))


def test_raw_frames_can_be_read_from_the_replica(routing, replica, tmp_path):
    survey = Repository.create(tmp_path / "survey")
    survey.register_camera(CAMERA)
    frame = write_frame(tmp_path / "raw", 1, "science")
    survey.ingest([frame], transfer="link")
    survey.define_visits()
    routing.repository = survey
    assert routing.once(all_rules(datasets="[raw, camera]"))["replica"].counts["done"] == 2
    shutil.rmtree(tmp_path / "raw")  # what the source links to
    [ref] = replica().query("raw", collections="simcam/defaults")
    assert np.all(replica().get(ref).array == 1001)
    assert replica().camera() == survey.camera()


@pytest.mark.slow
def test_frames_used_where_they_are_become_files_of_the_replica(routing, replica, tmp_path):
    survey = Repository.create(tmp_path / "survey")
    survey.register_camera(CAMERA)
    frame = write_frame(tmp_path / "raw", 1, "science")
    survey.ingest([frame], transfer="direct")
    routing.repository = survey
    rules = all_rules(", retention: {days: 1.0e-9}", "raw")
    assert routing.once(rules)["replica"].counts["expired"] == 1
    assert frame.is_file(), "retention deletes copies only"


def elsewhere(kind, request):
    if kind == "postgresql":
        return Places(database=request.getfixturevalue("postgres").new_database())
    request.getfixturevalue("bucket")
    return Places(files="s3://survey/night") if kind == "s3" else Places(mirrors=("s3://survey/night",))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "s3", "chain"])
def test_a_sink_may_be_anywhere(kind, routing, tmp_path, request):
    sink = Repository.create(tmp_path / "replica", elsewhere(kind, request))
    counts = routing.once(all_rules())["replica"].counts
    assert counts["done"] == 17
    sink.butler.registry.refresh()
    assert content_hashes(sink, "toy/numbers") == content_hashes(routing.repository, "toy/numbers")
    assert all(store.exists(ref) for store in file_datastores(sink.butler)
               for ref in sink.query("number", collections="toy/numbers"))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "s3"])
def test_a_source_may_be_anywhere(kind, routing, replica, files, tmp_path, request):
    source = Repository.create(tmp_path / "far", elsewhere(kind, request))
    fill(source)
    certify_offsets(source)
    routing.repository = source
    far = all_rules().replace("sinks: {", "sinks: {files: {kind: directory, path: files},")
    status = routing.once(far.replace("sinks: replica", "sinks: [replica, files]"))
    assert [one.counts["done"] for one in status.values()] == [17, 17]
    assert content_hashes(replica(), "toy/numbers") == content_hashes(source, "toy/numbers")


@pytest.mark.slow
def test_what_is_put_on_a_database_server_is_found_within_the_poll(routing, replica, postgres, tmp_path):
    source = Repository.create(tmp_path / "far", Places(database=postgres.new_database()))
    fill(source)
    routing.repository = source
    router = routing.router(all_rules(datasets="number"))
    thread = threading.Thread(target=router.run)
    thread.start()
    try:
        wait_for(lambda: routing.status().get("replica") and routing.status()["replica"].counts.get("done") == 12)
        source.put(5, "number", {"instrument": "toy", "exposure": 1, "detector": 1}, run="toy/new")
        wait_for(lambda: routing.status()["replica"].counts.get("done") == 13)
        postgres.break_connections(make_url(source.butler._config["registry", "db"]).database)
        source.butler.registry.refresh()
        wait_for(lambda: put_again(source))
        wait_for(lambda: routing.status()["replica"].counts.get("done") == 14)
    finally:
        router.stop()
        thread.join(30)
    assert not thread.is_alive()


def put_again(source):
    """Put a dataset through a Butler whose connection may be broken."""
    home = Repository.open(source.path)
    home.put(6, "number", {"instrument": "toy", "exposure": 2, "detector": 1}, run="toy/newer")
    return True


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
