import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from toy_survey import INPUTS, TOY

from etendue.errors import InputError
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.execution.limits import Limits
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport

# What the scripts `pipetask` and `butler` do, one after the other in a fresh interpreter that no etendue code prepares.
STOCK = """
import sys
from lsst.ctrl.mpexec.cli.pipetask import cli as pipetask
from lsst.daf.butler.cli.butler import cli as butler
pipetask.main(args=sys.argv[1:], prog_name="pipetask", standalone_mode=False)
root = sys.argv[sys.argv.index("-b") + 1]
butler.main(args=["query-datasets", root, "measured", "--collections", "toy/out"], prog_name="butler")
"""


def run(repository: Repository, output: str = "toy/out", **options: Any) -> RunReport:
    settings = {"inputs": INPUTS, "output": output, "workers": 1, "progress": False} | options
    return run_pipeline(repository, TOY, **settings)


def shell(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Finished:
    repository: Repository
    report: RunReport


@pytest.fixture(scope="session")
def finished(filled_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a repository with one undisturbed run in one process; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("finished") / "repo"
    shutil.copytree(filled_folder, folder)
    repository = Repository.open(folder)
    return Finished(repository, run(repository, run_name="first"))


@pytest.fixture(scope="session")
def reference(finished: Finished) -> dict[str, str]:
    return hashes(finished.repository)


def hashes(repository: Repository, output: str = "toy/out") -> dict[str, str]:
    return content_hashes(repository, output, ["measured", "total", "note", "summary"])


def test_inputs_of_every_kind_reach_the_stage(finished):
    toy_repository, report = finished.repository, finished.report
    assert report.ok
    assert report.counts["succeeded"] == 5 * 2 + 2 + 1  # the bias does not enter
    total = toy_repository.get("total", {"instrument": "toy", "detector": 1}, collections="toy/out")
    # numbers 11..15 times 3, minus 0.5 for exposures 1 to 3 and 0.25 for 4 and 5
    assert total == {"total": 3 * 65 - 1.5 - 0.5, "exposures": [1, 2, 3, 4, 5]}
    note = toy_repository.get("note", {"instrument": "toy", "detector": 0}, collections="toy/out")
    assert note == "toy survey: 43.0"
    assert toy_repository.get("summary", {"instrument": "toy"}, collections="toy/out") == "43.0 193.0"


def test_an_output_that_is_none_is_not_written(toy_repository):
    assert run(toy_repository, inputs=INPUTS[:2]).ok
    assert toy_repository.query("note", collections="toy/out") == ()
    assert len(toy_repository.query("total", collections="toy/out")) == 2


@pytest.mark.slow
def test_pipetask_and_the_pool_make_the_same_products(toy_repository, reference):
    assert run(toy_repository, workers=2).ok
    assert hashes(toy_repository) == reference
    listing = shell(
        sys.executable, "-c", STOCK, "run", "-b", toy_repository.root, "-p", str(TOY), "-i", ",".join(INPUTS),
        "-o", "toy/stock", "--register-dataset-types",
    )  # fmt: skip
    assert hashes(toy_repository, "toy/stock") == reference
    assert listing.count("measured toy/out/") == 10


def test_provenance_is_stored_with_every_quantum(finished):
    toy_repository = finished.repository
    data_id = {"instrument": "toy", "exposure": 2, "detector": 0}
    metadata = toy_repository.get("measure_metadata", data_id, collections="toy/out")
    inputs = metadata["measure"].getArray("inputs")
    numbers = toy_repository.query("number", collections="toy/numbers", where="exposure = 2 AND detector = 0")
    assert str(numbers[0].id) in inputs
    assert metadata["measure"]["seed"] > 0
    assert metadata["job"]["etendue"]
    assert metadata["quantum"]["endCpuTime"] >= metadata["quantum"]["startCpuTime"]
    log = toy_repository.get("measure_log", data_id, collections="toy/out")
    assert any("Execution of task" in record.message for record in log)
    config = toy_repository.get("measure_config", collections="toy/out")
    assert config.scale.factor == 3.0


@pytest.mark.parametrize("workers", [1, 2])
def test_defeated_quanta_are_marked_and_the_run_goes_on(toy_repository, workers):
    report = run(toy_repository, workers=workers, overrides=["measure:defeated=[2]"])
    assert report.ok
    assert report.counts == {"succeeded": 11, "defeated": 2, "no work": 0, "failed": 0, "skipped": 0}
    problem = report.to_dict()["problems"][0]
    assert problem["data_id"]["exposure"] == 2
    assert problem["message"] == "The number is hopeless (number=2)"
    total = toy_repository.get("total", {"instrument": "toy", "detector": 0}, collections="toy/out")
    assert total["exposures"] == [1, 3, 4, 5]


def test_when_everything_is_defeated_the_rest_has_no_work(toy_repository):
    report = run(toy_repository, overrides=["measure:defeated=[1, 2, 3, 4, 5]"])
    assert report.counts["no work"] == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_skips_what_is_downstream_and_resume_repeats_it(toy_repository, workers):
    where = "detector = 1"
    report = run(toy_repository, workers=workers, where=where, overrides=["measure:broken=[4]"])
    assert not report.ok
    assert report.counts == {"succeeded": 4, "defeated": 0, "no work": 0, "failed": 1, "skipped": 2}
    assert report.failed[0].message == "ValueError: a plain mistake"
    again = run(toy_repository, workers=workers, where=where, overrides=["measure:broken=[4]"], resume=True)
    assert again.run == report.run
    assert again.executed == 1
    assert again.counts == report.counts
    log = toy_repository.query("measure_log", collections="toy/out", where="exposure = 4 AND detector = 1")
    assert any("a plain mistake" in str(record.exc_info) for record in toy_repository.get(log[0]))


def test_the_quantum_of_a_killed_worker_is_tried_again(toy_repository, reference, tmp_path):
    (tmp_path / "deadly").touch()
    report = run(toy_repository, workers=2, overrides=[f"measure:deadly={tmp_path / 'deadly'}"])
    assert report.ok
    assert not (tmp_path / "deadly").exists()
    assert hashes(toy_repository) == reference


def test_without_retries_a_killed_worker_costs_its_quantum_only(toy_repository, reference, tmp_path):
    deadly = tmp_path / "deadly"
    deadly.touch()
    overrides = [f"measure:deadly={deadly}"]
    report = run(toy_repository, workers=2, overrides=overrides, limits=Limits(retries=0))
    assert report.counts["failed"] == 1
    assert report.counts["succeeded"] == 10
    assert "worker died" in report.failed[0].message
    again = run(toy_repository, workers=2, overrides=overrides, resume=True)
    assert again.ok
    assert again.executed == 3
    assert hashes(toy_repository) == reference


def test_a_killed_driver_loses_nothing_that_was_finished(toy_repository, reference):
    overrides = ["measure:pause=0.05"]
    script = (
        "from pathlib import Path; from etendue.middleware.execution.executor import run_pipeline as r; "
        "from etendue.middleware.repository import Repository as R\n"
        f"if __name__ == '__main__': r(R.open({toy_repository.root!r}), Path({str(TOY)!r}), inputs={INPUTS!r}, "
        f"output='toy/out', workers=2, progress=False, overrides={overrides!r})"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as driver:
        journal = wait_for_lines(toy_repository.runs_folder / "toy" / "out", 3)
        os.kill(driver.pid, signal.SIGKILL)
    finished = len(journal.read_text().splitlines())
    again = run(toy_repository, overrides=overrides, resume=True)
    assert again.ok
    assert again.executed == 13 - finished
    assert hashes(toy_repository) == reference


def wait_for_lines(folder: Path, n: int) -> Path:
    end = time.monotonic() + 120  # a loaded machine starts interpreters slowly
    while time.monotonic() < end:
        for journal in folder.glob("*/journal.jsonl"):
            if len(journal.read_text().splitlines()) >= n:
                return journal
        time.sleep(0.02)
    raise AssertionError("the run never began")


def test_a_quantum_that_takes_too_long_is_stopped_and_not_tried_again(toy_repository):
    limits = Limits(time_s=0.5)
    report = run(toy_repository, where="exposure = 1", overrides=["measure:pause=60"], limits=limits)
    assert report.counts["failed"] == 2
    assert report.failed[0].message == "took longer than the time limit of 0.5 s"


def test_a_quantum_that_uses_too_much_memory_is_stopped(toy_repository):
    report = run(
        toy_repository, where="exposure = 1 AND detector = 0", overrides=["measure:pause=60"],
        limits=Limits(memory_mib=10.0),
    )  # fmt: skip
    assert report.counts["failed"] == 1
    assert "more than the memory limit of 10 MiB" in report.failed[0].message


def test_limits_that_cannot_be_kept_are_refused():
    for settings in ({"time_s": 0.0}, {"memory_mib": -1.0}, {"retries": -1}):
        with pytest.raises(InputError, match="limits must be positive"):
            Limits(**settings)


def test_resuming_a_finished_run_does_nothing(finished):
    again = run(finished.repository, resume=True)
    assert (again.run, again.executed) == (finished.report.run, 0)
    assert again.counts == finished.report.counts


def test_resuming_with_another_pipeline_is_refused(finished):
    with pytest.raises(InputError, match="differ from the run to be resumed"):
        run(finished.repository, resume=True, overrides=["measure:mode=double"])


def test_an_expression_selects_and_nothing_to_do_is_said(toy_repository):
    report = run(toy_repository, where="exposure IN (1, 2)")
    assert report.counts["succeeded"] == 4 + 2 + 1
    with pytest.raises(InputError, match="nothing to do"):
        run(toy_repository, where="exposure = 6")
    with pytest.raises(InputError, match="cannot build the graph"):
        run(toy_repository, where="exposure = = 6")


def test_a_second_run_of_the_same_name_is_refused(finished):
    assert finished.report.run == "toy/out/first"
    with pytest.raises(InputError, match="a run of this name exists"):
        run(finished.repository, run_name="first")


def test_the_report_has_one_row_per_task(finished):
    report = finished.report
    assert [row["task"] for row in report.tasks()] == ["measure", "total", "summary"]
    assert report.table().row_count == 3
    assert report.to_dict()["tasks"][0]["succeeded"] == 10
