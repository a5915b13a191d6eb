"""A process killed anywhere, or a disk that refuses anywhere: done again, a command makes what it would have made."""

import re
import signal
from pathlib import Path

import pytest
from fault_states import STATES, products, said

from etendue import faults

POINTS = {
    "run": (
        "graph.before-rename", "graph.after-rename", "run-json.before-rename", "run-json.after-rename", "run.clock",
        "run.after-collection", "run.after-chain", "run.after-init-outputs", "journal.append.before-write",
        "journal.append.before-sync", "journal.append.after-sync", "image.before-rename", "image.after-rename",
        "table.before-rename", "table.after-rename", "register.before-transfer", "register.after-transfer",
        "registered.before-rename", "registered.after-rename",
    ),
    "run_in_pool": ("worker.before-quantum", "worker.after-outputs"),
    "run_with_failure": ("forget.after-prune",),
    "ingest": (
        "ingest.after-records", "ingest.after-copy", "ingest.after-commit", "visit.after-record",
        "visit.between-visits",
    ),
    "camera": ("camera.after-records", "camera.after-put", "camera-yaml.before-rename", "camera-yaml.after-rename"),
    "certify": ("certify.after-decertify", "certify.between-types"),
    "decertify": ("decertify.between-types",),
    "curate": ("curated.between-files", "curated.after-files", "curated.after-certify"),
    "skymap": ("skymap.after-records", "skymap.after-put"),
    "refcat": ("refcat-shards.before-rename", "refcat.between-shards"),
    "publish": (
        "archive.partition", "archive.before-rename", "archive.before-commit", "archive-history.before-rename",
        "archive-history.after-rename", "archive-manifest.before-rename", "archive-manifest.after-rename",
        "alert-log.before-write", "alert-log.before-sync", "alert-log.after-sync",
    ),
    "report": ("report.before-rename", "report.after-rename"),
    "route": (
        "router.before-queued", "router.after-queued", "router.before-delivery", "router.after-delivery",
        "router.before-recorded", "router.after-recorded", "router.after-transfer", "router.before-published",
        "router.after-published", "router.after-command", "router.before-expired", "router.before-named",
        "router.after-named",
    ),
    "simulate": ("raw.before-rename", "raw.after-rename"),
    "repair": ("repair.after-forget", "repair.after-copy"),
    "prune": ("prune.between-batches",),
    "copy": ("repository.before-rename", "repository.after-rename", "copy.between-batches"),
    "export": ("export.before-rename", "export.after-rename"),
    "backup": ("backup.between-members", "backup.before-rename", "backup.after-rename"),
    "restore": ("restore.between-members", "restore.after-move", "restore.before-rename", "restore.after-rename"),
}  # fmt: skip
SOME = POINTS | {
    "run": ("run-json.before-rename", "image.before-rename", "journal.append.before-sync", "register.after-transfer"),
    "route": ("router.after-delivery", "router.after-command", "router.before-expired"),
}
# The others are passed one after the other in one folder; alone, each from the beginning, they are repetitions.
NOT_IN_A_ROW = {(command, point) for command in ("run", "route") for point in set(POINTS[command]) - set(SOME[command])}
NOT_IN_A_ROW |= {("run_with_failure", "forget.after-prune")}
IN_DRIVER = [
    pytest.param(command, point, marks=() if (command, point) in NOT_IN_A_ROW else pytest.mark.thorough)
    for command, points in POINTS.items() if command != "run_in_pool" for point in points
]  # fmt: skip


def test_every_named_point_is_tested():
    sources = [path.read_text() for path in Path(faults.__file__).parent.rglob("*.py")]
    named = {name for text in sources for name in re.findall(r'fault_point\("([^"]+)"\)', text)}
    files = {name for text in sources for name in re.findall(r'whole_(?:file|folder)\(.+?, "([^"]+)"\)', text)}
    tested = {point for points in POINTS.values() for point in points}
    assert named == set(faults.POINTS)
    assert named <= tested
    assert tested - named <= {name + when for name in files for when in faults.OF_FILES}


def test_a_fault_at_a_point_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no such fault point: 'nowhere'"):
        faults.arm("nowhere=kill")


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in POINTS if command != "run_in_pool"])
def test_killed_at_one_point_after_the_other(command, server, folder, undisturbed):
    ends = {point: server.do(command, folder, f"{point}=kill") for point in SOME[command]}
    assert command == "run_with_failure" or set(ends.values()) == {-signal.SIGKILL}, ends  # it fails first
    server.do(command, folder)
    assert STATES[command](folder) == undisturbed(command)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS["run_in_pool"])
def test_a_worker_killed_at_a_point_is_replaced(point, server, folder, undisturbed):
    assert server.do("run_in_pool", folder, f"{point}=kill") == 0
    assert (folder / "fired" / point).exists()
    assert products(folder) == undisturbed("run")


@pytest.mark.slow
@pytest.mark.parametrize(("command", "point"), IN_DRIVER)
def test_killed_at_a_point(command, point, server, folder, undisturbed):
    if command == "run_with_failure":
        server.do(command, folder)
    assert server.do(command, folder, f"{point}=kill") == -signal.SIGKILL
    server.do(command, folder)
    assert STATES[command](folder) == undisturbed(command)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["no-space", "read-only"])
@pytest.mark.parametrize("command", ["run", "ingest", "publish", "report", "skymap"])
def test_a_disk_that_refuses_costs_one_line_and_nothing_else(command, action, server, folder, undisturbed):
    words = {"no-space": "no space left on device", "read-only": "read-only file system"}[action]
    for point in SOME[command]:
        if server.do(command, folder, f"{point}={action}") == 0:
            continue  # this point is not passed any more
        assert len(said(folder)) == 1, said(folder)
        assert said(folder)[0].startswith("etendue: error: ")
        assert words in said(folder)[0].lower()
    assert server.do(command, folder) == 0
    assert STATES[command](folder) == undisturbed(command)
