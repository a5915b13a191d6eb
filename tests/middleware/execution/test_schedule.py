"""Quanta come in order, but a worker gets what it has at hand, and memory is not overrun."""

from random import Random

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.middleware.execution import admission
from etendue.middleware.execution.admission import Admission, needs_of
from etendue.middleware.execution.forecast import Forecast
from etendue.middleware.execution.schedule import WINDOW, Schedule
from etendue.middleware.journal import QuantumOutcome

NAMES = [f"q{i:03}" for i in range(100)]


def independent(names=tuple(NAMES)):
    graph = networkx.DiGraph()
    graph.add_nodes_from(names)
    return Schedule(graph, names)


def outcome(label, wall_s=1.0, memory_mb=200.0, status="succeeded"):
    return QuantumOutcome(label, label, {}, status, wall_s=wall_s, memory_mb=memory_mb)


def test_without_merits_the_first_that_is_ready_comes_first():
    graph = networkx.DiGraph([("a", "c"), ("b", "c")])
    schedule = Schedule(graph, ["a", "b", "c"])
    assert [schedule.next(), schedule.next(), schedule.next()] == ["a", "b", None]
    schedule.finish("b")
    assert schedule.next() is None
    schedule.finish("a")
    assert schedule.next() == "c"


def test_a_failure_takes_everything_downstream_along():
    graph = networkx.DiGraph([("a", "b"), ("b", "c"), ("x", "y")])
    schedule = Schedule(graph, ["a", "b", "c", "x", "y"])
    assert schedule.fail("a") == ["b", "c"]
    assert len(schedule) == 2


def test_what_was_given_back_comes_again_in_its_place():
    schedule = independent(NAMES[:3])
    first = schedule.next()
    schedule.give_back(first)
    assert [schedule.next() for _ in range(3)] == NAMES[:3]


def test_the_best_of_a_window_comes_first():
    schedule = independent()
    liked = {NAMES[5], NAMES[WINDOW + 5]}
    assert schedule.next(lambda name: float(name in liked)) == NAMES[5]
    assert schedule.next(lambda name: float(name in liked)) == NAMES[0]


@given(st.integers(0, 2**32))
def test_every_quantum_comes_once_whatever_is_preferred(seed):
    schedule, came, random = independent(), [], Random(seed)
    while (name := schedule.next(lambda _: random.random())) is not None:
        came.append(name)
    assert sorted(came) == NAMES


def test_nobody_waits_for_ever():
    schedule, came = independent([f"n{i}" for i in range(500)]), []
    while "n0" not in came:
        came.append(schedule.next(lambda name: None if name == "n0" and len(came) < 100 else float(name != "n0")))
    assert len([name for name in came if name is not None]) < 100


def test_quanta_wait_for_memory():
    held = Admission(1000.0, {"big": 700.0, "small": 200.0})
    assert held.admits("a", "big")
    held.begin("a", "big")
    assert not held.admits("b", "big")
    assert held.admits("c", "small")
    held.begin("c", "small")
    assert not held.admits("d", "small")
    held.end("a", outcome("big", memory_mb=900.0))
    assert not held.admits("b", "big")
    held.end("c")
    assert held.admits("b", "big")  # alone, although it is larger than what is free


def test_a_quantum_that_ran_out_of_memory_runs_alone():
    held = Admission(1e6)
    held.must_run_alone("a")
    held.begin("b", "small")
    assert not held.admits("a", "big")
    held.end("b")
    held.begin("a", "big")
    assert not held.admits("b", "small")
    held.end("a", outcome("big"))
    held.begin("b", "small")
    assert held.admits("a", "big")


def test_pressure_is_felt_only_where_several_run(monkeypatch):
    free = [1000.0]
    monkeypatch.setattr(admission, "free_mib", lambda: free[0])
    held = Admission()
    assert held.total_mib == 900.0
    held.begin("a", "x")
    free[0] = 10.0
    assert not held.pressed()
    held.begin("b", "x")
    assert held.pressed()
    free[0] = 100.0
    assert not held.pressed()


def test_where_the_system_does_not_tell_its_memory_nothing_waits(monkeypatch):
    monkeypatch.setattr(admission, "free_mib", lambda: None)
    held = Admission()
    for name in NAMES:
        assert held.admits(name, "x")
        held.begin(name, "x")
    assert not held.pressed()


def test_needs_are_the_largest_of_each_task():
    assert needs_of([outcome("a", memory_mb=3.0), outcome("a", memory_mb=2.0)]) == {"a": 3.0}


def test_the_time_left_counts_each_task_by_its_own_times():
    forecast = Forecast({"short": 10, "long": 2, "unknown": 1})
    assert forecast.seconds_left(1) is None
    for label, wall_s in (("short", 1.0), ("short", 3.0), ("long", 100.0)):
        forecast.end(outcome(label, wall_s))
    assert forecast.seconds_left(1) == pytest.approx(8 * 2.0 + 1 * 100.0 + 104.0 / 3.0)
    assert forecast.seconds_left(2) == pytest.approx(forecast.seconds_left(1) / 2)


def test_times_of_earlier_runs_count_until_there_are_own_ones():
    forecast = Forecast({"a": 2}, [outcome("a", 5.0)])
    assert forecast.seconds_left(1) == 10.0
    forecast.end(outcome("a", 1.0))
    assert forecast.seconds_left(1) == 1.0
