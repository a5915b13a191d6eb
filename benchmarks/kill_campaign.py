"""Disturb runs of a small simulated survey at random, on SQLite and on PostgreSQL, and compare what is left at the end.

Usage: python benchmarks/kill_campaign.py SCRATCH [--disturbances 30] [--seed 7] [--databases sqlite postgres]
       [--budget SECONDS] [--server FOLDER]

Every time the driver runs, two things happen at random times: it is killed, a worker is killed, the database breaks
all connections (PostgreSQL) or is locked for a while (SQLite). Besides, the disk is full at a point of the code, or
the archive that tables are published to is not there, or neither. The same command is given again with ``--resume``
until it succeeds; what was rare so far is drawn more often. A survey that is finished is compared with an undisturbed
one (content hashes of products, archive, alerts), checked (``etendue repo check``), and begun anew until enough
disturbances took effect; those that came too late are recorded, and do not count. With ``--budget`` it ends after about
so many seconds and goes on when called again; on PostgreSQL a server must then run all the time.
"""

import argparse
import hashlib
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kills import children, is_alive
from machine import HERE, machine_facts

sys.path.insert(0, str(HERE.parent))
from tests.postgres import PostgresServer, running_server

ETENDUE = [str(Path(sys.executable).parent / "etendue")]
PIPELINES = ("calib", "drp", "ap")
OUTPUTS = ("simcam/calibrations", "simcam/drp", "simcam/ap")
FULL_DISK = {
    "graph.before-rename": 1, "image.before-rename": 5, "table.before-rename": 5, "journal.append.before-write": 5,
    "worker.after-outputs": 5, "register.before-transfer": 1, "registered.before-rename": 1, "run.after-chain": 1,
    "archive.before-commit": 2, "alert-log.before-write": 2,
}  # fmt: skip
"""Where the disk is full, and at most how many passages later."""
PUBLISHING = ("archive.", "alert-log.")
TIMED, CONDITIONS = ("driver", "worker", "database"), ("disk full", "sink down", "")
AT_ONCE = 2  # timed ones of one start of the driver
LOCKED_S = 2.0
ATTEMPTS = 60  # of one pipeline


