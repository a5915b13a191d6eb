import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from etendue import faults
from etendue.errors import InputError
from etendue.middleware.router.router import Router
from etendue.middleware.router.rules import Rules

ETENDUE = "from etendue.cli.main import main; main()"
FILES = """
sinks: {files: {kind: directory, path: files, layout: "{dataset_type}_{exposure}_{detector}"}}
rules: [{name: numbers, datasets: number, sinks: files%s}]
"""
STOCK = """
import sys
from lsst.daf.butler import Butler
butler = Butler.from_config(sys.argv[1], run="stock/run", writeable=True)
for line in sys.stdin:
    butler.put(5, "number", instrument="toy", exposure=int(line), detector=0)
    print(line, end="", flush=True)
"""


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def running(routing, files):
    """A router at work in a thread."""
    started = []

    def start(text):
        router = routing.router(text)
        thread = threading.Thread(target=router.run)
        thread.start()
        started.append((router, thread))
        return router

    yield start
    for router, thread in started:
        router.stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.slow
def test_what_stock_butler_puts_is_delivered_promptly(routing, files, running):
    running(FILES % "")
    wait_for(lambda: len(list(files.iterdir())) == 12)
    with subprocess.Popen([sys.executable, "-c", STOCK, routing.repository.root], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:  # fmt: skip
        before = (files / "number_1_0.json").read_bytes()
        other.stdin.write("1\n")
        other.stdin.flush()
        assert other.stdout.readline() == "1\n"
        begin = time.monotonic()
        wait_for(lambda: (files / "number_1_0.json").read_bytes() != before)
        assert time.monotonic() - begin < 3.0
        other.communicate()


def test_the_source_is_only_read(routing, files):
    def fingerprint():
        home = routing.repository.path
        paths = [path for path in sorted(home.rglob("*")) if path.is_file() and routing.state not in path.parents]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    before = fingerprint()
    routing.once(FILES % "")
    assert fingerprint() == before


def test_the_queues_may_lie_outside_a_repository_that_may_only_be_read(routing, files, tmp_path):
    path = routing.rules(FILES % "")
    Router(routing.repository, Rules.read(path), path, state=tmp_path / "state").run(once=True)
    assert len(list(files.iterdir())) == 12
    assert not routing.state.exists()


def test_two_routers_on_one_sink_are_refused(routing, files, running):
    running(FILES % "")
    wait_for(lambda: routing.status().get("files") is not None and routing.status()["files"].served)
    with pytest.raises(InputError, match="another router works on this sink; wait for it, or stop it"):
        routing.router(FILES % "").run(once=True)


def test_a_rule_may_want_new_datasets_only(routing, files):
    rules = FILES % ", existing: false"
    routing.once(rules)
    assert list(files.iterdir()) == []
    routing.repository.put(5, "number", {"instrument": "toy", "exposure": 3, "detector": 1}, run="toy/new")
    routing.once(rules)
    assert [path.name for path in files.iterdir()] == ["number_3_1.json"]


def test_a_killed_first_look_does_not_lose_what_came_after_it(routing, files):
    rules = FILES % ", existing: false"
    faults.arm("router.after-queued=io-error")
    try:
        with pytest.raises(OSError, match="Input/output"):
            routing.once(rules)
    finally:
        faults.arm("")
    routing.repository.put(5, "number", {"instrument": "toy", "exposure": 3, "detector": 1}, run="toy/new")
    routing.once(rules)
    assert [path.name for path in files.iterdir()] == ["number_3_1.json"]


def test_a_rule_that_turns_out_wrong_stops_no_other(routing, files):
    later = "{name: later, datasets: later, where: \"exposure < 'a'\", sinks: files}"
    rules = FILES.replace("rules: [", f"rules: [{later}, ") % ""
    router = routing.router(rules)  # there is no dataset of that type yet
    routing.repository.register_dataset_type("later", ("instrument", "exposure"), "EtendueJson")
    routing.repository.put(1, "later", {"instrument": "toy", "exposure": 1}, run="toy/later")
    with pytest.raises(InputError, match="rule later: cannot query later"):
        router.run(once=True)
    assert len(list(files.iterdir())) == 12


def test_a_wrong_expression_is_refused_at_the_start(routing, files):
    with pytest.raises(InputError, match="rule numbers: cannot query number"):
        routing.router(FILES % ', where: "exposur > 1"')


def test_a_sink_that_hangs_does_not_hold_up_the_others(routing, files, running):
    running("""
sinks:
  files: {kind: directory, path: files, layout: "{exposure}_{detector}"}
  slow: {kind: command, command: [sleep, "60"]}
rules: [{name: numbers, datasets: number, sinks: [files, slow]}]
""")
    wait_for(lambda: len(list(files.iterdir())) == 12)
    assert routing.status()["slow"].counts["waiting"] == 12


def test_a_sink_that_comes_back_gets_what_it_missed(routing, files, running, tmp_path):
    files.rename(tmp_path / "away")
    running(FILES.replace("files,", "files, retries: {first_s: 0.1},") % "")
    wait_for(lambda: any(notice.kind == "down" for notice in routing.notices))
    (tmp_path / "away").rename(files)
    wait_for(lambda: len(list(files.glob("number*"))) == 12)
    wait_for(lambda: routing.notices[-1].kind == "up")
    assert routing.status()["files"].state in ("idle", "busy")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number, routing, files):
    path = routing.rules(FILES % "")
    with subprocess.Popen([sys.executable, "-c", ETENDUE, "router", "run", routing.repository.root, str(path)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as router:  # fmt: skip
        assert router.stdout.readline() == "files: delivered 12\n"
        os.kill(router.pid, number)
        _, error = router.communicate(timeout=20)
    assert (router.returncode, error) == (0, "")
    assert not routing.status()["files"].served
