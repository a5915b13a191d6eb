"""Ctrl-C, killed drivers, two runs at once and clocks that jump."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_survey import INPUTS, TOY

from etendue import faults
from etendue.app.report.reader import Reader
from etendue.errors import InputError, Interrupted
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.journal import Journal
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.runs import held_output, journals

PRODUCTS = ["measured", "total", "note", "summary"]
SLOWLY = ("measure:pause=0.4",)
SCRIPT = """
import sys
from pathlib import Path
import click
from etendue.cli.main import main
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository

def command():
    run_pipeline(Repository.open(sys.argv[1]), Path(sys.argv[2]), inputs=sys.argv[3:], output="toy/out", workers=2,
                 overrides=["measure:pause=0.4"])

if __name__ == "__main__":
    main.add_command(click.Command("it", callback=command))
    main(["it"])
"""


def run(repository: Repository, output: str = "toy/out", *, resume: bool = False, slowly: bool = False) -> RunReport:
    return run_pipeline(
        repository, TOY, inputs=INPUTS, output=output, workers=1, progress=False, resume=resume,
        overrides=SLOWLY if slowly else (),
    )  # fmt: skip


@pytest.fixture
def driver(toy_repository: Repository) -> Iterator[subprocess.Popen[str]]:
    """A slow run in two workers, with the first quanta finished, in a process group as a shell makes it."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, toy_repository.root, str(TOY), *INPUTS], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        end = time.monotonic() + 60
        while finished(toy_repository) < 2 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        yield process
        process.kill()


def finished(repository: Repository) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in repository.runs_folder.rglob("journal.jsonl"))


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(item) for item in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


def check_resumed(repository: Repository, done: int) -> None:
    repository.butler.registry.refresh()
    assert run(repository, resume=True, slowly=True).executed == 13 - done
    run(repository, "toy/reference")
    assert content_hashes(repository, "toy/out", PRODUCTS) == content_hashes(repository, "toy/reference", PRODUCTS)


@pytest.mark.slow
def test_ctrl_c_stops_in_one_line_that_says_how_to_go_on(toy_repository, driver):
    os.killpg(driver.pid, signal.SIGINT)  # as the terminal does: the workers get it too
    _, error = driver.communicate(timeout=20)
    assert driver.returncode == 130
    lines = [line for line in error.splitlines() if "measure" not in line]  # the progress bar
    done = finished(toy_repository)
    said = re.fullmatch(
        r"etendue: interrupted: (\d+) of 13 quanta of toy/out are finished; 'etendue run' with --resume goes on",
        lines[-1],
    )
    assert said is not None
    assert done - 2 <= int(said[1]) <= done  # each worker may finish one more while the driver counts
    check_resumed(toy_repository, done)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_driver_takes_its_workers_along(toy_repository, driver):
    workers = [pid for child in children(driver.pid) for pid in children(child)]
    assert len(workers) == 2
    driver.kill()
    driver.wait()
    begin = time.monotonic()
    while any(map(alive, workers)) and time.monotonic() < begin + 10:
        time.sleep(0.005)
    assert time.monotonic() - begin < 1.0
    check_resumed(toy_repository, finished(toy_repository))


@pytest.mark.slow
def test_two_runs_at_once_need_two_outputs(toy_repository, driver):
    for resume in (False, True):
        with pytest.raises(InputError, match="another process is running into output toy/out"):
            run(toy_repository, resume=resume)
    assert driver.poll() is None
    assert run(toy_repository, "toy/other").ok
    driver.communicate(timeout=60)
    assert driver.returncode == 0
    toy_repository.butler.registry.refresh()
    assert content_hashes(toy_repository, "toy/out", PRODUCTS) == content_hashes(toy_repository, "toy/other", PRODUCTS)


def test_an_output_is_free_again_when_its_run_has_ended(tmp_path):
    with held_output(tmp_path, "toy/out"):
        with pytest.raises(InputError, match="another process"), held_output(tmp_path, "toy/out"):
            pass
        with held_output(tmp_path, "toy/other"):
            pass
    with held_output(tmp_path, "toy/out"):
        pass


def test_an_interrupted_run_in_this_process_is_resumed(toy_repository):
    faults.arm("journal.append.after-sync@3=interrupt")
    try:
        with pytest.raises(Interrupted, match=r"of 13 quanta of toy/out are finished; .* --resume"):
            run(toy_repository)
    finally:
        faults.arm("")
    again = run(toy_repository, resume=True)
    assert again.ok
    assert again.executed == 10


def test_the_order_of_runs_does_not_depend_on_the_clock(toy_repository):
    first = run(toy_repository)
    faults.arm("run.clock=clock:-86400")
    try:
        second = run(toy_repository)
    finally:
        faults.arm("")
    assert second.run < first.run  # by name, and by the times of its files:
    os.utime(Journal(toy_repository.runs_folder / second.run).folder / "run.json", (0, 0))
    assert [journal.description()["run"] for journal in journals(toy_repository.runs_folder)] == [second.run, first.run]
    assert run(toy_repository, resume=True).run == second.run
    assert Reader(toy_repository).runs[:2] == [second.run, first.run]
    chain = toy_repository.butler.collections.get_info("toy/out").children
    assert chain[:2] == (second.run, first.run)


def test_a_product_that_was_lost_is_made_again(toy_repository):
    first = run(toy_repository)
    [path] = [p for p in Path(toy_repository.root, first.run).rglob("measured_*") if "_2_" in p.name and "d1" in p.name]
    path.write_bytes(b"")  # as a power cut leaves it
    again = run(toy_repository, resume=True)
    assert again.ok
    assert again.executed == 1
    assert path.stat().st_size > 0


def test_files_that_a_killed_process_left_are_deleted_when_its_run_is_resumed(toy_repository):
    report = run(toy_repository)
    folder = Path(toy_repository.root, report.run)
    product = next(folder.rglob("measured_*"))
    names = (".0123456789abcdef.part.fits", "abcdefgh_1234567.json", f"abcdefgh_1234567{product.stem}.tmp.json")
    for name in names:
        shutil.copy(product, product.with_name(name))
    before = {path for path in folder.rglob("*") if path.is_file()}
    run(toy_repository, resume=True)
    gone = before - set(folder.rglob("*"))
    assert {path.name for path in gone} == set(names)
