"""Kill a run of a real night again and again, resume it, and compare what it makes with an undisturbed run.

Usage: python benchmarks/kills.py SCRATCH [--night DIR] [--kills 20] [--faults 8] [--seed 42] [--budget S]

Works in pieces: what is finished in SCRATCH is not done again, and after ``--budget`` seconds the script stops and says
so; call it again. The same code must run in all pieces.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import HERE, machine_facts, rounded

NIGHT = HERE.parent.parent / "shared" / "data" / "lowell42"
ETENDUE = str(Path(sys.executable).parent / "etendue")
PIPELINES = ("drp", "ap")
FINISHED = ("succeeded", "defeated", "no work")
VICTIMS = ("driver", "worker")
WORKERS = 2
RANDOM = "random time"
END = "end of a piece"
AT_THE_END = ("register.before-transfer", "register.after-transfer", "registered.before-rename")  # of every start
FAULTS = (
    "image.before-rename", "image.after-rename", "table.before-rename", "table.after-rename", "worker.before-quantum",
    "worker.after-outputs", "journal.append.before-write", "journal.append.before-sync", "journal.append.after-sync",
    "run.after-collection", "run.after-chain", "run.after-init-outputs",
)  # fmt: skip
"""One of these is armed at every start of the driver."""
IN_DRIVER = ("journal", "run.", "register")


class Night:
    """The folders of the campaign, and which step was finished."""

    def __init__(self, scratch: Path):
        self.base, self.calm, self.disturbed = (scratch / name for name in ("base", "calm", "disturbed"))
        self._state = scratch / "state.json"
        scratch.mkdir(parents=True, exist_ok=True)
        self.state: dict[str, Any] = json.loads(self._state.read_text()) if self._state.is_file() else {"kills": []}

    def save(self, **facts: Any) -> None:
        self.state |= facts
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=1))
        part.replace(self._state)


def etendue(*arguments: Any) -> None:
    subprocess.run([ETENDUE, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def prepare(night: Night, data: Path, deadline: float) -> bool:
    """Make a repository with frames, calibrations and skymap, and run it once undisturbed; False when time is up."""
    if "base" not in night.state:
        subprocess.run(["rm", "-rf", night.base], check=True)
        etendue("init", night.base)
        etendue("camera", "register", night.base, "lowell42")
        etendue("ingest", night.base, data, "--transfer", "direct")
        etendue("run", "calib", "-b", night.base)
        etendue("certify", night.base, "lowell42/calibrations")
        etendue("skymap", night.base)
        night.save(base=True)
    if "quanta" not in night.state:
        if time.monotonic() > deadline:
            return False
        copy(night.base, night.calm)
        for pipeline in PIPELINES:
            etendue("run", pipeline, "-b", night.calm, "-j", WORKERS)
        copy(night.base, night.disturbed)
        night.save(quanta=total(night.calm))
    return True


def copy(source: Path, target: Path) -> None:
    subprocess.run(["rm", "-rf", target], check=True)
    subprocess.run(["cp", "-r", source, target], check=True)


def journal_lines(repository: Path, pipeline: str) -> Iterator[dict[str, Any]]:
    """Give the whole lines of the journals of a pipeline; a torn last line counts as never written."""
    for path in sorted((repository / "etendue" / "runs" / "lowell42" / pipeline).glob("*/journal.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def finished(repository: Path, pipeline: str) -> Counter[str]:
    """Return how often each quantum was recorded as finished."""
    return Counter(line["quantum_id"] for line in journal_lines(repository, pipeline) if line["status"] in FINISHED)


def plan(kills: int, quanta: int, seed: int) -> list[dict[str, Any]]:
    """Return the kills in the order of the run: after how many finished quanta, how long after that, and whom."""
    draw = random.Random(seed)
    drawn = [
        {"after_quanta": draw.randrange(quanta), "delay_s": 4.0 * draw.random(), "victim": draw.choice(VICTIMS)}
        for _ in range(kills)
    ]
    return sorted(drawn, key=lambda kill: int(str(kill["after_quanta"])))


class Attempt:
    """One driver process: started to resume a pipeline, watched and killed as planned."""

    def __init__(self, night: Night, pipeline: str, plans: list[dict[str, Any]], faults: str, deadline: float):
        self.night, self.pipeline, self.plans, self.deadline = night, pipeline, plans, deadline
        self.fired = night.disturbed.parent / "fired"
        self.fired.mkdir(exist_ok=True)
        environment = os.environ | {"ETENDUE_FAULTS": faults, "ETENDUE_FAULTS_FIRED": str(self.fired)}
        self.known = {path.name for path in self.fired.iterdir()}
        self.due_since: float | None = None
        self.workers: set[int] = set()
        command = [ETENDUE, "run", pipeline, "-b", str(night.disturbed), "--resume", "-j", str(WORKERS)]
        self.driver = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def run(self) -> bool:
        """Watch until the driver has ended; return whether it ended by itself, with success."""
        while self.driver.poll() is None:
            time.sleep(0.05)
            self.workers |= set(workers_of(self.driver.pid))
            self.note_faults()
            self.kill_if_due()
            if time.monotonic() > self.deadline:
                self.record("driver", END)
                self.driver.kill()
                self.driver.wait()
        self.note_faults()
        self.note_orphans()
        _, error = self.driver.communicate()
        if self.driver.returncode == -signal.SIGKILL:
            return False
        if self.driver.returncode:
            raise RuntimeError(f"{self.pipeline} ended with {self.driver.returncode}: {error[-2000:]}")
        return True

    def note_faults(self) -> None:
        """Record the fault points that have killed somebody."""
        for path in self.fired.iterdir():
            if path.name not in self.known:
                self.known.add(path.name)
                self.record("driver" if path.name.startswith(IN_DRIVER) else "worker", path.name)

    def kill_if_due(self) -> None:
        """Kill the next victim at its time."""
        timed = sum(kill["at"] == RANDOM for kill in self.night.state["kills"])
        if timed == len(self.plans):
            return
        kill = self.plans[timed]
        if self.due_since is None and total(self.night.disturbed) >= kill["after_quanta"]:
            self.due_since = time.monotonic()
        if self.due_since is None or time.monotonic() < self.due_since + kill["delay_s"]:
            return
        victims = [self.driver.pid] if kill["victim"] == "driver" else workers_of(self.driver.pid)
        if victims and self.driver.poll() is None:
            os.kill(random.Random(timed).choice(sorted(victims)), signal.SIGKILL)
            self.due_since = None
            self.record(kill["victim"], RANDOM)

    def record(self, victim: str, at: str) -> None:
        fact = {"victim": victim, "at": at, "pipeline": self.pipeline, "finished_quanta": total(self.night.disturbed)}
        self.night.save(kills=[*self.night.state["kills"], fact])

    def note_orphans(self) -> None:
        """Wait for the workers of a dead driver to end, and record the longest wait [s]."""
        begin = time.monotonic()
        while any(is_alive(pid) for pid in self.workers) and time.monotonic() < begin + 20.0:
            time.sleep(0.01)
        longest = max(self.night.state.get("orphans_s", 0.0), time.monotonic() - begin)
        self.night.save(orphans_s=longest)


def workers_of(driver: int) -> list[int]:
    """Return the processes forked by the fork server of a driver."""
    return [pid for child in children(driver) for pid in children(child)]


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(item) for item in path.read_text().split()]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def disturb(night: Night, plans: list[dict[str, Any]], faults: Sequence[str], deadline: float) -> bool:
    """Run both pipelines with kills; False when time is up before they are finished."""
    for pipeline in PIPELINES:
        while pipeline not in night.state:
            if time.monotonic() > deadline:
                return False
            starts = night.state.get("starts", 0)
            night.save(starts=starts + 1)
            armed = [*AT_THE_END, faults[starts % len(faults)]]
            if Attempt(night, pipeline, plans, " ".join(f"{fault}=kill" for fault in armed), deadline + 30.0).run():
                night.save(**{pipeline: True})
    return True


def total(repository: Path) -> int:
    return sum(len(finished(repository, name)) for name in PIPELINES)


def judge(night: Night) -> dict[str, Any]:
    """Compare the disturbed repository with the undisturbed one, and look for what must not be there."""
    from etendue.middleware.repository import Repository

    calm, disturbed = (Repository.open(folder, writeable=False) for folder in (night.calm, night.disturbed))
    expected, found = products(calm), products(disturbed)
    same = {key: key in found and equal(calm, expected[key], disturbed, found[key]) for key in expected}
    counts = finished(night.disturbed, "drp") + finished(night.disturbed, "ap")
    strays, missing = strays_of(disturbed)
    return {
        "products": len(expected),
        "equal_products": sum(same.values()),
        "additional_products": len(set(found) - set(expected)),
        "unequal": sorted(key for key, equal in same.items() if not equal)[:20],
        "finished_quanta": len(counts),
        "finished_quanta_run_again": sum(count > 1 for count in counts.values()),
        "registered_files_missing_or_of_wrong_size": missing,
        "files_nobody_knows": strays,
    }


def products(home: Any) -> dict[str, Any]:
    """Return the products of both pipelines by type and data ID; how they were made is no product."""
    runs = own_runs(home)
    names = [kind.name for kind in home.butler.registry.queryDatasetTypes()]
    names = [name for name in names if name != "packages" and not name.endswith(("_metadata", "_log", "_config"))]
    refs = [ref for name in names for ref in home.query(name, collections=runs)]
    return {f"{ref.datasetType.name} {ref.dataId.required}": ref for ref in refs}


def equal(calm: Any, expected: Any, disturbed: Any, found: Any) -> bool:
    """Return whether two products have equal content; where the files are equal byte for byte, it is."""
    from etendue.middleware.content_hash import content_hash

    if calm.butler.getURI(expected).read() == disturbed.butler.getURI(found).read():
        return True
    return content_hash(calm, expected) == content_hash(disturbed, found)


def own_runs(home: Any) -> list[str]:
    """Return the runs of both pipelines."""
    runs = [run for name in PIPELINES for run in home.butler.collections.query(f"lowell42/{name}", flatten_chains=True)]
    return [run for run in dict.fromkeys(runs) if run.startswith(tuple(f"lowell42/{name}/" for name in PIPELINES))]


def strays_of(home: Any) -> tuple[list[str], int]:
    """Return the files below the runs that are no dataset, and the number of datasets without a whole file."""
    own = own_runs(home)
    types = home.butler.registry.queryDatasetTypes()
    refs = [ref for kind in types for ref in home.query(kind.name, collections=own, find_first=False)]
    records = home.butler._datastore.export_records(refs)
    infos = [
        i for data in records.values() for tables in data.records.values() for rows in tables.values() for i in rows
    ]
    known = {str(info.path) for info in infos}  # Rubin's registry does not keep sizes of what it takes over
    files = {path.relative_to(home.path).as_posix(): path for run in own for path in (home.path / run).rglob("*")}
    present = {name: path.stat().st_size for name, path in files.items() if path.is_file()}
    noted = {name: size for pipeline in PIPELINES for line in journal_lines(home.path, pipeline)
             for name, size in line["files"].items() if line["status"] in FINISHED}  # fmt: skip
    bad = sum(name not in present or present[name] != noted.get(name, present[name]) for name in known)
    return sorted(re.sub(r"\d{8}T\d+Z", "RUN", name) for name in present if name not in known)[:20], bad


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Kill a run of a real night again and again, and resume it.")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--night", type=Path, default=NIGHT)
    parser.add_argument("--kills", type=int, default=20, help="kills at random times; those at fault points are added")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--budget", type=float, default=400.0, help="begin no new attempt after so many seconds")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + options.budget
    night = Night(options.scratch)
    if not prepare(night, options.night, deadline):
        sys.exit("time is up: call again to go on")
    plans = plan(options.kills, night.state["quanta"], options.seed)
    draw = random.Random(options.seed)
    faults = [f"{point}@{draw.randint(1, 3)}" for point in draw.sample(FAULTS, len(FAULTS))]
    if not disturb(night, plans, faults, deadline):
        sys.exit(f"{len(night.state['kills'])} kills so far, time is up: call again to go on")
    report(night, options)


def report(night: Night, options: argparse.Namespace) -> None:
    """Write the figures and print the most important ones."""
    date, kills = f"{datetime.now(UTC):%Y-%m-%d}", night.state["kills"]
    result = {
        "what": "lowell42, drp and ap: kills of driver and workers, resumed, against an undisturbed run",
        "date": date,
        "machine": machine_facts(),
        "seed": options.seed,
        "workers": WORKERS,
        "kills_at_random_times": sum(kill["at"] == RANDOM for kill in kills),
        "kills_at_fault_points": sum(kill["at"] not in (RANDOM, END) for kill in kills),
        "kills_at_the_end_of_a_piece": sum(kill["at"] == END for kill in kills),
        "victims": Counter(kill["victim"] for kill in kills),
        "starts_of_the_driver": night.state["starts"],
        "longest_life_of_a_worker_after_its_driver_s": night.state["orphans_s"],
        **judge(night),
        "kills": kills,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"kills-{date}.json").write_text(json.dumps(rounded(result), indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "kills"}, indent=1))


if __name__ == "__main__":
    main()
