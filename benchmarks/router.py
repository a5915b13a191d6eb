"""Measure the router: events per second, latency, and whether anything is lost or doubled when it is killed.

Usage: python benchmarks/router.py SCRATCH [--kills 40] [--seed 42] [--events 2000] [--scan 100000] [--out DIR]

The campaign lets plain Butler code put datasets while the router is killed with SIGKILL at random times and at all its
named fault points, sinks go away and come back, and disks are full. In the end every sink is compared with the source.
"""

import argparse
import json
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import HERE, machine_facts, rounded
from router_scene import RUN, Subscriber, judge, make

ETENDUE = str(Path(sys.executable).parent / "etendue")
RULES = """
sinks:
  replica: {kind: repository, path: replica, retries: {first_s: 0.2, longest_s: 1, attempts: 8}}
  files: {kind: directory, path: files, retries: {first_s: 0.2, longest_s: 1, attempts: 8}}
  live: {kind: stream, port: 0}
  log: {kind: command, command: [sh, -c, 'echo "$ETENDUE_KEY" >> "$0"', %s/log], parallel: 4}
rules: [{name: everything, datasets: [number, picture], sinks: [replica, files, live, log]}]
"""
KILLS_AT = (
    "router.before-queued", "router.after-queued", "router.before-delivery", "router.after-delivery",
    "router.before-recorded", "router.after-recorded", "router.after-transfer", "router.before-published",
    "router.after-published", "router.after-command", "router.before-named", "router.after-named",
)  # fmt: skip
FULL_AT = ("router.before-named", "router.after-transfer", "router.before-recorded", "router.before-queued")
ONE = {
    "repository": "{kind: repository, path: sink}",
    "directory": "{kind: directory, path: sink}",
    "stream": "{kind: stream, port: 0}",
    "command": "{kind: command, command: ['true'], parallel: 4}",
}


