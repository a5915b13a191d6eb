"""What ails a quantum decides what becomes of it, and a run ends as it was told."""

import signal
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import CollectionType, Timespan
from lsst.pipe.base.log_capture import _ExecutionLogRecordsExtra
from toy_survey import INPUTS, TOY

from etendue import faults
from etendue.errors import InputError, Interrupted
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution import conductor
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.execution.limits import Limits
from etendue.middleware.journal import Journal, QuantumOutcome
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport

pytestmark = pytest.mark.slow  # processes and runs, seconds each

ONE = "detector = 1 AND exposure IN (2, 3)"
PRODUCTS = ["measured", "total", "note", "summary"]


def run(repository: Repository, *overrides: str, output: str = "toy/out", **options: Any) -> RunReport:
    settings = {"inputs": INPUTS, "output": output, "workers": 1, "progress": False, "where": ONE} | options
    return run_pipeline(repository, TOY, overrides=overrides, **settings)


def ailing(folder: Path, kind: str, times: int) -> list[str]:
    """Return overrides that give exposure 3 trouble a number of times."""
    (folder / "passing").write_bytes(b"x" * times)
    return ["measure:troubled=[3]", f"measure:trouble={kind}", f"measure:passing={folder / 'passing'}"]


def attempts(repository: Repository, report: RunReport) -> tuple[QuantumOutcome, ...]:
    [key] = [o.quantum_id for o in report.outcomes if o.label == "measure" and o.data_id["exposure"] == 3]
    return Journal(repository.runs_folder / report.run).attempts(key)


def hashes(repository: Repository, output: str = "toy/out") -> dict[str, str]:
    return content_hashes(repository, output, PRODUCTS)


def log_of(repository: Repository) -> Any:
    [ref] = repository.query("measure_log", collections="toy/out", where="exposure = 3 AND detector = 1")
    return repository.get(ref)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "_FIRST_WAIT_S", 0.01)


def test_a_server_that_comes_back_costs_attempts_only(toy_repository, tmp_path):
    report = run(toy_repository, *ailing(tmp_path, "network", 2), limits=Limits(retries=2))
    assert report.ok
    tried = attempts(toy_repository, report)
    assert [(o.attempt, o.status, o.failure) for o in tried] == [
        (1, "failed", "infrastructure"), (2, "failed", "infrastructure"), (3, "succeeded", ""),
    ]  # fmt: skip
    assert tried[0].message == "ConnectionResetError: the server went away"
    assert tried[0].where.endswith("in _trouble")
    assert tried[0].began > 1e9
    run(toy_repository, output="toy/reference")
    assert hashes(toy_repository) == hashes(toy_repository, "toy/reference")
    assert [len(p.logs) > 0 for p in _previous(log_of(toy_repository))] == [True, True]  # attempts keep their logs


def _previous(log: Any) -> Any:
    return _ExecutionLogRecordsExtra.model_validate(log.extra).previous_attempts


def test_a_server_that_stays_away_fails_after_the_last_attempt(toy_repository, tmp_path):
    report = run(toy_repository, *ailing(tmp_path, "network", 9), limits=Limits(retries=1))
    assert report.counts["failed"] == 1
    assert report.counts["skipped"] == 2
    assert [o.attempt for o in attempts(toy_repository, report)] == [1, 2]
    assert report.to_dict()["problems"][0]["failure"] == "infrastructure"


@pytest.mark.parametrize(("kind", "failure"), [("input", "data"), ("memory", "resource")])
def test_bad_data_are_not_tried_again_and_memory_is(toy_repository, tmp_path, kind, failure):
    report = run(toy_repository, *ailing(tmp_path, kind, 1), limits=Limits(retries=3))
    tried = attempts(toy_repository, report)
    assert tried[0].failure == failure
    assert len(tried) == (1 if failure == "data" else 2)
    assert report.ok == (failure == "resource")


def test_a_crash_leaves_its_log_and_its_stack_and_is_tried_again(toy_repository, tmp_path):
    report = run(toy_repository, *ailing(tmp_path, "segfault", 2), workers=2, limits=Limits(retries=1))
    [failed] = report.failed
    assert (failed.failure, failed.message, failed.attempt) == ("crash", "its worker died (SIGSEGV)", 2)
    assert failed.where.endswith("in _trouble")
    records = [record.message for record in log_of(toy_repository)]
    assert any("trouble comes: segfault" in text for text in records)
    assert "in _trouble" in records[-1]
    assert not (Journal(toy_repository.runs_folder / report.run).folder / "workers").exists()
    again = run(toy_repository, *ailing(tmp_path, "segfault", 0), workers=2, resume=True)
    assert again.ok
    assert (again.run, again.executed) == (report.run, 3)


