import json
import os
import signal
import subprocess
import sys
import time

import pytest

RULES = """
sinks:
  tell:
    kind: command
    command: %s
    retries: {attempts: 2, first_s: 0.01}
    %s
rules: [{name: told, datasets: label, sinks: tell}]
"""
PYTHON = sys.executable
ETENDUE = "from etendue.cli.main import main; main()"


def rules(command, extra=""):
    return RULES % (json.dumps(command), extra)


def shell(script, folder):
    return ["sh", "-c", script, str(folder / "log")]


def test_a_command_learns_everything_from_arguments_and_environment(routing, tmp_path):
    command = [*shell('echo "$1 $2"; env >> "$0"; printf "%s" "$1" > "$0.path"', tmp_path), "{path}", "{instrument}"]
    assert routing.once(rules(command))["tell"].counts["done"] == 1
    said = dict(
        line.split("=", 1) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("ETENDUE_")
    )
    assert said["ETENDUE_KEY"].startswith("tell/told/")
    assert said["ETENDUE_DATASET_TYPE"] == "label"
    assert json.loads(said["ETENDUE_DATA_ID"]) == {"instrument": "toy"}
    assert said["ETENDUE_RUN"] == "toy/labels"
    assert said["ETENDUE_ATTEMPT"] == "1"
    assert said["ETENDUE_REPOSITORY"] == routing.repository.root
    with open(said["ETENDUE_PATH"]) as stream:  # noqa: PTH123
        assert stream.read() == "toy survey"
    assert (tmp_path / "log.path").read_text() == said["ETENDUE_PATH"]


def test_there_is_no_shell_unless_it_is_the_command(routing, tmp_path):
    routing.once(
        rules([PYTHON, "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", str(tmp_path / "x"), "$HOME; ls"])
    )
    assert (tmp_path / "x").read_text() == "$HOME; ls"


def test_a_failure_is_tried_again_and_ends_as_a_dead_letter_with_the_last_line(routing, tmp_path):
    command = rules(
        shell('echo attempt $ETENDUE_ATTEMPT >> "$0"; echo one; echo "the disk is on fire" >&2; exit 7', tmp_path)
    )
    routing.once(command)
    routing.once(command)
    assert (tmp_path / "log").read_text() == "attempt 1\nattempt 2\n"
    [(_, attempts, reason)] = routing.queue("tell").troubles("dead")
    assert (attempts, reason) == (2, "exit status 7: the disk is on fire")
    assert routing.queue("tell").retry() == 1
    routing.once(command)
    assert (tmp_path / "log").read_text().endswith("attempt 3\n")


def test_an_exit_status_may_mean_never(routing, tmp_path):
    routing.once(rules(shell("exit 3", tmp_path), "refuse: [3]"))
    assert routing.queue("tell").troubles("dead")[0][1:] == (0, "exit status 3")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(routing, tmp_path):
    begin = time.monotonic()
    routing.once(rules(shell('sleep 600 & echo $! > "$0"; wait', tmp_path), "timeout_s: 0.5"))
    assert time.monotonic() - begin < 10.0
    assert routing.queue("tell").troubles("waiting")[0][2] == "took longer than 0.5 s"
    assert not alive(int((tmp_path / "log").read_text()))


def test_a_command_killed_by_a_signal_has_failed(routing, tmp_path):
    routing.once(rules(shell("kill -9 $$", tmp_path)))
    assert routing.queue("tell").troubles("waiting")[0][2] == "ended by signal 9"


def test_a_program_that_does_not_exist_is_a_sink_that_is_down(routing):
    status = routing.once(rules(["/nowhere/program"]))["tell"]
    assert (status.state, status.counts["waiting"], status.counts["retrying"]) == ("down", 1, 0)
    assert status.reason == "cannot start /nowhere/program: [Errno 2] No such file or directory: '/nowhere/program'"


def test_a_program_that_appears_later_is_started(routing, tmp_path):
    program = tmp_path / "program"
    routing.once(rules([str(program)]))
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert routing.once(rules([str(program)]))["tell"].counts["done"] == 1


def test_several_run_at_a_time(routing, tmp_path):
    for number in (1, 2, 3, 4):
        routing.picture(number)
    wait = "n=0; while [ $(grep -c begin $0) -lt 4 ]; do sleep 0.02; n=$((n+1)); [ $n -lt 500 ] || exit 1; done"
    script = f"echo begin >> $0; {wait}"
    text = rules(shell(script, tmp_path), "parallel: 4").replace("datasets: label", "datasets: picture")
    assert routing.once(text)["tell"].counts["done"] == 4


@pytest.mark.slow
def test_a_command_that_is_running_when_the_router_is_killed_is_not_started_again(routing, tmp_path):
    script = 'echo $ETENDUE_KEY >> "$0"; sleep 1.5'
    path = routing.rules(rules(shell(script, tmp_path)))
    router = subprocess.Popen([PYTHON, "-c", ETENDUE, "router", "run", routing.repository.root, str(path)])
    wait_for(lambda: (tmp_path / "log").exists())
    os.kill(router.pid, signal.SIGKILL)
    router.wait()
    assert routing.status()["tell"].counts["waiting"] == 1
    assert routing.once(rules(shell(script, tmp_path)))["tell"].counts["done"] == 1
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_lot_of_output_fills_nothing(routing, tmp_path):
    status = routing.once(rules([PYTHON, "-c", "for _ in range(200000): print('x' * 100)"]))["tell"]
    assert status.counts["done"] == 1
    assert sum(path.stat().st_size for path in routing.state.rglob("*")) < 200_000


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/status") as stream:  # noqa: PTH123
            return "\nState:\tZ" not in stream.read()
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
