"""Rubin's own tools work on our repositories and pipelines, and our executor on repositories that they made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_survey import INPUTS, TOY, certify_offsets, fill

from etendue.errors import InputError
from etendue.middleware.adoption import adopt
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository

PRODUCTS = ("measured", "total", "summary", "note")
BIN = Path(sys.executable).parent
BPS = """
wmsServiceClass: lsst.ctrl.bps.parsl.ParslService
computeSite: local
site: {{local: {{class: lsst.ctrl.bps.parsl.sites.Local, cores: 2, commandPrefix: ""}}}}
parsl: {{log_level: WARN}}
project: etendue
campaign: toy
payload:
  payloadName: toy
  butlerConfig: {repo}
  inCollection: {inputs}
  output: toy/bps
  outputRun: toy/bps/one
  dataQuery: "exposure < 3"
pipelineYaml: {pipeline}
submitPath: {folder}/submit
requestCpus: 1
"""
PLAIN = """
import sys
from lsst.daf.butler import Butler
Butler.makeRepo(sys.argv[1])
"""


def tool(*command, folder=None):
    """Run one of Rubin's scripts as its users do."""
    environment = os.environ | {"CTRL_MPEXEC_DIR": sys.prefix, "DAF_BUTLER_DIR": sys.prefix,
                                "PATH": f"{BIN}:{os.environ['PATH']}"}  # fmt: skip
    done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=False, cwd=folder,
                          env=environment)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_here(home, output, where=""):
    assert run_pipeline(home, TOY, inputs=INPUTS, output=output, where=where, workers=1, progress=False).ok
    return content_hashes(home, output, PRODUCTS)


@pytest.mark.slow
def test_a_graph_that_pipetask_saved_runs_with_pipetask_and_makes_the_same(toy_repository, tmp_path):
    graph = tmp_path / "graph.qg"
    expected = run_here(toy_repository, "toy/here")
    repo = ["-b", str(toy_repository.path)]
    tool("pipetask", "qgraph", *repo, "-i", ",".join(INPUTS), "-o", "toy/stock", "-p", str(TOY), "--save-qgraph", graph)
    tool("pipetask", "run", *repo, "-g", graph, "-i", ",".join(INPUTS), "-o", "toy/stock", "--register-dataset-types")
    toy_repository.butler.registry.refresh()
    assert content_hashes(toy_repository, "toy/stock", PRODUCTS) == expected


@pytest.mark.services
def test_bps_runs_our_pipelines(toy_repository, tmp_path):
    pytest.importorskip("lsst.ctrl.bps.parsl")
    expected = run_here(toy_repository, "toy/here", where="exposure < 3")
    config = tmp_path / "bps.yaml"
    config.write_text(BPS.format(repo=toy_repository.path, inputs=",".join(INPUTS), pipeline=TOY, folder=tmp_path))
    tool("bps", "submit", config, folder=tmp_path)
    toy_repository.butler.registry.refresh()
    assert content_hashes(toy_repository, "toy/bps/one", PRODUCTS) == expected


@pytest.mark.slow
def test_commands_of_butler_read_move_and_remove_our_products(toy_repository, tmp_path):
    run_here(toy_repository, "toy/here")
    root = str(toy_repository.path)
    assert "toy/here" in tool("butler", "query-collections", root, "--chains", "TREE")
    assert tool("butler", "query-datasets", root, "total", "--collections", "toy/here").count("toy/here/") == 2
    assert "toy" in tool("butler", "query-dimension-records", root, "instrument")
    assert "offset" in tool("butler", "query-dataset-types", root)
    tool("butler", "retrieve-artifacts", root, f"{tmp_path}/files/", "--dataset-type", "summary",
         "--collections", "toy/here")  # fmt: skip
    assert [path.suffix for path in (tmp_path / "files").rglob("summary*") if path.is_file()] == [".txt"]
    other = Repository.create(tmp_path / "other")
    fill(other)
    tool("butler", "transfer-datasets", root, str(other.path), "--dataset-type", "measured", "--collections",
         "toy/here", "--register-dataset-types", "--transfer", "copy")  # fmt: skip
    other.butler.registry.refresh()
    assert len(other.query("measured", collections=other.butler.collections.query("*"))) == 10
    tool("butler", "prune-datasets", root, "toy/here", "--datasets", "note", "--purge",
         next(iter(toy_repository.butler.collections.query("toy/here/*"))), "--no-confirm")  # fmt: skip
    toy_repository.butler.registry.refresh()
    assert toy_repository.query("note", collections="toy/here") == ()


@pytest.mark.slow
def test_a_repository_of_plain_butler_code_is_opened_and_processed(tmp_path, monkeypatch):
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")])))
    subprocess.run([sys.executable, "-c", PLAIN, str(tmp_path / "plain")], check=True)
    assert not Repository.open(tmp_path / "plain", writeable=False).cameras()
    with pytest.raises(InputError, match="etendue repo adopt"):
        Repository.open(tmp_path / "plain")
    before = (tmp_path / "plain" / "butler.yaml").read_text()
    assert adopt(tmp_path / "plain").read_text() == before
    with pytest.raises(InputError, match="knows etendue already"):
        adopt(tmp_path / "plain")
    home = Repository.open(tmp_path / "plain")
    fill(home)
    certify_offsets(home)
    assert len(run_here(home, "toy/out")) == 15
