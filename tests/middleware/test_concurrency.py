"""Several processes write into one repository at once, and nothing is lost, doubled or refused."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from concurrent_writers import PUTS
from frames import CAMERA, write_frame
from sqlalchemy import event
from toy_survey import certify_offsets, fill

from etendue.errors import InputError
from etendue.middleware.configuration import Places
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.holdings import all_datasets

pytestmark = pytest.mark.slow  # processes and runs, seconds each

HERE = Path(__file__).parent


def at_once(folder: Path, *commands: list[Any]) -> list[dict[str, Any]]:
    """Let processes begin together; return what each answered."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    writers = [
        subprocess.Popen(
            [sys.executable, HERE / "concurrent_writers.py", str(folder), *map(str, command)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        ) for command in commands
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=300)[0] for writer in writers]
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    database = request.getfixturevalue("postgres").new_database() if request.param == "postgresql" else None
    repository = Repository.create(tmp_path / "repo", Places(database=database))
    fill(repository)
    certify_offsets(repository)
    return repository


def test_what_two_register_at_once_is_there_once(shared):
    answers = at_once(shared.path, ["register", "a"], ["register", "b"])
    assert answers == [{"ok": PUTS}] * 2
    shared.butler.registry.refresh()
    refs = shared.butler.query_datasets("mine", collections="shared/*", find_first=False, limit=None)
    assert len(refs) == len({(ref.run, ref.dataId) for ref in refs}) == 2 * PUTS
    assert sorted(tuple(shared.get(ref)) for ref in refs) == sorted((n, k) for n in "ab" for k in range(PUTS))
    assert shared.cameras() == ["simcam", "toy"]
    assert check(shared).ok


def test_frames_that_two_ingest_at_once_are_there_once(shared, tmp_path):
    shared.register_camera(CAMERA)
    frames = [write_frame(tmp_path / "raw", seq, "science") for seq in range(1, 7)]
    answers = at_once(shared.path, ["ingest", "a", *frames], ["ingest", "b", *reversed(frames)])
    told = [entry for answer in answers for entry in answer["ok"]]
    for frame in frames:
        assert sorted(status for name, status, _ in told if name == frame.name) == ["already there", "ingested"], told
    shared.butler.registry.refresh()
    assert len(shared.query("raw", collections="simcam/raw/all")) == len(frames)
    assert len(shared.butler.query_dimension_records("visit", instrument="simcam")) == len(frames)
    assert check(shared).ok


def test_two_runs_at_once_register_all_they_made(shared):
    assert at_once(shared.path, ["run", "a"], ["run", "b"]) == [{"ok": []}] * 2
    shared.butler.registry.refresh()
    [first, second] = [
        sorted(ref.datasetType.name for ref in all_datasets(shared.butler, [f"toy/{name}/*"])) for name in "ab"
    ]
    assert first == second
    assert len(first) > 20
    assert check(shared).ok


def test_a_writer_that_waits_too_long_says_who_is_in_the_way(tmp_path):
    fill(Repository.create(tmp_path / "repo"))
    waiting = Repository.open(tmp_path / "repo")
    engine = waiting.butler._registry._db._engine
    event.listen(engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout = 100"))
    other = sqlite3.connect(tmp_path / "repo" / "gen3.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InputError, match=r"was writing for 5 minutes; wait for it .* PostgreSQL serves many"):
        waiting.put(1, "number", {"instrument": "toy", "exposure": 1, "detector": 0}, run="late")
    other.close()
    waiting.put(1, "number", {"instrument": "toy", "exposure": 1, "detector": 0}, run="late")
