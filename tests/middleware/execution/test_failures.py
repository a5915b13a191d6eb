"""Failures are told apart by what can be done about them."""

import errno
import sqlite3

import pytest

from etendue.errors import InputError
from etendue.middleware.execution.failures import classify, oom_kills, where, why_it_died


def wrapped(inner):
    """Return an error as the Butler raises it: around that of a formatter."""
    try:
        try:
            raise inner
        except BaseException as error:
            raise ValueError("Failure from formatter") from error
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(("error", "kind"), [
    (InputError("no such filter"), "data"),
    (MemoryError(), "resource"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "resource"),
    (ConnectionResetError(), "infrastructure"),
    (TimeoutError(), "infrastructure"),
    (OSError(errno.ESTALE, "Stale file handle"), "infrastructure"),
    (sqlite3.OperationalError("database is locked"), "infrastructure"),
    (sqlite3.OperationalError("no such table: x"), "code"),
    (FileNotFoundError(errno.ENOENT, "No such file"), "code"),
    (ValueError("a plain mistake"), "code"),
])  # fmt: skip
def test_the_kind_of_an_error_does_not_depend_on_its_wrapping(error, kind):
    assert classify(error) == kind
    assert classify(wrapped(error)) == kind


def test_a_service_that_cannot_be_reached_is_infrastructure_although_input_is_missing():
    error = InputError("no catalog")
    error.__cause__ = ConnectionRefusedError()
    assert classify(error) == "infrastructure"


@pytest.mark.parametrize(("code", "full", "kind", "words"), [
    (-11, False, "crash", "SIGSEGV"),
    (-9, False, "crash", "SIGKILL"),
    (-9, True, "resource", "ran out of memory"),
    (1, False, "crash", "exit code 1"),
    (137, True, "resource", "SIGKILL"),
    (None, False, "crash", "exit code None"),
])  # fmt: skip
def test_a_dead_worker_tells_of_what_it_died(code, full, kind, words):
    found, reason = why_it_died(code, out_of_memory=full)
    assert found == kind
    assert words in reason


def test_the_place_of_an_error_is_in_own_code():
    def broken():
        return [][1]

    with pytest.raises(IndexError) as caught:
        broken()
    assert where(caught.value).startswith("middleware/execution/test_failures.py:")
    assert where(caught.value).endswith(" in broken")
    assert where(ValueError("never raised")) == ""


def test_kills_for_memory_are_counted_or_unknown():
    assert oom_kills() >= 0