class Campaign:
    """A source that grows, a router that is killed, and sinks that come and go."""

    def __init__(self, place: Path, seed: int, kills: int):
        self.place, self.kills, self.draw = place, kills, random.Random(seed)
        self.facts: dict[str, int] = {"random_kills": 0, "kills_at_points": 0, "sinks_taken_away": 0, "full_disks": 0}
        self.subscriber = Subscriber()

    def run(self) -> dict[str, Any]:
        """Kill so often, then let the router finish."""
        from etendue.middleware.repository import Repository

        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        make(self.place / "source", 20_000)
        Repository.create(self.place / "replica")
        (self.place / "files").mkdir()
        (self.place / "rules.yaml").write_text(RULES % self.place)
        writer = subprocess.Popen(
            [sys.executable, HERE / "router_scene.py", self.place / "source", "1", "20000", "0.05"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for attempt in range(self.kills):
                self.disturb(attempt)
                if writer.poll() is not None:
                    raise RuntimeError("the writer ended")
        finally:
            writer.terminate()
            writer.wait()
        self.finish()
        return {"kills": self.kills, **self.facts, **judge(self.place, self.subscriber)}

    def disturb(self, attempt: int) -> None:
        """Start the router, and kill it: at a fault point in every third start, else at a random time."""
        armed, at_point = "", attempt % 3 == 0
        if at_point:
            armed = f"{KILLS_AT[(attempt // 3) % len(KILLS_AT)]}@{self.draw.randint(1, 4)}=kill"
        elif attempt % 3 == 1:
            armed = f"{self.draw.choice(FULL_AT)}@{self.draw.randint(1, 6)}=no-space"
            self.facts["full_disks"] += 1
        away = self.draw.choice(("replica", "files", "", "", ""))
        if away:
            (self.place / away).rename(self.place / "away")
            self.facts["sinks_taken_away"] += 1
        with self.router(armed) as (router, url):
            self.subscriber.read(url)
            self.wait(router, 0.3 + 2.5 * self.draw.random())
            if away:
                (self.place / "away").rename(self.place / away)
                self.wait(router, 1.5 * self.draw.random())
            dead = router.poll() is not None
            self.facts["kills_at_points" if dead else "random_kills"] += 1
            router.kill()

    @staticmethod
    def wait(router: "subprocess.Popen[str]", seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and router.poll() is None:
            time.sleep(0.02)

    @contextmanager
    def router(self, armed: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
        """Start a router; gives it and the address of its stream once it serves."""
        import os

        command = [ETENDUE, "router", "run", str(self.place / "source"), str(self.place / "rules.yaml")]
        with (self.place / "said").open("a") as said, subprocess.Popen(
            command, env=os.environ | {"ETENDUE_FAULTS": armed}, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process:  # fmt: skip
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            yield process, found.group() if found else "http://127.0.0.1:9/"
            process.kill()

    def finish(self) -> None:
        """Let an undisturbed router deliver the rest."""
        with self.router("") as (router, url):
            end = time.monotonic() + 300.0
            while self.left() and time.monotonic() < end:
                time.sleep(0.5)
            self.subscriber.read(url)
            router.send_signal(signal.SIGTERM)
            router.wait(60)

    def left(self) -> int:
        """Return how many deliveries are left, and datasets that were not found."""
        from etendue.middleware.repository import Repository
        from etendue.middleware.router.status import statuses

        source = Repository.open(self.place / "source", writeable=False)
        n = sum(len(source.query(name, collections=RUN)) for name in ("number", "picture"))
        return sum(abs(n - one.counts.get("done", 0)) for one in statuses(self.place / "source/etendue/router"))


def throughput(place: Path, events: int) -> dict[str, Any]:
    """Return events per second of each kind of sink, for JSON files of some bytes and a few small images."""
    if not (place / "source").exists():
        make(place / "source", events)
        subprocess.run([sys.executable, HERE / "router_scene.py", place / "source", "1", str(events), "0"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    found = {}
    for kind in ONE:
        count = events if kind != "command" else min(events, 500)
        wall, cpu = routed(place, kind, f"exposure <= {count} AND instrument = 'scene'")
        found[kind] = {"events": count, "per_s": count / wall, "cpu_ms_each": 1e3 * cpu / count}
    return found


def bulk(place: Path, files: int) -> dict[str, Any]:
    """Return how many bytes per second reach a repository and a folder, copied, read back and compared."""
    from etendue.middleware.repository import Repository

    if not (place / "source").exists():
        make(place / "source", files)
        home, draw = Repository.open(place / "source"), random.Random(1)
        home.register_dataset_type("text", ("instrument", "exposure", "detector"), "EtendueText")
        for k in range(1, files + 1):
            text = draw.randbytes(4_000_000).hex()
            home.put(text, "text", {"instrument": "scene", "exposure": k, "detector": 0}, run=RUN)
    found: dict[str, Any] = {"files": files, "megabytes_each": 8.0}
    for kind in ("repository", "directory"):
        wall, cpu = routed(place, kind, "")
        found[kind] = {"megabytes_per_s": 8.0 * files / wall, "cpu_ms_per_megabyte": 1e3 * cpu / (8.0 * files)}
    return found


def routed(place: Path, kind: str, where: str) -> tuple[float, float]:
    """Send everything to one new sink; return wall and CPU time [s]."""
    from etendue.middleware.repository import Repository
    from etendue.middleware.router.router import Router
    from etendue.middleware.router.rules import Rules

    folder = place / kind
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sink").mkdir(parents=True)
    if kind == "repository":
        Repository.create(folder / "sink")
    path = folder / "rules.yaml"
    rule = {"name": "all", "datasets": ["number", "picture", "text"], "where": where, "sinks": "one"}
    path.write_text(f"sinks: {{one: {ONE[kind]}}}\nrules: [{json.dumps(rule)}]\n")
    home = Repository.open(place / "source", writeable=False)
    router = Router(home, Rules.read(path), path, state=folder / "state")
    begin, cpu = time.perf_counter(), time.process_time()
    router.run(once=True)
    return time.perf_counter() - begin, time.process_time() - cpu


def latency(place: Path, samples: int) -> dict[str, Any]:
    """Return the time from the end of a put by plain Butler code to the file at a directory sink [s]."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "files").mkdir(parents=True)
    make(place / "source", samples)
    rule = "rules: [{name: all, datasets: [number, picture], sinks: files}]\n"
    sink = 'sinks: {files: {kind: directory, path: files, layout: "{exposure}"}}\n'
    (place / "rules.yaml").write_text(sink + rule)
    router = subprocess.Popen([ETENDUE, "router", "run", str(place / "source"), str(place / "rules.yaml")],
                              stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        while not list(place.glob("source/etendue/router/files/queue.sqlite3")):
            time.sleep(0.05)
        time.sleep(2.0)
        told = subprocess.run(
            [sys.executable, HERE / "router_scene.py", place / "source", "1", str(samples), "0.5"],
            stdout=subprocess.PIPE, text=True, check=True,
        ).stdout  # fmt: skip
        time.sleep(3.0)
    finally:
        router.terminate()
        router.wait(30)
    put = {line.split()[0]: float(line.split()[1]) for line in told.splitlines()}
    arrived = {path.stem: path.stat().st_mtime for path in (place / "files").iterdir()}
    delays = [arrived[name] - when for name, when in put.items()]
    return {"n": len(delays), "median_s": statistics.median(delays), "longest_s": max(delays)}


def scan(place: Path, datasets: int) -> dict[str, Any]:
    """Return how long looking for datasets takes: at all of them, and at what is new."""
    from lsst.daf.butler import DataCoordinate, DatasetRef

    from etendue.middleware.repository import Repository
    from etendue.middleware.router.rules import Rule
    from etendue.middleware.router.scanner import Scanner, now_ns

    shutil.rmtree(place, ignore_errors=True)
    make(place, datasets)
    home = Repository.open(place)
    with home.writing(run=RUN) as butler:
        kind = butler.get_dataset_type("number")
        ids = ({"instrument": "scene", "exposure": k, "detector": 0} for k in range(1, datasets + 1))
        known = [DataCoordinate.standardize(one, universe=butler.dimensions) for one in ids]
        butler.registry._importDatasets([DatasetRef(kind, data_id, run=RUN) for data_id in known])
    scanner = Scanner(Repository.open(place, writeable=False))
    rule = Rule(name="all", datasets="number", where="instrument = 'scene' AND detector = 0", sinks="x")
    spent = {}
    for name, since in (("everything_cpu_s", None), ("news_cpu_s", now_ns())):
        begin = time.process_time()
        count = sum(1 for _ in scanner.find(rule, since))
        spent[name] = time.process_time() - begin
        assert count == (datasets if since is None else 0)
    return {"datasets": datasets, **spent}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--scan", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    scratch = options.scratch.resolve()
    result: dict[str, Any] = {"what": "router", "machine": machine_facts(), "seed": options.seed}
    if options.events:
        result["throughput"] = throughput(scratch / "throughput", options.events)
        result["bulk"] = bulk(scratch / "bulk", 60)
        result["latency_sqlite"] = latency(scratch / "latency", 20)
    if options.scan:
        result["scan_sqlite"] = scan(scratch / "scan", options.scan)
    if options.kills:
        result["campaign"] = Campaign(scratch / "campaign", options.seed, options.kills).run()
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"router-{date}.json"
    before = json.loads(path.read_text()) if path.is_file() else {}  # parts may be measured one by one
    path.write_text(json.dumps(rounded({**before, "date": date, **result}), indent=1) + "\n")
    print(json.dumps(rounded(result), indent=1))


if __name__ == "__main__":
    main()
