"""A process that dies leaves its log and its stack."""

import ctypes
import logging
import os
import signal
import sys
import time
from multiprocessing import get_context

import pytest

from etendue.middleware.execution.flight_log import Flight, FlightRecorder, ask_for_stack, recover


def fly(folder, ending):
    recorder = FlightRecorder(folder)
    log = logging.getLogger("etendue.flight")
    logging.getLogger().setLevel(logging.INFO)
    log.info("of the quantum before")
    recorder.begin()
    log.info("took %d of %s", 3, "apples")
    try:
        raise ValueError("sour")
    except ValueError:
        log.exception("bad apple")
    if ending == "segfault":
        ctypes.string_at(0)
    (folder / "ready").touch()
    time.sleep(60)


@pytest.mark.parametrize("ending", ["segfault", "kill", "hang"])
def test_the_last_quantum_of_a_dead_process_is_known(tmp_path, ending):
    process = get_context("fork").Process(target=fly, args=(tmp_path, ending))
    process.start()
    assert process.pid is not None
    if ending != "segfault":
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        if ending == "hang":
            ask_for_stack(tmp_path, process.pid)
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    flight = recover(tmp_path, process.pid)
    assert [record.getMessage().splitlines()[0] for record in flight.records] == ["took 3 of apples", "bad apple"]
    assert "ValueError: sour" in flight.records[1].getMessage()
    assert flight.records[0].name == "etendue.flight"
    assert abs(flight.records[0].created - time.time()) < 60
    if ending == "kill":
        assert flight.stack == flight.where == ""
    elif sys.platform == "linux":
        assert "in fly" in flight.stack
        assert flight.where.startswith("middleware/execution/test_flight_log.py:")
    assert {path.name for path in tmp_path.iterdir()} <= {"ready"}


def test_a_line_cut_short_is_left_out(tmp_path):
    (tmp_path / "7.log").write_text('{"name": "x", "leve')
    assert recover(tmp_path, 7) == Flight((), "")
