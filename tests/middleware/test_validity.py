"""What is valid when: certified from dates, decertified in part, listed, and which of two goes first."""

import datetime
from uuid import uuid4

import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler import Timespan
from toy_survey import fill

from etendue.camera.shipped import load_camera
from etendue.camera.times import day_obs, to_utc
from etendue.errors import InputError
from etendue.middleware.calibrations import certify, chain_members, decertify
from etendue.middleware.configuration import Places
from etendue.middleware.moments import moment, night_begin, written
from etendue.middleware.repository import Repository
from etendue.middleware.validity import Validity, hidden_spans, in_force, limits, validities

SIMCAM = load_camera("simcam")
CERTIFIED = "toy/certified"
LATE, EARLY = "toy/offsets/late", "toy/offsets/early"


def ranges(home, *collections):
    found = validities(home, "toy", collections=collections or (CERTIFIED,))
    return [(row.detector, row.run, *limits(row.span)) for row in found]


@pytest.fixture(params=["sqlite", "postgresql"])
def toy(request, tmp_path):
    places = Places()
    if request.param == "postgresql":
        places = Places(database=request.getfixturevalue("postgres").new_database())
    home = Repository.create(tmp_path / "repo", places)
    fill(home)
    with home.writing() as butler:
        certify(butler, ["offset"], run=EARLY, collection=CERTIFIED, begin_mjd_tai=60000.0, end_mjd_tai=60010.0)
        certify(butler, ["offset"], run=LATE, collection=CERTIFIED, begin_mjd_tai=60010.0)
    return home


def test_decertifying_a_stretch_cuts_what_overlaps_and_nothing_else(toy):
    with toy.writing() as butler:
        count = decertify(butler, ["offset", "none"], collection=CERTIFIED, detectors=[1], begin_mjd_tai=60004.0,
                          end_mjd_tai=60012.0)  # fmt: skip
        assert decertify(butler, ["offset"], collection=CERTIFIED, physical_filters=["r"]) == 0
        assert decertify(butler, ["offset"], collection="nowhere") == 0
        assert decertify(butler, ["offset"], collection=CERTIFIED, end_mjd_tai=60000.0) == 0
    assert count == 2
    assert ranges(toy) == [
        (0, EARLY, 60000.0, 60010.0), (0, LATE, 60010.0, None), (1, EARLY, 60000.0, 60004.0), (1, LATE, 60012.0, None),
    ]  # fmt: skip
    with toy.writing() as butler, pytest.raises(InputError, match="ends before it begins"):
        decertify(butler, ["offset"], collection=CERTIFIED, begin_mjd_tai=60004.0, end_mjd_tai=60003.0)
    with toy.writing() as butler:
        assert decertify(butler, ["offset"], collection=CERTIFIED) == 4
    assert ranges(toy) == []


def test_a_chain_keeps_its_order_and_gets_what_it_lacks(toy):
    assert chain_members(toy.butler, "toy/nowhere", ["a"]) == ["a"]
    toy.butler.collections.redefine_chain("toy/calib", [LATE, CERTIFIED])
    assert chain_members(toy.butler, "toy/calib", [CERTIFIED, EARLY]) == [LATE, CERTIFIED, EARLY]


def row(begin, end, rank):
    times = (None if mjd is None else Time(float(mjd), format="mjd", scale="tai") for mjd in (begin, end))
    return Validity("bias", 0, "", "run", str(rank), Timespan(*times), 0.0, str(uuid4()))


ROWS = st.lists(st.tuples(st.integers(60000, 60020), st.integers(1, 9), st.integers(0, 2)), max_size=6)


@given(ROWS, st.integers(59990, 60040))
def test_the_first_collection_that_holds_a_time_is_in_force_then(given_rows, day):
    rows = sorted((row(begin, begin + days, rank) for begin, days, rank in given_rows), key=lambda one: one.collection)
    when = Time(day + 0.5, format="mjd", scale="tai")
    valid = [one for one in rows if one.span.contains(when)]
    found = [one for stretches in in_force(rows).values() for one in stretches]
    taken = [one for one in found if one.span.contains(when)]
    assert len(taken) == bool(valid)
    if valid:
        assert taken[0].validity == valid[0]
        hidden = [one for one in valid[1:] if any(span.contains(when) for span in hidden_spans(one, found))]
        assert hidden == valid[1:]
        assert not any(span.contains(when) for span in hidden_spans(valid[0], found))


@pytest.mark.parametrize(("text", "mjd"), [
    ("60000.25", 60000.25), ("2026-03-20", 61119.0), ("2026-03-20T12:00", 61119.5), (" 2026-03-20 06:00:00 ", 61119.25),
])  # fmt: skip
def test_times_are_read_as_mjd_or_date_in_tai(text, mjd):
    assert moment(text, SIMCAM) == mjd


@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2089, 12, 31)))
def test_a_night_begins_with_the_first_exposure_of_its_day_obs(date):
    number = int(date.strftime("%Y%m%d"))
    begin = to_utc(night_begin(date, SIMCAM))
    offset = SIMCAM.header.day_obs_offset_hours
    assert moment(str(number), SIMCAM) == night_begin(date, SIMCAM)
    assert day_obs(begin + 1e-6, offset) == number
    assert day_obs(begin - 1e-6, offset) < number


@pytest.mark.parametrize("text", ["now", "", "2026-13-01", "20261301", "2026-03-20Z", "-5", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InputError, match=r"no time .*give an MJD, a date as 2026-03-20"):
        moment(text, SIMCAM)


def test_times_are_written_to_the_minute_or_second():
    assert [written(mjd) for mjd in (None, 61119.5, 61119.5 + 1 / 86400)] == [
        "", "2026-03-20 12:00", "2026-03-20 12:00:01",
    ]  # fmt: skip
