import pytest

from etendue.middleware.repository import Repository
from tiny_frames import write_tiny

FIRST = 2026032000001


def visits(home: Repository, camera: str) -> list:
    return sorted(home.butler.query_dimension_records("visit", instrument=camera, explain=False), key=lambda r: r.id)


def regions(home: Repository, camera: str) -> dict:
    found = home.butler.query_dimension_records("visit_detector_region", instrument=camera, explain=False)
    return {(record.visit, record.detector): record.region for record in found}


def members(home: Repository, camera: str) -> set:
    found = home.butler.query_dimension_records("visit_definition", instrument=camera, explain=False)
    return {(record.visit, record.exposure) for record in found}


def test_a_detector_that_comes_later_is_added_to_the_visit(home, tmp_path):
    home.ingest([write_tiny(tmp_path / "raw", 1, 1)], camera="tiny")
    home.define_visits("tiny")
    [alone] = visits(home, "tiny")
    home.ingest([write_tiny(tmp_path / "raw", 1, 2)], camera="tiny")
    [outcome] = home.define_visits("tiny")
    [both] = visits(home, "tiny")
    assert (outcome.exposure, outcome.defined) == (FIRST, True)
    assert sorted(regions(home, "tiny")) == [(FIRST, 1), (FIRST, 2)]
    assert all(both.region.contains(region) for region in regions(home, "tiny").values())
    assert not alone.region.contains(both.region)
    assert (both.exposure_time, both.timespan) == (alone.exposure_time, alone.timespan)
    assert home.define_visits("tiny") == ()


def test_headers_read_by_ingest_and_headers_read_later_give_equal_regions(home, tmp_path):
    files = [write_tiny(tmp_path / "raw", seq, d, RA=150.0 + seq) for seq in (1, 2) for d in (1, 2)]
    home.ingest(files, camera="tiny")
    home.define_visits("tiny")
    first = {key: region.encode() for key, region in regions(home, "tiny").items()}
    other = Repository.open(home.path)
    other.define_visits("tiny", again=[FIRST, FIRST + 1])
    assert {key: region.encode() for key, region in regions(other, "tiny").items()} == first


def test_a_science_frame_that_lies_nowhere_is_no_visit_and_says_why(home, tmp_path):
    path = write_tiny(tmp_path / "raw", 1, CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=0.0, CRPIX1=1.0,
                      CRPIX2=1.0, CD1_1=0.0, CD1_2=0.0, CD2_1=0.0, CD2_2=0.0)  # fmt: skip
    outcomes = home.ingest([path, write_tiny(tmp_path / "raw", 2)], camera="tiny")
    found = {outcome.exposure: outcome for outcome in home.define_visits("tiny")}
    assert outcomes[0].status == "refused" or not found[FIRST].defined
    assert found[FIRST + 1].defined


def test_snaps_of_one_group_are_one_visit_of_the_time_of_all(home, tmp_path):
    snaps = [write_tiny(tmp_path / "raw", seq, d, time=f"2026-03-20T20:00:{10 * seq:02d}", GROUP="a")
             for seq in (1, 4) for d in (1, 2)]  # fmt: skip
    alone = write_tiny(tmp_path / "raw", 9, GROUP="b")
    home.ingest([*snaps, alone], camera="snapping")
    home.define_visits("snapping")
    both, other = visits(home, "snapping")
    assert members(home, "snapping") == {(FIRST, FIRST), (FIRST, FIRST + 3), (FIRST + 8, FIRST + 8)}
    assert (both.exposure_time, other.exposure_time) == (60.0, 30.0)
    assert (both.timespan.end - both.timespan.begin).sec == pytest.approx(60.0, abs=1e-3)


def test_a_snap_that_comes_later_joins_its_visit(home, tmp_path):
    for seq in (1, 4):
        home.ingest([write_tiny(tmp_path / "raw", seq, GROUP="a")], camera="snapping")
        home.define_visits("snapping")
    [visit] = visits(home, "snapping")
    assert members(home, "snapping") == {(FIRST, FIRST), (FIRST, FIRST + 3)}
    assert visit.exposure_time == 60.0


def test_a_snap_joins_its_visit_where_only_new_exposures_are_looked_at(home, tmp_path):
    for seq in (1, 4):
        home.ingest([write_tiny(tmp_path / "raw", seq, GROUP="a")], camera="snapping")
        [outcome] = home.define_visits("snapping", only=[FIRST + seq - 1])
        assert outcome.defined
    [visit] = visits(home, "snapping")
    assert members(home, "snapping") == {(FIRST, FIRST), (FIRST, FIRST + 3)}
    assert visit.exposure_time == 60.0


def test_a_snap_that_should_have_come_first_stays_out_of_the_visit_and_says_why(home, tmp_path):
    home.ingest([write_tiny(tmp_path / "raw", 4, GROUP="a")], camera="snapping")
    home.define_visits("snapping")
    home.ingest([write_tiny(tmp_path / "raw", 1, GROUP="a")], camera="snapping")
    [outcome] = home.define_visits("snapping")
    assert not outcome.defined
    assert f"visit {FIRST + 3} was made of the later snaps" in outcome.reason
    assert members(home, "snapping") == {(FIRST + 3, FIRST + 3)}