def test_a_hanging_quantum_tells_where_it_hangs(toy_repository, tmp_path):
    limits = Limits(retries=5, task_time_s={"measure": 3.0}, time_s=1000.0)
    report = run(toy_repository, *ailing(tmp_path, "hang", 9), limits=limits)
    [failed] = report.failed
    assert (failed.failure, failed.attempt) == ("resource", 1)  # who sets a limit means it
    assert failed.message == "took longer than the time limit of 3 s"
    assert failed.where.endswith("in _trouble")
    assert failed.wall_s > 3.0


def test_a_limit_of_a_task_that_does_not_exist_is_refused(toy_repository):
    with pytest.raises(InputError, match=r"a task that is not in the pipeline \(got 'meassure'\); tasks: measure, "):
        run(toy_repository, limits=Limits(task_time_s={"meassure": 1.0}))


def test_a_run_gives_up_after_so_many_failures(toy_repository):
    where = "detector = 1"
    report = run(toy_repository, "measure:broken=[1, 2, 3, 4]", where=where, limits=Limits(max_failures=2))
    assert not report.ok
    assert report.stopped == "2 quanta failed: nothing more was begun"
    assert (report.counts["failed"], report.unrun) == (2, 3)
    assert report.to_dict()["unrun"] == 3
    log = toy_repository.query("measure_log", collections="toy/out", where="exposure = 1")
    assert len(log) == 1  # what is there is registered
    again = run(toy_repository, "measure:broken=[1, 2, 3, 4]", where=where, resume=True)
    assert (again.counts["failed"], again.counts["succeeded"], again.unrun) == (4, 1, 0)


def test_ctrl_c_lets_a_quantum_end_and_registers_what_is_finished(toy_repository):
    faults.arm("journal.append.after-sync@1=interrupt")
    try:
        with pytest.raises(Interrupted, match="1 of 4 quanta of toy/out are finished"):
            run(toy_repository)
    finally:
        faults.arm("")
    assert len(toy_repository.query("measured", collections="toy/out")) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert run(toy_repository, resume=True).executed == 3


def test_a_run_stops_between_quanta_when_it_is_told(toy_repository):
    answers = iter([False, True])
    with pytest.raises(Interrupted, match="2 of 4 quanta"):
        run(toy_repository, stop=lambda: next(answers))


def test_existing_products_are_skipped_whatever_changed(toy_repository):
    first = run(toy_repository, reuse=True)
    assert first.executed == 4
    changed = ("measure:scale.factor=7.0",)
    again = run(toy_repository, *changed, reuse=True, skip_existing=True)
    assert again.executed == 0
    wider = "detector = 1 AND exposure IN (2, 3, 4)"
    more = run(toy_repository, *changed, reuse=True, skip_existing=True, where=wider)
    assert more.executed == 1  # the new exposure; the total of the others is there
    assert run(toy_repository, *changed, reuse=True).executed == 4


def test_clobbering_deletes_what_a_run_replaced(toy_repository):
    first = run(toy_repository, reuse=True)
    old = toy_repository.query("measured", collections=first.run)
    second = run(toy_repository, "measure:scale.factor=7.0", reuse=True, clobber=True)
    assert second.removed == 4 * 2 + 5 + 4  # metadata and logs; products; configurations and package versions
    assert not any(toy_repository.butler.stored(ref) for ref in old)
    assert toy_repository.query("measured", collections=first.run) == ()
    assert len(toy_repository.query("measured", collections="toy/out")) == 2
    assert run(toy_repository, "measure:scale.factor=7.0", reuse=True).executed == 0


def test_what_failed_deletes_nothing(toy_repository):
    first = run(toy_repository, reuse=True)
    second = run(toy_repository, "measure:broken=[3]", reuse=True, clobber=True)
    assert (second.ok, second.removed) == (False, 0)
    assert len(toy_repository.query("measured", collections=first.run)) == 2


def test_a_resumed_run_starts_over_when_clobbered(toy_repository):
    first = run(toy_repository)
    before = hashes(toy_repository)
    again = run(toy_repository, resume=True, clobber=True)
    assert (again.run, again.executed, again.ok) == (first.run, 4, True)
    assert hashes(toy_repository) == before


def test_certified_products_are_not_deleted(toy_repository):
    for detector in (0, 1):
        toy_repository.put(1.0, "offset", {"instrument": "toy", "detector": detector}, run="toy/out/old")
    with toy_repository.writing() as butler:
        butler.collections.register("toy/kept", CollectionType.CALIBRATION)
        held = toy_repository.query("offset", collections="toy/out/old", where="detector = 0")
        butler.registry.certify("toy/kept", held, Timespan(None, None))
    run(toy_repository, clobber=True)
    assert toy_repository.query("offset", collections="toy/out/old") == held
