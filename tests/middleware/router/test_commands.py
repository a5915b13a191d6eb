"""The command line of the router."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image as Picture

from etendue.cli.main import main

RULES = """
sinks:
  files: {kind: directory, path: files, layout: "{exposure}_{detector}", retries: {attempts: 1}}
rules: [{name: numbers, datasets: [number, label], sinks: files}]
"""


def etendue(*arguments, status=0):
    result = CliRunner().invoke(main, ["router", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def test_run_status_retry_check(routing, files):
    repo, path = routing.repository.path, routing.rules(RULES)
    done = etendue("run", repo, path, "--once", status=1)  # a label has no exposure
    assert "files: delivered 12" in done.stdout
    assert "etendue: error: 0 deliveries are left, 1 are dead letters; see 'etendue router status" in done.stderr
    shown = etendue("status", repo).stdout
    assert all(len(line) <= 100 for line in shown.splitlines() if "dead letter" not in line)
    assert "dead letter after" in shown
    assert "the layout names exposure, which its data ID lacks" in shown.replace("\n", " ")
    assert etendue("retry", repo).stdout == "1 deliveries are in the queues again\n"
    assert "no such sink (got 'x'); there are files" in etendue("retry", repo, "--sink", "x", status=1).stderr
    assert "not everything is where it should be" in etendue("check", repo, path, status=1).stderr


def test_the_status_is_json_too_and_a_picture(routing, files, tmp_path):
    repo, path = routing.repository.path, routing.rules(RULES)
    etendue("run", repo, path, "--once", "--json", status=1)
    told = json.loads(etendue("status", repo, "--json", "--picture", tmp_path / "status.png").stdout)
    [sink] = told["sinks"]
    assert (sink["sink"], sink["state"], sink["counts"]["done"]) == ("files", "off", 12)
    assert told["troubles"][0]["state"] == "dead"
    with Picture.open(tmp_path / "status.png") as picture:
        assert picture.size == (720, 230)
    found = json.loads(etendue("check", repo, path, "--json", status=1).stdout)
    assert (found["sinks"][0]["looked at"], found["lost"]) == (12, [])


def test_a_repository_without_a_router_has_nothing_to_show(routing):
    assert etendue("status", routing.repository.path).stdout == "router: nothing\n"
    error = etendue("status", routing.repository.path, "--picture", "x.png", status=1).stderr
    assert "no router has found anything yet; run one first" in error


@pytest.mark.parametrize("command", ["run", "check"])
def test_bad_rules_are_one_line(command, routing):
    path = routing.rules("sinks: {}\nrules: []\n")
    lines = etendue(command, routing.repository.path, path, status=1).stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("etendue: error: ")
