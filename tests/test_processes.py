"""Work in processes gives what work in one gives, and a killed process is one line."""

import math
import os

import pytest

from etendue.errors import EtendueError
from etendue.processes import in_processes


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_gives_its_result(workers):
    assert dict(in_processes(math.factorial, [3, 1, 4], workers=workers, preload="json")) == {0: 6, 1: 1, 2: 24}


def test_nothing_gives_nothing():
    assert list(in_processes(math.factorial, [], workers=2, preload="json")) == []


def test_processes_have_the_variables_of_now_not_those_of_the_first_call(monkeypatch):
    list(in_processes(os.getenv, ["HOME", "HOME"], workers=2, preload="json"))  # the server that forks them stays
    for value in ("one key", "another key"):
        monkeypatch.setenv("KEY_OF_A_STORE", value)
        found = dict(in_processes(os.getenv, ["KEY_OF_A_STORE"] * 2, workers=2, preload="json"))
        assert found == {0: value, 1: value}


def test_a_killed_process_is_told_in_one_line():
    with pytest.raises(EtendueError, match="a worker process was killed"):
        list(in_processes(os._exit, [1, 1], workers=2, preload="json"))
