"""Disturb runs of a small simulated survey at random, on SQLite and on PostgreSQL, and compare what is left at the end.

Usage: python benchmarks/kill_campaign.py SCRATCH [--disturbances 30] [--seed 7] [--databases sqlite postgres]

What happens is drawn from: the driver is killed, a worker is killed, the database breaks all connections (PostgreSQL)
or is locked for a while (SQLite), the disk is full at a point of the code, the archive that tables are published to is
not there. After each the same command is given again with ``--resume``. A survey that is finished is compared with an
undisturbed one (content hashes), checked (``etendue repo check``), and begun anew until all disturbances are used up.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kills import children, is_alive
from machine import HERE, machine_facts

sys.path.insert(0, str(HERE.parent))
from tests.postgres import PostgresServer, running_server

ETENDUE = [str(Path(sys.executable).parent / "etendue")]
PIPELINES = ("calib", "drp", "ap")
FULL_DISK = ("image.before-rename", "table.before-rename", "journal.append.before-write", "worker.after-outputs",
             "register.before-transfer", "run.after-chain")  # fmt: skip
LONGEST_S = 12.0  # until something happens
KINDS = ("driver", "worker", "database", "disk full", "sink down")


class Place:
    """A repository on one kind of database, and how to copy it."""

    def __init__(self, scratch: Path, server: PostgresServer | None):
        self.scratch, self.server = scratch, server
        self.databases: dict[str, str] = {}

    def create(self, name: str) -> Path:
        folder = self.scratch / name
        options = []
        if self.server is not None:
            self.databases[name] = self.server.new_database()
            options = ["--database", self.databases[name]]
        etendue("init", folder, *options)
        return folder

    def copy(self, source: str, target: str) -> Path:
        """Copy a repository with its database; nobody may use it meanwhile."""
        folder = self.scratch / target
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.scratch / source, folder)
        if self.server is not None:
            before = self.databases[source].partition("?")[0].rpartition("/")[2]
            after = f"{before}_{target}_{time.monotonic_ns()}"
            self.server.break_connections(before)
            self.server.execute(f"CREATE DATABASE {after} TEMPLATE {before}")
            self.databases[target] = self.server.url(after)
            config = folder / "butler.yaml"
            config.write_text(config.read_text().replace(before, after))
        return folder

    def trouble(self, name: str) -> None:
        """Let the database fail for a moment."""
        if self.server is not None:
            self.server.break_connections(self.databases[name].partition("?")[0].rpartition("/")[2])
            return
        connection = sqlite3.connect(self.scratch / name / "gen3.sqlite3", timeout=5.0, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(2.0)
        except sqlite3.OperationalError:
            pass  # somebody else holds it: so be it
        finally:
            connection.close()


def etendue(*arguments: Any, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*ETENDUE, *map(str, arguments)]
    return subprocess.run(command, check=check, capture_output=True, text=True, **options)


def prepare(place: Place, frames: Path) -> None:
    """Make a repository with frames and skymap, and run everything once undisturbed on a copy."""
    base = place.create("base")
    etendue("camera", "register", base, "simcam")
    etendue("ingest", base, frames / "bias", frames / "flat", frames / "raw", "--transfer", "direct")
    etendue("skymap", base)
    calm = place.copy("base", "calm")
    for pipeline in PIPELINES:
        etendue("run", pipeline, "-b", calm)
        certify(calm, pipeline)


def certify(repository: Path, pipeline: str) -> None:
    if pipeline == "calib":
        etendue("certify", repository, "simcam/calibrations")


def run_disturbed(place: Place, draw: random.Random, left: list[str]) -> list[dict[str, Any]]:
    """Run all pipelines, disturbing as long as there is something left; return what happened."""
    repository, happened = place.copy("base", "disturbed"), []
    for pipeline in PIPELINES:
        for attempt in range(60):
            kind = left.pop() if left and (attempt or draw.random() < 0.7) else ""
            code, said = disturbed_run(place, repository, pipeline, kind, draw)
            if kind:
                happened.append({"kind": kind, "pipeline": pipeline, "code": code, "said": said})
            if code == 0:
                break
        else:
            raise RuntimeError(f"{pipeline} does not come to an end: {said}")
        certify(repository, pipeline)
    etendue("publish", repository, "simcam/drp")
    return happened


def disturbed_run(place: Place, repository: Path, pipeline: str, kind: str, draw: random.Random) -> tuple[int, str]:
    """Start the driver, disturb it once, and return its exit status and last line."""
    environment = dict(os.environ)
    if kind == "disk full":
        environment["ETENDUE_FAULTS"] = f"{draw.choice(FULL_DISK)}@{draw.randrange(1, 6)}=no-space"
    archive = repository / "archive"
    with moved_away(archive) if kind == "sink down" else nullcontext():
        driver = subprocess.Popen([*ETENDUE, "run", pipeline, "-b", str(repository), "--resume"], env=environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
        action: dict[str, Callable[[], None]] = {
            "driver": driver.kill,
            "worker": lambda: kill_a_worker(driver.pid, draw),
            "database": lambda: place.trouble(repository.name),
        }
        timer = threading.Timer(LONGEST_S * draw.random(), action.get(kind, lambda: None))
        timer.start()
        workers: set[int] = set()
        while driver.poll() is None:
            workers |= set(descendants(driver.pid))
            time.sleep(0.05)
        timer.join()
        wait_for_end(workers)
        said = [line for line in (driver.stderr.read() if driver.stderr else "").splitlines() if line.strip()]
        return driver.returncode, said[-1][-300:] if said else ""


@contextmanager
def moved_away(archive: Path) -> Iterator[None]:
    """Put a file in the place of the archive's folder."""
    kept = archive.with_name("archive.kept")
    if archive.exists():
        archive.rename(kept)
    archive.write_text("")
    try:
        yield
    finally:
        archive.unlink()
        if kept.exists():
            kept.rename(archive)


