import sqlite3
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.middleware.router.event import Outcome, PutEvent
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.rules import Retries

RETRIES = Retries(attempts=3, first_s=10.0, longest_s=15.0)


def event(number, *, rule="r", revision=5):
    return PutEvent(rule, uuid.UUID(int=number), revision, "raw", {"exposure": number}, {"band": "r"}, "run")


@pytest.fixture
def queue(tmp_path):
    return Queue(tmp_path / "queue.sqlite3")


def done(queue, *numbers, place="", size=0):
    queue.record([Outcome(number, "done", place=place or str(number), size=size) for number in numbers], RETRIES)


def test_what_is_known_is_not_added_again(queue):
    assert queue.add([event(1), event(2)]) == 2
    done(queue, 1)
    assert queue.add([event(1), event(2), event(3)]) == 1
    assert [delivery.event for delivery in queue.waiting(10)] == [event(2), event(3)]


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("ab"), st.integers(1, 3)), max_size=12))
def test_a_key_is_dataset_rule_and_revision(keys):
    queue = Queue(":memory:")
    events = [event(number, rule=rule, revision=revision) for number, rule, revision in keys]
    assert sum(queue.add([one]) for one in events) == len(set(keys))
    assert {delivery.event.key for delivery in queue.waiting(100)} == {one.key for one in events}
    queue.close()


def test_a_failure_waits_longer_each_time_and_ends_as_a_dead_letter_with_its_reason(queue):
    queue.add([event(1)])
    pauses = []
    for _ in range(3):
        assert queue.record([Outcome(1, "failed", "no luck")], RETRIES) is not None
        pauses.append((queue.next_due() or 0.0) - time.time())
    assert 9.0 < pauses[0] < 12.6
    assert 14.0 < pauses[1] < 18.8  # the longest, not 20
    assert queue.waiting(10) == []
    assert queue.troubles("dead") == [(event(1), 3, "no luck")]
    assert queue.counts()["dead"] == 1


def test_what_is_not_due_is_left_alone_unless_the_clock_was_set_back(queue):
    queue.add([event(1)])
    queue.record([Outcome(1, "failed", "x")], RETRIES)
    now = time.time()
    assert queue.waiting(10, now=now) == []
    assert len(queue.waiting(10, now=now + 20.0)) == 1
    assert len(queue.waiting(10, now=now - 30 * 86400.0)) == 1
    assert len(queue.waiting(10)) == 1


def test_dead_letters_are_put_back_all_or_by_key(queue):
    queue.add([event(1), event(2), event(3)])
    queue.record([Outcome(n, "refused", "never") for n in (1, 2)], RETRIES)
    done(queue, 3)
    assert queue.retry([event(1).key, "nonsense", event(9).key]) == 1
    assert queue.retry() == 1
    assert [delivery.number for delivery in queue.waiting(10)] == [1, 2]
    assert [delivery.tries for delivery in queue.waiting(10)] == [1, 1]
    assert queue.retry([event(3).key]) == 1  # asked for by name, also what was delivered


def test_something_new_at_a_place_replaces_what_was_there(queue):
    queue.add([event(1, revision=5), event(1, revision=6), event(2, revision=7)])
    done(queue, 1, place="here", size=10)
    done(queue, 2, place="here", size=20)
    done(queue, 3, place="there", size=5)
    assert queue.counts()["replaced"] == 1
    assert queue.total_bytes() == 25
    assert (queue.newest("here"), queue.newest("nowhere")) == (6, None)


def test_two_rules_may_send_one_dataset_to_one_place(queue):
    queue.add([event(1, rule="a"), event(1, rule="b")])
    done(queue, 1, 2, place="here", size=10)
    assert queue.counts()["done"] == 2
    assert queue.total_bytes() == 10


def test_retention_by_bytes_gives_up_the_oldest(queue):
    queue.add([event(n) for n in (1, 2, 3, 4)])
    for number in (1, 2, 3, 4):
        done(queue, number, size=400_000_000)
    overdue = queue.overdue(None, 1.0, time.time())
    assert [held.place for held in overdue] == ["1", "2"]
    queue.expire([held.place for held in overdue])
    assert queue.overdue(None, 1.0, time.time()) == []
    assert [held.place for held in queue.held()] == ["3", "4"]
    assert queue.add([event(1)]) == 0, "what expired is not delivered again"


def test_retention_by_age(queue):
    queue.add([event(1)])
    done(queue, 1)
    assert queue.overdue(1.0, None, time.time() + 86000.0) == []
    assert len(queue.overdue(1.0, None, time.time() + 87000.0)) == 1


def test_what_is_passed_over_is_never_delivered(queue):
    assert queue.add([event(1)], passed_over=True) == 1
    assert queue.add([event(1)]) == 0
    assert queue.waiting(10) == []
    assert queue.history() == []


def test_a_look_needs_no_right_to_write(queue, tmp_path):
    queue.add([event(1)])
    queue.note(kind="stream")
    look = Queue(tmp_path / "queue.sqlite3", writeable=False)
    assert (look.counts()["waiting"], look.fact("kind"), look.fact("nothing")) == (1, "stream", None)
    assert look.unknown([event(1), event(2)]) == 1


def test_a_damaged_queue_is_one_line_with_a_way_out(queue, tmp_path):
    path = tmp_path / "other.sqlite3"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match=r"other.sqlite3: the queue is damaged: .*delete its folder"):
        Queue(path)


def test_a_queue_of_a_newer_etendue_is_refused(queue, tmp_path):
    with sqlite3.connect(tmp_path / "queue.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="was made by a newer etendue: its layout is 99"):
        Queue(tmp_path / "queue.sqlite3")
