import hashlib
from collections import Counter
from pathlib import Path

import pytest
from astropy.time import Time

from etendue.middleware.datastores import file_datastores
from etendue.middleware.ingest import file_reader, ingest
from etendue.middleware.ingest.intake import IntakeRules
from etendue.middleware.repository import Repository
from tiny_frames import write_tiny

RAWS = "tiny/raw/all"


def statuses(outcomes) -> list[str]:
    return [outcome.status for outcome in outcomes]


def recorded(home: Repository) -> dict[str, tuple[int, str]]:
    """Size and checksum of every raw file, as its datastore has them."""
    refs = home.query("raw", collections=RAWS)
    [store] = file_datastores(home.butler)
    found = store.get_file_info_for_transfer([ref.id for ref in refs])
    return {
        str(ref.dataId): (found[ref.id][0].file_info.file_size, found[ref.id][0].file_info.checksum) for ref in refs
    }


def test_several_processes_and_batches_do_what_one_does(home, tmp_path, monkeypatch):
    files = [write_tiny(tmp_path / "raw", seq, d, value=seq) for seq in range(1, 5) for d in (1, 2)]
    (tmp_path / "raw" / "bad.fits").write_bytes(b"SIMPLE")
    files.insert(3, tmp_path / "raw" / "bad.fits")
    monkeypatch.setattr(ingest, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(ingest, "_PER_CALL", 2)
    monkeypatch.setattr(ingest, "_PER_BATCH", 4)
    seen = []
    outcomes = home.ingest(files, camera="tiny", rules=IntakeRules(workers=2), seen=seen.append)
    assert [Path(o.path) for o in outcomes] == files
    assert Counter(statuses(outcomes)) == {"ingested": 8, "refused": 1}
    assert len(seen) > 1
    assert len(home.define_visits("tiny")) == 4
    for ref in home.query("raw", collections=RAWS):
        assert home.get(ref).array[0, 0] == ref.dataId["exposure"] % 100


@pytest.mark.parametrize("transfer", ["copy", "link", "direct"])
def test_recorded_checksums_are_those_of_the_files(home, tmp_path, transfer):
    path = write_tiny(tmp_path / "raw", 1)
    home.ingest([path], camera="tiny", transfer=transfer)
    [(size, checksum)] = recorded(home).values()
    assert size == path.stat().st_size
    assert checksum == hashlib.blake2b(path.read_bytes()).hexdigest()
    [store] = file_datastores(home.butler)
    [ref] = home.query("raw", collections=RAWS)
    assert store.computeChecksum(home.butler.getURI(ref)) == checksum


def test_a_new_delivery_is_refused_unless_it_may_replace_the_old_one(home, tmp_path):
    home.ingest([write_tiny(tmp_path / "first", 1, value=1)], camera="tiny")
    second = write_tiny(tmp_path / "second", 1, value=2)
    [refused] = home.ingest([second], camera="tiny")
    assert refused.status == "refused"
    assert "with other bytes" in refused.reason
    assert "--redelivered replace" in refused.reason
    [before] = home.query("raw", collections=RAWS)
    assert home.get(before).array[0, 0] == 1
    [taken] = home.ingest([second], camera="tiny", rules=IntakeRules(redelivered="replace"))
    [after] = home.query("raw", collections=RAWS)
    assert (taken.status, home.get(after).array[0, 0], after.id == before.id) == ("replaced", 2, False)
    assert home.refusals.current() == ()


def test_equal_bytes_under_another_name_are_no_new_frame(home, tmp_path):
    first = write_tiny(tmp_path / "raw", 1)
    again = tmp_path / "raw" / "again.fits"
    again.write_bytes(first.read_bytes())
    assert statuses(home.ingest([first, again], camera="tiny")) == ["ingested", "already there"]
    assert statuses(home.ingest([again], camera="tiny")) == ["already there"]


def test_a_file_that_changes_where_it_is_referred_to_is_noticed(home, tmp_path):
    path = write_tiny(tmp_path / "raw", 1, value=1)
    home.ingest([path], camera="tiny", transfer="direct")
    write_tiny(tmp_path / "raw", 1, value=2)
    [refused] = home.ingest([path], camera="tiny", transfer="direct")
    assert "its bytes are others than when it was ingested" in refused.reason
    [taken] = home.ingest([path], camera="tiny", rules=IntakeRules("direct", redelivered="replace"))
    assert taken.status == "replaced"
    assert path.is_file()


def test_files_that_were_taken_are_not_read_again_unless_they_change_or_are_gone_from_the_repository(
    home, tmp_path, monkeypatch
):
    files = [write_tiny(tmp_path / "raw", seq) for seq in (1, 2, 3)]
    home.ingest(files, camera="tiny")
    read = []
    frames_in = file_reader.frames_in
    monkeypatch.setattr(file_reader, "frames_in", lambda path, camera: read.append(path) or frames_in(path, camera))
    assert statuses(home.ingest(files, camera="tiny")) == ["already there"] * 3
    assert read == []
    files[0].touch()
    [gone] = home.query("raw", collections=RAWS, where="exposure.seq_num = 2")
    with home.writing() as butler:
        butler.pruneDatasets([gone], disassociate=True, unstore=True, purge=True)
    assert sorted(statuses(home.ingest(files, camera="tiny"))) == ["already there", "already there", "ingested"]
    assert [Path(path) for path in read] == files[:2]


def test_nights_roll_over_at_the_hour_of_the_camera(home, tmp_path):
    times = {1: "2026-12-31T11:59:59", 2: "2026-12-31T12:00:01", 3: "2027-01-01T11:59:00", 4: "2027-01-01T12:00:00"}
    files = [write_tiny(tmp_path / "raw", seq, time=time) for seq, time in times.items()]
    home.ingest(files, camera="tiny")
    records = home.butler.query_dimension_records("exposure", instrument="tiny", explain=False)
    assert {r.seq_num: r.day_obs for r in records} == {1: 20261230, 2: 20261231, 3: 20261231, 4: 20270101}
    first = next(record for record in records if record.seq_num == 1)
    assert first.timespan.begin.utc.mjd == pytest.approx(Time(times[1]).mjd, abs=1e-9)
    assert first.timespan.end.utc.mjd > Time(times[2]).mjd  # exposed across the turn of the night


def test_one_number_in_two_nights_makes_two_exposures(home, tmp_path):
    nights = ("2026-03-20T20:00:00", "2026-03-21T20:00:00")
    files = [write_tiny(tmp_path / time[:10], 7, time=time) for time in nights]
    assert statuses(home.ingest(files, camera="tiny")) == ["ingested"] * 2
    assert [ref.dataId["exposure"] for ref in home.query("raw", collections=RAWS)] == [2026032000007, 2026032100007]
