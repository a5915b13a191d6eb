"""Times in the spellings that occur."""

import pytest
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.camera.times import day_obs, format_iso, parse_utc, second_of_night, to_tai, to_utc
from etendue.errors import InputError

MJD = 58568.12390486111  # 2019-03-26T02:58:25.38


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("2019-03-26", "02:58:25.38"),
        ("2019-03-26T02:58:25.38", None),
        ("2019-03-26 2:58:25.38", "ignored"),
        ("2019/03/26", "02:58:25.38Z"),
        ("2019-03-25T19:58:25.380-0700", None),
        ("2019-03-26T02:58:25.38-0000", None),
        ("2019-3-26", "2:58:25.38"),
    ],
)
def test_spellings_of_one_moment_agree(date: str, time: str | None) -> None:
    assert parse_utc(date, time) == pytest.approx(MJD, abs=1e-9)


def test_seconds_need_no_padding() -> None:
    assert parse_utc("2019-03-26", "03:24:3.07") == pytest.approx(parse_utc("2019-03-26T03:24:03.07"), abs=1e-11)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2019-13-01T00:00:00",
        "2019-03-26",
        "2019-03-26T1",
        "03/26/2019 01:02:03",
        "2019-03-261T01:02:03",
        "2019-03-26T25:00:00",
        "2019-03-26T01:60:00",
        "2019-03-26T01:02:61",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_utc(text)


def test_tai_is_ahead_of_utc_by_the_leap_seconds() -> None:
    assert (to_tai(MJD, "utc") - MJD) * 86400.0 == pytest.approx(37.0, abs=1e-5)
    assert to_utc(to_tai(MJD, "utc")) == pytest.approx(MJD, abs=1e-10)
    assert to_tai(64000.5, "utc") > 64000.5  # leap seconds not announced yet: no warning


@settings(deadline=None)
@given(mjd=st.floats(45000.0, 62000.0))
def test_written_times_are_read_back_to_the_millisecond(mjd: float) -> None:
    assert abs(parse_utc(format_iso(mjd)) - mjd) * 86400.0 < 1.1e-3


@settings(deadline=None)
@given(mjd=st.floats(45000.0, 62000.0), offset=st.floats(-12.0, 12.0))
def test_night_and_second_are_in_range(mjd: float, offset: float) -> None:
    assert 0 <= second_of_night(mjd, offset) < 86400
    assert 19810000 < day_obs(mjd, offset) < 20300000


def test_the_night_changes_at_the_offset_from_midnight() -> None:
    assert day_obs(MJD, 0.0) == 20190326
    assert day_obs(MJD, -12.0) == 20190325
    assert day_obs(58567.8, 5.0) == 20190326


@settings(deadline=None)  # the first call loads the tables of leap seconds
@given(st.floats(41318.0, 62000.0), st.sampled_from([("utc", "tai"), ("tai", "utc")]))
def test_utc_and_tai_are_those_of_astropy(mjd, scales):
    source, target = scales
    expected = getattr(Time(int(mjd), mjd - int(mjd), format="mjd", scale=source), target).mjd
    found = to_tai(mjd, source) if target == "tai" else to_utc(mjd)
    assert abs(found - expected) * 86400.0 < 2e-6