class Place:
    """Repositories on one kind of database, and how to copy them.

    Parameters
    ----------
    scratch : Path
        Folder of the repositories.
    server : PostgresServer or None
        None for SQLite.
    databases : dict of str to str
        URLs of the databases by the names of the repositories; completed here.
    """

    def __init__(self, scratch: Path, server: PostgresServer | None, databases: dict[str, str]):
        self.scratch, self.server, self.databases = scratch, server, databases

    def create(self, name: str) -> Path:
        """Make an empty repository."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
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
            before, after = self._database(source), f"{self._database(source)}_{target}_{time.monotonic_ns()}"
            self.server.break_connections(before)
            self.server.execute(f"CREATE DATABASE {after} TEMPLATE {before}")
            self.databases[target] = self.server.url(after)
            config = folder / "butler.yaml"
            config.write_text(config.read_text().replace(before, after))
        return folder

    def trouble(self, name: str) -> bool:
        """Let the database fail for a moment; return whether anybody could notice."""
        if self.server is not None:
            return self.server.break_connections(self._database(name)) > 0
        connection = sqlite3.connect(self.scratch / name / "gen3.sqlite3", timeout=5.0, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(LOCKED_S)
        except sqlite3.OperationalError:
            return False  # somebody else holds it
        finally:
            connection.close()
        return True

    def _database(self, name: str) -> str:
        return self.databases[name].partition("?")[0].rpartition("/")[2]


def etendue(*arguments: Any, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Do a command; what it said is shown where it fails."""
    command = [*ETENDUE, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done


class Campaign:
    """The disturbances of one database so far, kept in a file so that they can go on later.

    Parameters
    ----------
    scratch : Path
        Folder of repositories and state.
    server : PostgresServer or None
        None for SQLite.
    seed, count : int
        Of the draws; disturbances that must take effect.
    """

    def __init__(self, scratch: Path, server: PostgresServer | None, seed: int, count: int):
        scratch.mkdir(parents=True, exist_ok=True)
        self._path = scratch / "state.json"
        self.state: dict[str, Any] = {
            "seed": seed, "attempts": 0, "calm_s": {}, "events": [], "surveys": [], "under_way": None, "databases": {},
        }  # fmt: skip
        if self._path.is_file():
            self.state = json.loads(self._path.read_text())
        self.place, self.count = Place(scratch, server, self.state["databases"]), count

    @property
    def effective(self) -> Counter[str]:
        """How many disturbances of each kind took effect."""
        return Counter(event["kind"] for event in self.state["events"] if event["effect"])

    @property
    def finished(self) -> bool:
        """Whether enough happened, and was judged."""
        return self.effective.total() >= self.count and self.state["under_way"] is None

    def save(self) -> None:
        """Keep the state."""
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=1))
        part.replace(self._path)

    def go_on(self, frames: Path, deadline: float) -> None:
        """Do the next pieces until the deadline."""
        while time.monotonic() < deadline and not self.finished:
            if len(self.state["calm_s"]) < len(PIPELINES):
                self._prepare(frames)
            elif self.state["under_way"] is None:
                self.place.copy("base", "disturbed")
                self.state["under_way"] = {"done": [], "attempts": 0}
            elif len(self.state["under_way"]["done"]) < len(PIPELINES):
                self._attempt()
            else:
                self.state["surveys"].append(judge(self.place))
                self.state["under_way"] = None
            self.save()

    def _prepare(self, frames: Path) -> None:
        """Make a repository with frames and skymap, and run everything once undisturbed on a copy."""
        calm_s = self.state["calm_s"]
        if not calm_s:
            base = self.place.create("base")
            etendue("camera", "register", base, "simcam")
            etendue("ingest", base, frames / "bias", frames / "flat", frames / "raw", "--transfer", "direct")
            etendue("skymap", base)
            self.place.copy("base", "calm")
        calm, pipeline = self.place.scratch / "calm", PIPELINES[len(calm_s)]
        begin = time.monotonic()
        etendue("run", pipeline, "-b", calm)
        calm_s[pipeline] = time.monotonic() - begin
        certify(calm, pipeline)

    def _attempt(self) -> None:
        """Give the command of the next pipeline, and disturb it as long as disturbances are left."""
        survey = self.state["under_way"]
        pipeline, repository = PIPELINES[len(survey["done"])], self.place.scratch / "disturbed"
        draw = random.Random(f"{self.state['seed']} {self.state['attempts']}")
        so_far, longest_s = self.effective, self.state["calm_s"][pipeline]
        plan = Plan.drawn(draw, pipeline, longest_s, so_far) if so_far.total() < self.count else Plan()
        begin = time.monotonic()
        code, said, effects = Attempt(self.place, pipeline, plan, draw).run()
        if code == survey["attempts"] == 0 and not any(effect for _, effect in effects):  # the machine is less busy
            calm_s = self.state["calm_s"]
            calm_s[pipeline] = min(calm_s[pipeline], time.monotonic() - begin)
        for kind, effect in effects:
            event = {"kind": kind, "pipeline": pipeline, "effect": effect, "code": code, "said": said}
            self.state["events"].append(event)
            print(f"{self.effective.total()} of {self.count}: {event}", flush=True)
        self.state["attempts"] += 1
        survey["attempts"] += 1
        if code == 0:
            certify(repository, pipeline)
            survey["done"].append(pipeline)
            survey["attempts"] = 0
        elif survey["attempts"] >= ATTEMPTS or not any(effect for _, effect in effects):
            self.save()
            raise RuntimeError(f"{pipeline} fails without being disturbed: {said}")


def certify(repository: Path, pipeline: str) -> None:
    """Make calibrations valid."""
    if pipeline == "calib":
        etendue("certify", repository, "simcam/calibrations")


@dataclass(frozen=True)
class Plan:
    """What happens while the driver runs once: kinds and times [s] of what happens at a time, and a condition."""

    timed: tuple[tuple[str, float], ...] = ()
    condition: str = ""
    faults: str = ""

    @classmethod
    def drawn(cls, draw: random.Random, pipeline: str, longest_s: float, so_far: Counter[str]) -> "Plan":
        """Draw what happens; kinds that took effect rarely so far are drawn more often."""
        published = pipeline != "calib"
        conditions = [kind for kind in CONDITIONS if published or kind != "sink down"]
        timed = [(rare(draw, TIMED, so_far), longest_s * draw.random()) for _ in range(AT_ONCE)]
        condition = rare(draw, conditions, so_far + Counter({"": min(so_far[kind] for kind in conditions if kind)}))
        faults = full_disk(draw, published=published) if condition == "disk full" else ""
        return cls(tuple(sorted(timed, key=lambda event: event[1])), condition, faults)


