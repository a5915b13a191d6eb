"""Dates of files become ranges that hold every time once."""

import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler import Timespan

from etendue.errors import InputError
from etendue.middleware.curated.dates import ALWAYS, begin_of, name_of, ranges

SECOND = 1_000_000_000
LATEST = 129 * 365 * 86400 * SECOND
EPOCH = Time("1970-01-01T00:00:00", scale="tai")


def time_of(nsec):
    day, rest = divmod(nsec, 86400 * SECOND)
    return Time(EPOCH.jd1 + day, EPOCH.jd2 + rest / (86400.0 * SECOND), format="jd", scale="tai")


@given(st.lists(st.integers(SECOND, LATEST), min_size=1, max_size=8, unique=True), st.booleans(),
       st.integers(0, LATEST))  # fmt: skip
def test_every_time_belongs_to_the_latest_file_before_it(nsec, always, moment):
    begins = [time_of(one) for one in nsec] + [None] * always
    exact = [Timespan(begin, None).nsec[0] for begin in begins]
    probe = Timespan.fromInstant(time_of(moment))
    holding = [k for k, span in enumerate(ranges(begins)) if span.contains(probe)]
    started = [k for k, begin in enumerate(exact) if begin <= probe.nsec[0]]
    assert holding == ([max(started, key=lambda k: exact[k])] if started else [])


@given(st.integers(SECOND, LATEST))
def test_a_name_keeps_its_time_to_the_nanosecond(nsec):
    begin = Timespan(time_of(nsec), None)
    assert Timespan(begin_of(name_of(begin.begin)), None).nsec == begin.nsec


@pytest.mark.parametrize(("name", "iso"), [
    ("20260320T120000", "2026-03-20T12:00:00.000"), ("20260320t120000.25", "2026-03-20T12:00:00.250"),
])  # fmt: skip
def test_names_are_read_as_tai(name, iso):
    assert begin_of(name) == Time(iso, scale="tai")


def test_the_first_of_1970_stands_for_always():
    assert begin_of(ALWAYS) is None
    assert name_of(None) == ALWAYS


@pytest.mark.parametrize("name", ["2026-03-20", "20260320", "20261320T000000", "20260320T250000", "19600101T000000",
                                  "22000101T000000", "x20260320T000000"])  # fmt: skip
def test_what_is_no_date_is_refused_with_its_name(name):
    with pytest.raises(InputError, match=name):
        begin_of(name)
