"""People see how far a run is and what it does now; other processes read it from a file."""

import io
import json
import os
import time

import pytest
from rich.console import Console

from etendue.middleware.execution.forecast import Forecast
from etendue.middleware.execution.pool import Running
from etendue.middleware.execution.progress import Progress
from etendue.middleware.execution.worker import Job
from etendue.middleware.journal import QuantumOutcome


def outcome(status="succeeded", wall_s=2.0):
    return QuantumOutcome("1", "measure", {}, status, wall_s=wall_s)


def running(n, label="measure"):
    return [Running(Job(str(k), label, retry=False, attempt=1 + k), os.getpid(), time.time() - 75) for k in range(n)]


@pytest.fixture
def progress(tmp_path):
    return Progress(
        "toy/out", total=20, done=4, workers=2, forecast=Forecast({"measure": 16}), path=tmp_path / "running.json",
        data_id=lambda quantum: {"instrument": "toy", "exposure": int(quantum), "detector": 1}, shown=True,
    )  # fmt: skip


def test_the_line_counts_and_forecasts(progress):
    assert progress.line().startswith("toy/out: 4 of 20 quanta, ")
    for status in ("succeeded", "failed", "defeated", "skipped"):
        progress.end(outcome(status))
    line = progress.line()
    assert line.startswith("toy/out: 8 of 20 quanta, 1 defeated, 1 failed, 1 skipped, ")
    assert line.endswith(", 0:12 left")  # 12 quanta of 2 s in two workers


def test_the_screen_shows_what_runs(progress):
    progress.look(running(14))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(progress)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert any(line.startswith("measure exposure 3, detector 1 1:15 ") and line.endswith(" MiB 4") for line in lines)
    assert lines[-1] == "and 2 more"


def test_a_file_tells_other_processes_while_the_run_goes_on(progress, tmp_path):
    with progress.live():
        progress.look(running(2))
        told = json.loads((tmp_path / "running.json").read_text())
        assert (told["total"], told["done"], told["driver"]) == (20, 4, os.getpid())
        assert [item["attempt"] for item in told["running"]] == [1, 2]
        assert told["running"][1]["data_id"]["exposure"] == 1
    assert not (tmp_path / "running.json").exists()


def test_without_a_terminal_a_line_comes_now_and_then(progress, capsys, monkeypatch):
    with progress.live():
        progress.look(())
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("etendue.middleware.execution.progress._LINE_S", 0.0)
        progress.look(())
    assert capsys.readouterr().err.startswith("etendue: toy/out: 4 of 20 quanta, ")