def rare(draw: random.Random, kinds: Sequence[str], so_far: Counter[str]) -> str:
    """Draw a kind by how rare it was."""
    return draw.choices(kinds, [1.0 / (1 + so_far[kind]) ** 2 for kind in kinds])[0]


class Attempt:
    """One start of the driver, disturbed as planned.

    Parameters
    ----------
    place : Place
        Of the repository ``disturbed``.
    pipeline : str
        Name.
    plan : Plan
        What happens.
    draw : random.Random
        Chooses workers.
    """

    def __init__(self, place: Place, pipeline: str, plan: Plan, draw: random.Random):
        self._place, self._pipeline, self._plan, self._draw = place, pipeline, plan, draw
        self._repository = place.scratch / "disturbed"
        self._unnoticed = len(plan.timed)

    def run(self) -> tuple[int, str, list[tuple[str, bool]]]:
        """Run the driver; return its exit status, its last line, and what took effect."""
        environment = os.environ | ({"ETENDUE_FAULTS": self._plan.faults} if self._plan.faults else {})
        down = self._plan.condition == "sink down"
        with moved_away(self._repository / "archive") if down else nullcontext():
            command = [*ETENDUE, "run", self._pipeline, "-b", str(self._repository), "--resume"]
            driver = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            errors: list[str] = []
            reader = threading.Thread(target=lambda: errors.extend(driver.stderr or ()))
            reader.start()
            wait_for_end(self._watch(driver))
            reader.join()
        said = [line.strip().replace(f"{self._place.scratch}/", "") for line in errors if line.strip()]
        return driver.returncode, said[-1][-300:] if said else "", list(self._effects(driver.returncode, "".join(said)))

    def _watch(self, driver: subprocess.Popen[str]) -> set[int]:
        """Disturb the driver at the planned times until it has ended; return the processes below it."""
        begin, workers, left = time.monotonic(), set(), list(self._plan.timed)
        while driver.poll() is None:
            workers |= set(descendants(driver.pid))
            if left and time.monotonic() - begin >= left[0][1] and self._disturb(left[0][0], driver):
                left.pop(0)  # otherwise there is no worker or connection yet
            time.sleep(0.05)
        self._unnoticed = len(left)
        return workers

    def _disturb(self, kind: str, driver: subprocess.Popen[str]) -> bool:
        if kind == "worker":
            return kill_a_worker(driver.pid, self._draw)
        if kind == "database":
            return self._place.trouble(self._repository.name)
        driver.kill()
        return driver.wait() == -signal.SIGKILL

    def _effects(self, code: int, said: str) -> Iterator[tuple[str, bool]]:
        """Give what was planned, and whether it took effect."""
        for number, (kind, _) in enumerate(self._plan.timed):
            yield kind, number < len(self._plan.timed) - self._unnoticed
        if self._plan.condition:
            words = {"disk full": "no space left", "sink down": "archive"}[self._plan.condition]
            yield self._plan.condition, code not in (0, -signal.SIGKILL) and words in said.lower()


def full_disk(draw: random.Random, *, published: bool) -> str:
    """Draw where the disk is full."""
    points = [name for name in FULL_DISK if published or not name.startswith(PUBLISHING)]
    point = draw.choice(points)
    return f"{point}@{draw.randint(1, FULL_DISK[point])}=no-space"


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


def kill_a_worker(driver: int, draw: random.Random) -> bool:
    """Kill a process that the driver's fork server made; False where there is none."""
    found = [pid for child in children(driver) for pid in children(child)]
    if found:
        os.kill(draw.choice(found), signal.SIGKILL)
    return bool(found)


