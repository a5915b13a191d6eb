"""When a router looks, and whether at everything."""

import time

import pytest

from etendue.middleware.router.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def advance(seconds):
        now[0] += seconds

    return advance


@pytest.fixture
def pace(clock):
    """After a look at everything that took a second."""
    made = Pace(2.0)
    assert made.is_due(True)
    assert made.whole_is_due()
    made.looked(1.0, whole=True, found=5)
    clock(1.0)
    return made


def test_where_nobody_writes_nothing_is_looked_at(pace, clock):
    for _ in range(100):
        clock(60.0)
        assert not pace.is_due(False)


def test_a_change_is_looked_at_at_once_and_its_news_suffice(pace, clock):
    assert pace.is_due(True)
    assert not pace.whole_is_due()
    pace.looked(0.02, whole=False, found=1)
    clock(30.0)
    assert not pace.is_due(False)


def test_what_a_late_transaction_hid_behind_other_news_is_found_by_a_whole_look_later(pace, clock):
    assert pace.is_due(True)
    pace.looked(0.02, whole=False, found=1)
    clock(61.0)
    assert pace.is_due(False)
    assert pace.whole_is_due()


def test_a_change_without_news_brings_a_whole_look_as_soon_as_that_has_rested(pace, clock):
    assert pace.is_due(True)
    pace.looked(0.02, whole=False, found=0)
    clock(1.0)
    assert not pace.is_due(False)
    clock(9.0)  # ten times the second that the last one took
    assert pace.is_due(False)
    assert pace.whole_is_due()
    pace.looked(1.0, whole=True, found=0)
    clock(600.0)
    assert not pace.is_due(False)


def test_looks_never_take_more_than_half_of_the_time(pace, clock):
    assert pace.is_due(True)
    pace.looked(0.5, whole=False, found=1)
    clock(0.4)
    assert not pace.is_due(True)
    clock(0.2)
    assert pace.is_due(False), "the change is not forgotten"


def test_a_database_server_is_asked_every_poll_and_about_everything_every_minute(pace, clock):
    assert not pace.is_due(None)
    clock(1.1)
    assert pace.is_due(None)
    pace.looked(0.02, whole=False, found=0)
    assert not pace.is_due(None)
    clock(2.1)
    assert pace.is_due(None)
    assert not pace.whole_is_due()
    clock(60.0)
    assert pace.whole_is_due()
