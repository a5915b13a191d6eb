"""Runs tell how far they are and why a quantum ended as it did, to people and to machines, while they go on too."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_survey import INPUTS, TOY

from etendue.cli.main import main
from etendue.errors import InputError
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.execution.limits import Limits
from etendue.middleware.repository import Repository
from etendue.middleware.run_views.quantum_view import find_quanta
from etendue.middleware.run_views.run_view import find_runs

WRONG = ("measure:defeated=[2]", "measure:broken=[4]")
READING = [word for name in INPUTS for word in ("-i", name)]
SCRIPT = """
import sys
from etendue.cli.main import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


def run(repository, *overrides, output="toy/out", **options):
    settings = {"inputs": INPUTS, "output": output, "workers": 1, "progress": False} | options
    return run_pipeline(repository, TOY, overrides=overrides, **settings)


@pytest.fixture(scope="module")
def failed(filled_folder, tmp_path_factory):
    """Return a repository with a run that failed in part, and one that gave up."""
    folder = tmp_path_factory.mktemp("views") / "repo"
    shutil.copytree(filled_folder, folder)
    repository = Repository.open(folder)
    run(repository, *WRONG)
    run(repository, "measure:broken=[1]", output="toy/short", where="detector = 1", limits=Limits(max_failures=1))
    return repository


