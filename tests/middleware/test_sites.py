"""Runs on a site, by Parsl, make what runs here make; lost workers, nodes and drivers cost their quanta only."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.slurm import slurm_cluster
from toy_survey import INPUTS, TOY

from etendue.errors import InputError
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.execution.limits import Limits
from etendue.middleware.sites.parsl_config import parsl_config, worker_setup
from etendue.middleware.sites.site import Site

PRODUCTS = ("measured", "total", "summary", "note")
LOCAL = Site(provider="local", workers_per_node=2)
DRIVER = """
import sys
from toy_survey import INPUTS, TOY
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.sites.site import Site
run_pipeline(Repository.open(sys.argv[1]), TOY, inputs=INPUTS, output="toy/out", progress=False,
             overrides=["measure:pause=1.0"], site=Site(provider="local", workers_per_node=2))
"""


def run(home, output="toy/out", *, overrides=(), **options):
    settings = {"workers": 1} | options
    return run_pipeline(home, TOY, inputs=INPUTS, output=output, progress=False, overrides=overrides, **settings)


def hashes(home, output):
    return content_hashes(home, output, PRODUCTS)


@pytest.fixture
def expected(toy_repository):
    run(toy_repository, "toy/here")
    return hashes(toy_repository, "toy/here")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as variables:
        yield variables


@pytest.mark.services
def test_a_local_site_makes_the_same_products(toy_repository, expected):
    pytest.importorskip("parsl")
    assert run(toy_repository, site=LOCAL).ok
    assert hashes(toy_repository, "toy/out") == expected


@pytest.mark.services
def test_a_killed_worker_costs_an_attempt_at_its_quantum(toy_repository, expected, tmp_path):
    pytest.importorskip("parsl")
    (tmp_path / "deadly").touch()
    report = run(toy_repository, overrides=[f"measure:deadly={tmp_path / 'deadly'}"], site=LOCAL)
    assert report.ok
    assert max(outcome.attempt for outcome in report.outcomes) == 2
    assert hashes(toy_repository, "toy/out") == expected


@pytest.mark.services
def test_a_quantum_over_its_limit_is_stopped_and_the_reason_told(toy_repository):
    pytest.importorskip("parsl")
    limits = Limits(retries=0, task_time_s={"total": 60.0, "measure": 0.6})
    report = run(toy_repository, overrides=["measure:pause=30.0"], site=LOCAL, limits=limits)
    failed = report.failed
    assert {outcome.label for outcome in failed} == {"measure"}
    assert {outcome.failure for outcome in failed} == {"resource"}
    assert "0.6" in failed[0].message


@pytest.mark.services
def test_workers_of_a_killed_driver_end_and_the_run_is_resumed(toy_repository, expected):
    pytest.importorskip("parsl")
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(toy_repository.path)])
    journals = toy_repository.runs_folder / "toy" / "out"
    begun = wait_for(lambda: next(iter(journals.glob("*/journal.jsonl")), None))
    helpers = children(driver.pid)
    assert helpers
    driver.kill()
    driver.wait()
    assert wait_for(lambda: True if not any(map(is_alive, helpers)) else None, 10.0)
    finished = len(begun.read_text().splitlines())
    report = run(toy_repository, resume=True, overrides=["measure:pause=1.0"], site=LOCAL)
    assert report.ok
    assert report.executed <= len(report.outcomes) - finished
    assert hashes(toy_repository, "toy/out") == expected


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for(found, longest_s=60.0):
    end = time.monotonic() + longest_s
    while time.monotonic() < end:
        if (value := found()) is not None:
            return value
        time.sleep(0.1)
    raise AssertionError("waited in vain")


@pytest.mark.services
def test_jobs_of_slurm_make_the_same_products(toy_repository, expected, slurm, monkeypatch):
    pytest.importorskip("parsl")
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    site = Site(provider="slurm", partition="main", workers_per_node=2, walltime="00:05:00", address="127.0.0.1",
                start_timeout_s=120.0)  # fmt: skip
    assert run(toy_repository, site=site).ok
    assert hashes(toy_repository, "toy/out") == expected
    assert subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.services
def test_a_job_that_slurm_kills_loses_only_its_quanta(toy_repository, expected, slurm, monkeypatch, tmp_path):
    pytest.importorskip("parsl")
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    site = Site(provider="slurm", partition="main", workers_per_node=2, walltime="00:05:00", address="127.0.0.1",
                start_timeout_s=180.0)  # fmt: skip
    killer = subprocess.Popen([sys.executable, "-c", KILLER, str(toy_repository.runs_folder / "toy" / "out")])
    report = run(toy_repository, overrides=["measure:pause=0.5"], site=site, limits=Limits(retries=2))
    assert killer.wait(10) == 0
    assert report.ok
    assert max(outcome.attempt for outcome in report.outcomes) == 2
    assert hashes(toy_repository, "toy/out") == expected


KILLER = """
import subprocess, sys, time
from pathlib import Path
while not any(path.read_text() for path in Path(sys.argv[1]).glob("*/journal.jsonl")):
    time.sleep(0.1)
jobs = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()
subprocess.run(["scancel", "--signal=KILL", "--full", *jobs], check=True)
"""


def test_every_kind_of_site_is_put_in_the_words_of_parsl(tmp_path):
    pytest.importorskip("parsl")
    common = {
        "address": "127.0.0.1",
        "workers_per_node": 8,
        "jobs": 3,
        "walltime": "01:30:00",
        "memory_gib": 30,
        "setup": "module load x",
    }
    slurm = parsl_config(Site(provider="slurm", partition="big", account="me", **common), tmp_path).executors[0]
    assert (slurm.provider.partition, slurm.provider.account, slurm.provider.max_blocks) == ("big", "me", 3)
    assert (slurm.provider.cores_per_node, slurm.provider.mem_per_node, slurm.max_workers_per_node) == (8, 30, 8)
    assert slurm.provider.worker_init.startswith("module load x\nexport PATH=")
    condor = parsl_config(Site(provider="htcondor", **common), tmp_path).executors[0]
    assert (condor.provider.cores_per_slot, condor.provider.mem_per_slot) == (8, 30)


def test_kubernetes_needs_an_image(tmp_path):
    pytest.importorskip("parsl")
    with pytest.raises(InputError, match="needs an image"):
        parsl_config(Site(provider="kubernetes"), tmp_path)


def test_nodes_use_the_same_python_with_one_thread_for_each_worker(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/some place")
    lines = worker_setup(LOCAL).splitlines()
    assert f"export PATH={Path(sys.executable).parent}:$PATH" in lines
    assert "export PYTHONPATH='/some place'" in lines
    assert "export OMP_NUM_THREADS=1" in lines


@pytest.mark.parametrize(("text", "message"), [
    ("provider: cloud", "provider"), ("provider: slurm\njobs: 0", "jobs"), ("- local", "holds no site"),
    ("provider: slurm\nwalltime: 2 h", "walltime"), ("provider: [", "is not YAML"), ("workers: 3", "provider"),
])  # fmt: skip
def test_a_wrong_site_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Site.read(str(path))
    assert "\n" not in str(caught.value)
    assert "site.yaml" in str(caught.value)


def test_a_site_that_is_no_file_is_refused():
    with pytest.raises(InputError, match="no such site"):
        Site.read("nowhere.yaml")