def kill_a_worker(driver: int, draw: random.Random) -> None:
    found = [pid for child in children(driver) for pid in children(child)]
    if found:
        os.kill(draw.choice(found), signal.SIGKILL)


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def wait_for_end(workers: set[int]) -> None:
    end = time.monotonic() + 20.0
    while any(is_alive(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.02)


def judge(place: Place) -> dict[str, Any]:
    """Compare the disturbed repository with the undisturbed one."""
    from etendue.middleware.content_hash import content_hashes
    from etendue.middleware.repository import Repository

    calm, disturbed = (Repository.open(place.scratch / name) for name in ("calm", "disturbed"))
    outputs = ["simcam/calibrations", "simcam/drp", "simcam/ap"]
    expected, found = ({k: v for one in outputs for k, v in content_hashes(home, one).items()}
                       for home in (calm, disturbed))  # fmt: skip
    told = json.loads(etendue("repo", "check", place.scratch / "disturbed", "--json", check=False).stdout)
    twice = [str(key) for output in outputs for key, n in registrations(disturbed, output).items() if n > 1]
    return {
        "products": len(expected), "equal": sum(found.get(key) == value for key, value in expected.items()),
        "unequal": sorted(key for key, value in expected.items() if found.get(key) != value)[:10],
        "additional": sorted(set(found) - set(expected))[:10], "registered_twice": twice[:10],
        "check": {name: told.get(name) for name in ("ok", "problems", "orphans")},
    }  # fmt: skip


def registrations(home: Any, output: str) -> Counter[tuple[str, str, str]]:
    """Return how often each data ID is registered in each run."""
    runs = [run for run in home.butler.collections.query(output, flatten_chains=True) if run.startswith(output)]
    names = [kind.name for kind in home.butler.registry.queryDatasetTypes()]
    refs = [ref for name in names for ref in home.query(name, collections=runs, find_first=False)] if runs else []
    return Counter((ref.run, ref.datasetType.name, str(ref.dataId.required)) for ref in refs)


def campaign(place: Place, frames: Path, count: int, seed: int, save: Callable[[dict[str, Any]], None]) -> None:
    """Disturb surveys until all disturbances are used up; what happened so far is saved after each."""
    draw = random.Random(seed)
    left = [draw.choice(KINDS) for _ in range(count)]
    prepare(place, frames)
    happened: list[dict[str, Any]] = []
    rounds: list[dict[str, Any]] = []
    while left:
        happened += run_disturbed(place, draw, left)
        rounds.append(judge(place))
        print(f"{len(happened)} of {count}: {rounds[-1]['equal']} of {rounds[-1]['products']} equal", flush=True)
        kinds = Counter(event["kind"] for event in happened)
        save({"seed": seed, "disturbances": dict(kinds), "surveys": rounds, "events": happened})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Disturb runs of a small survey at random, and compare the products.")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--disturbances", type=int, default=30, help="of each database")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    frames = options.scratch / "frames"
    if not frames.exists():
        etendue("simulate", "smoke", frames, "--seed", options.seed)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    for database in options.databases:
        folder, path = options.scratch / database, options.out / f"disturbances-{database}-{date}.json"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        head = {"what": "disturbed runs of the smoke survey, resumed", "date": date, "machine": machine_facts()}

        def save(found: dict[str, Any], path: Path = path, head: dict[str, Any] = head) -> None:
            path.write_text(json.dumps(head | found, indent=1) + "\n")

        with running_server() if database == "postgres" else nullcontext() as server:
            campaign(Place(folder, server), frames, options.disturbances, options.seed, save)


if __name__ == "__main__":
    main()