def etendue(*words, status=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def one(repository, *words, output="toy/out"):
    [view] = find_quanta(repository, find_runs(repository, output), words)
    return view


def test_a_run_counts_its_quanta_by_task_and_status(failed):
    [view] = find_runs(failed, "toy/out")
    assert (view.state, view.total) == ("failed", 13)
    rows = {row["task"]: row for row in view.tasks()}
    assert {key: rows["measure"][key] for key in ("quanta", "succeeded", "defeated", "failed")} == {
        "quanta": 10, "succeeded": 6, "defeated": 2, "failed": 2,
    }  # fmt: skip
    assert (rows["total"]["skipped"], rows["summary"]["skipped"]) == (2, 1)
    assert [o.status for o in view.problems()] == ["failed", "failed", "defeated", "defeated"]
    assert find_runs(failed, "toy/short")[0].state == "unfinished"
    assert find_runs(failed, Path(view.run).name)[0].run == view.run


def test_a_run_that_does_not_exist_is_refused(failed):
    with pytest.raises(InputError, match=r"no such run \(got 'toy/nowhere'\); there are runs of toy/short, toy/out"):
        find_runs(failed, "toy/nowhere")


@pytest.mark.parametrize(("words", "status", "told"), [
    (("measure", "exposure=4", "detector=1"), "failed", ["ValueError: a plain mistake", "toy_stages.py:",
     "2 quanta downstream were skipped", "correct it, then run again"]),
    (("measure", "exposure=2,detector=0"), "defeated", ["The number is hopeless", "does not try it again"]),
    (("total", "detector=1"), "skipped", ["measure detector 1, exposure 4 failed: ValueError"]),
    (("summary",), "skipped", ["measure detector 0, exposure 4", "measure detector 1, exposure 4"]),
    (("measure", "exposure=1", "detector=0"), "succeeded", ["it succeeded"]),
])  # fmt: skip
def test_every_end_has_its_reason(failed, words, status, told):
    view = one(failed, *words)
    assert view.status == status
    text = "\n".join(view.explain())
    for part in told:
        assert part in text
    assert view.reasons == ("not finished before",)


def test_a_quantum_that_had_no_work_names_what_was_empty(failed):
    run(failed, "measure:defeated=[1, 2, 3, 4, 5]", output="toy/empty", where="detector = 1")
    text = "\n".join(one(failed, "total", output="toy/empty").explain())
    assert "5 of 5 quanta that it reads from made nothing:" in text
    assert "measure detector 1, exposure 3: defeated: The number is hopeless" in text


def test_a_quantum_whose_turn_never_came_says_so(failed):
    view = one(failed, "measure", "exposure=5", output="toy/short")
    assert view.status == "waiting"
    assert "the run ended before its turn" in view.explain()[0]
    with pytest.raises(InputError, match="no log of measure detector 1, exposure 5: it has not run"):
        view.log()


def test_inputs_name_where_they_come_from(failed):
    rows = {row["dataset"]: row for row in one(failed, "total", "detector=0").inputs()}
    assert (rows["measured"]["number"], rows["measured"]["from"]) == (5, "measure")
    assert rows["label"]["from"] == "toy/labels"


def test_quanta_are_found_by_task_and_data_id_or_by_either_end_of_their_id(failed):
    view = one(failed, "measure", "exposure=4", "detector=1")
    assert one(failed, view.quantum.quantum_id).quantum == view.quantum
    assert one(failed, view.quantum.short_id).quantum == view.quantum
    assert len(find_quanta(failed, find_runs(failed, "toy/out"), ["measure"])) == 10
    for words in (["measure", "exposure=99"], ["ffff"], ["quatsch"]):
        with pytest.raises(InputError, match="no such quantum"):
            find_quanta(failed, find_runs(failed, None), words)
    with pytest.raises(InputError, match=r"no part of a data ID \(got 'exposure'\)"):
        find_quanta(failed, find_runs(failed, None), ["measure", "exposure"])


@pytest.mark.parametrize("command", [
    "status", "status --every", "status toy/out", "why", "why -o toy/out", "why measure exposure=4 detector=1",
    "why total detector=1", "log measure exposure=4 detector=1 -o toy/out",
    "log measure exposure=2 detector=1 --level error -o toy/out",
])  # fmt: skip
def test_commands_fit_a_terminal_and_speak_json(failed, command):
    words = ["run", *command.split(), "-b", failed.path]
    text = etendue(*words).stdout
    assert text.strip()
    if "log" not in command:
        assert max(map(len, text.splitlines())) <= 100
    json.loads(etendue(*words, "--json").stdout, parse_constant=pytest.fail)


def test_the_log_of_a_failed_quantum_has_its_traceback(failed):
    text = etendue("run", "log", "measure", "exposure=4", "detector=1", "-b", failed.path, "-o", "toy/out").stdout
    assert "Traceback (most recent call last):" in text
    assert "ValueError: a plain mistake" in text
    few = etendue(
        "run", "log", "measure", "exposure=1", "detector=1", "-b", failed.path, "-l", "error", "-o", "toy/out"
    )
    assert few.stdout == ""


def test_several_matches_are_named(failed):
    line = etendue("run", "why", "measure", "-o", "toy/out", "-b", failed.path, status=1).stderr
    assert "10 quanta match (got 'measure'); say more, or give an ID: " in line
    assert "(measure detector 0, exposure 4: failed)" in line


def test_run_takes_a_pipeline_beside_its_commands(failed):
    short = [TOY, "-b", failed.path, *READING, "-o", "toy/cli", "-d", "detector = 1", "-j", "1"]
    told = etendue("run", *short, "--to", "total", "--dry-run").stdout
    assert "measure" in told
    assert "total" in told
    assert "summary" not in told
    line = etendue("run", *short, "-c", "measure:broken=[3, 4]", "--max-failures", "1", status=1).stderr.splitlines()[
        -1
    ]
    assert line.startswith(
        "etendue: error: 1 quanta failed: nothing more was begun, 2 quanta are left; 'etendue run why -b"
    )
    assert "contradict each other" in etendue("run", *short, "--all", "--skip-existing", status=2).stderr
    assert "'a=b' is no number" in etendue("run", *short, "--time-limit", "a=b", status=2).stderr
    assert "no such task (got 'quatsch')" in etendue("run", *short, "--from", "quatsch", status=1).stderr
    assert "no task lies between" in etendue("run", *short, "--from", "total", "--to", "measure", status=1).stderr


@pytest.mark.slow
def test_a_run_that_goes_on_shows_what_it_does(toy_repository):
    words = ["run", TOY, "-b", toy_repository.path, *READING, "-o", "toy/live", "-c", "measure:pause=1.5"]
    with subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, words)], stdout=subprocess.DEVNULL) as driver:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.2)
            views = find_runs(toy_repository, None) if list(toy_repository.runs_folder.rglob("running.json")) else ()
            if views and len(views[0].now.get("running", ())) == 2:
                break
        [item, _] = views[0].now["running"]
        assert (views[0].state, item["task"]) == ("running", "measure")
        view = one(toy_repository, item["quantum"], output="toy/live")
        assert "runs for" in view.explain()[0]
        while not (log := view.log()) and time.monotonic() < end:  # the worker starts
            time.sleep(0.1)
        assert any("Preparing execution" in line.message for line in log)
        assert "running" in etendue("run", "status", "toy/live", "-b", toy_repository.path).stdout
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(30) == 130
    [view] = find_runs(toy_repository, "toy/live")
    assert view.state == "unfinished"
    assert 2 <= len(view.outcomes) <= 6
    assert not view.journal.running_path.exists()