def descendants(pid: int) -> Iterator[int]:
    """Give the processes below a process."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def wait_for_end(workers: set[int]) -> None:
    """Wait until the workers of a dead driver have ended."""
    end = time.monotonic() + 20.0
    while any(is_alive(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.02)


def judge(place: Place) -> dict[str, Any]:
    """Compare the disturbed repository with the undisturbed one."""
    from etendue.middleware.content_hash import content_hashes
    from etendue.middleware.repository import Repository

    calm, disturbed = (Repository.open(place.scratch / name, writeable=False) for name in ("calm", "disturbed"))
    expected, found = ({k: v for one in OUTPUTS for k, v in content_hashes(home, one).items()} | published(home.path)
                       for home in (calm, disturbed))  # fmt: skip
    age(disturbed.path)
    told = json.loads(etendue("repo", "check", disturbed.path, "--json", check=False).stdout)
    twice = [str(key) for output in OUTPUTS for key, n in registrations(disturbed, output).items() if n > 1]
    return {
        "products": len(expected), "equal": sum(found.get(key) == value for key, value in expected.items()),
        "unequal": sorted(key for key, value in expected.items() if found.get(key) != value)[:10],
        "additional": sorted(set(found) - set(expected))[:10], "registered_twice": twice[:10],
        "check": {name: told.get(name) for name in ("ok", "problems", "orphans")},
    }  # fmt: skip


def age(folder: Path) -> None:
    """Make all files two hours older: the check takes younger ones for those of processes at work."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (path.stat().st_mtime - 7200.0,) * 2)


def published(repository: Path) -> dict[str, str]:
    """Return hashes of the rows of every table of the archive, and of every batch of alerts that counts."""
    from etendue.alerts.alert_log import AlertLog
    from etendue.archive.archive import Archive

    archive, log = Archive(repository / "archive"), AlertLog(repository / "alerts")
    hashes = {}
    for name in archive.tables:
        rows = archive.query(f'SELECT * FROM "{name}" ORDER BY ALL')
        hashes[f"archive {name}"] = hashlib.sha256(repr(rows.to_pylist()).encode()).hexdigest()
    alerts = {f"alerts {key}": log.batch(key).content_hash() for key in log.keys}
    return hashes | alerts


def registrations(home: Any, output: str) -> Counter[tuple[str, str, str]]:
    """Return how often each data ID is registered in each run."""
    runs = [run for run in home.butler.collections.query(output, flatten_chains=True) if run.startswith(output)]
    names = [kind.name for kind in home.butler.registry.queryDatasetTypes()]
    refs = [ref for name in names for ref in home.query(name, collections=runs, find_first=False)] if runs else []
    return Counter((ref.run, ref.datasetType.name, str(ref.dataId.required)) for ref in refs)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Disturb runs of a small survey at random, and compare the products.")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--disturbances", type=int, default=30, help="of each database")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--budget", type=float, default=float("inf"), help="begin nothing new after so many seconds")
    parser.add_argument("--server", type=Path, help="folder of the socket of a PostgreSQL server that runs")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    deadline, frames = time.monotonic() + options.budget, options.scratch / "frames"
    if not frames.exists():
        etendue("simulate", "smoke", frames, "--seed", options.seed)
    for database in options.databases:
        with served(database, options.server) as server:
            campaign = Campaign(options.scratch / database, server, options.seed, options.disturbances)
            campaign.go_on(frames, deadline)
        report(campaign, database, options.out)


def served(database: str, folder: Path | None) -> Any:
    """Give the PostgreSQL server, or None for SQLite."""
    if database == "sqlite":
        return nullcontext()
    return running_server() if folder is None else nullcontext(PostgresServer(folder))


def report(campaign: Campaign, database: str, folder: Path) -> None:
    """Write what happened so far."""
    date, state = f"{datetime.now(UTC):%Y-%m-%d}", campaign.state
    surveys = state["surveys"]
    found = {
        "what": f"disturbed runs of the smoke survey on {database}, resumed", "date": date, "machine": machine_facts(),
        "seed": state["seed"], "disturbances": dict(campaign.effective),
        "too_late": sum(not event["effect"] for event in state["events"]),
        "products": sum(survey["products"] for survey in surveys), "equal": sum(survey["equal"] for survey in surveys),
        "registered_twice": sum(len(survey["registered_twice"]) for survey in surveys),
        "checks_clean": sum(bool(survey["check"]["ok"]) for survey in surveys),
        "surveys": surveys, "events": state["events"],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"disturbances-{database}-{date}-seed{state['seed']}.json").write_text(json.dumps(found, indent=1) + "\n")
    told = {key: value for key, value in found.items() if key not in ("machine", "surveys", "events")}
    print(json.dumps(told | {"finished": campaign.finished}), flush=True)


if __name__ == "__main__":
    main()
