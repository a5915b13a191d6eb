"""Data management against stock: quanta, graphs, resuming, queries, the start of the command line.

Usage: python benchmarks/bench_middleware.py [--only NAME ...] [--quick] [--out benchmarks/results]

CPU time is that of all processes, start and imports included. Ours and stock run in turn. A result of the same day is
completed: values of a side are added to those that are there, so that long comparisons can be repeated one at a time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import executor
from machine import HERE, machine_facts, rounded
from total_cpu import count

Values = dict[str, list[float]]
OURS, STOCK, PIPETASK = "etendue, 2 workers", "stock in process", "pipetask run -j2"
SIDES = {"ours": OURS, "stock": STOCK, "pipetask": PIPETASK}
BARS = {
    "quantum_ms": 12.0,
    "times_less_than_stock": 4.0,
    "times_less_than_pipetask": 100.0,
    "graph_build_s": 60.0,
    "driver_mib": 2048.0,
    "resume_s": 20.0,
    "start_s": 0.5,
    "query_ratio": 1.1,
}
QUANTA, FEW_QUANTA, MORE_QUANTA = 5000, 2, 100
VISITS, EXECUTED = 413, 5000  # 20,000 quanta
DATASETS, QUERIES = 100_000, 20
STARTS = {"--help": ["--help"], "run --help": ["run", "--help"], "--version": ["--version"]}


def side(work: str, *arguments: object, check: bool = True) -> Any:
    """Do a work in a process of its own; return what it counts, and what it says."""
    command = [sys.executable, str(HERE / "middleware_sides.py"), work, *map(str, arguments)]
    environment = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    if check:
        return count(command, HERE, environment=environment)
    return subprocess.run(command, env=os.environ | environment, check=False, stdout=subprocess.DEVNULL).returncode


def measure_quantum(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """CPU time of a further empty quantum: long minus short run."""
    few = options.quick
    sizes = argparse.Namespace(
        quanta=60 if few else 300,
        repeat=1 if few else 5,
        pipetask_quanta=2 if few else 6,
        pipetask_repeat=1 if few else 3,
    )
    return {"cpu_ms": executor.measure(scratch, sizes)}


def judge_quantum(facts: dict[str, Any]) -> dict[str, Any]:
    medians = _medians(facts["cpu_ms"])
    ours = medians[executor.OURS]
    ratios = {name: value / ours for name, value in medians.items()}
    return {"median_ms": medians, "times_ours": ratios, "bars_met": {"quantum": ours <= BARS["quantum_ms"]}}


def measure_run(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """CPU time of a whole run: graph, empty quanta, registration."""
    quanta, more = (200, 4) if options.quick else (options.quanta, options.pipetask_quanta)
    name, works = f"{time.time():.0f}", [work for work in ("ours", "stock") if work in options.sides]
    cpu: Values = {label: [] for label in SIDES.values()}
    walls: Values = {SIDES[work]: [] for work in works}
    for work in options.sides:
        side("make_empty", scratch / work, quanta)
    for i in range(options.repeat):
        for work in works:
            done = side(work, scratch / work, quanta, f"{name}-{i}")
            assert done["said"]["succeeded"] == quanta
            cpu[SIDES[work]].append(done["cpu_s"])
            walls[SIDES[work]].append(done["wall_s"])
    if "pipetask" in options.sides:
        few, many = (_pipetask(scratch, n) for n in (FEW_QUANTA, FEW_QUANTA + more))
        cpu[PIPETASK].append(few + (many - few) / more * (quanta - FEW_QUANTA))
    return {"cpu_s": cpu, "wall_s": walls, "quanta": quanta, "pipetask_quanta": more}


def _pipetask(scratch: Path, quanta: int) -> float:
    path = scratch / "empty.yaml"
    path.write_text(executor.PIPELINE)
    done = count(
        [str(Path(sys.executable).parent / "pipetask"), "--log-level", "ERROR", "run", "-b", str(scratch / "pipetask"),
         "-p", str(path), "-i", executor.INPUTS[0], "--output-run", f"pipetask/{quanta}-{time.time():.0f}",
         "-d", f"instrument = 'none' AND exposure <= {quanta}", "--register-dataset-types", "-j", "2"], HERE,
        environment={"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    return float(done["cpu_s"])


def judge_run(facts: dict[str, Any]) -> dict[str, Any]:
    medians = _medians(facts["cpu_s"])
    ratios = {name: value / medians[OURS] for name, value in medians.items() if OURS in medians}
    bars = {STOCK: BARS["times_less_than_stock"], PIPETASK: BARS["times_less_than_pipetask"]}
    met = {name: ratios[name] >= bar for name, bar in bars.items() if name in ratios}
    return {"median_s": medians, "times_ours": ratios, "bars_met": met}


def measure_graph(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Build the graph of a survey of the dimensions of ``dr1-mini``; kill a run of it, and resume."""
    visits, executed = (8, 60) if options.quick else (VISITS, EXECUTED)
    folder = scratch / "hollow"
    side("make_hollow", folder, visits)
    built = side("build", folder)["said"]
    assert side("run_hollow", folder, executed, check=False) == -9
    resumed = side("resume_hollow", folder)["said"]
    return {"build": [built], "resume": [resumed]}


def judge_graph(facts: dict[str, Any]) -> dict[str, Any]:
    build_s, resume_s = (statistics.median(done["wall_s"] for done in facts[key]) for key in ("build", "resume"))
    peak = max(done["peak_mib"] for key in ("build", "resume") for done in facts[key])
    met = {
        "build": build_s <= BARS["graph_build_s"],
        "memory": peak <= BARS["driver_mib"],
        "resume": resume_s <= BARS["resume_s"],
    }
    return {"build_wall_s": build_s, "resume_wall_s": resume_s, "driver_peak_mib": peak, "bars_met": met}


def measure_start(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Wall time until the command line has helped, and of an interpreter that does nothing."""
    commands = {name: [str(Path(sys.executable).parent / "etendue"), *words] for name, words in STARTS.items()}
    commands["python -c pass"] = [sys.executable, "-c", "pass"]
    walls: Values = {name: [] for name in commands}
    for _ in range(3 if options.quick else 9):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            walls[name].append(time.perf_counter() - begin)
    return {"wall_s": walls}


def judge_start(facts: dict[str, Any]) -> dict[str, Any]:
    best = {name: min(values) for name, values in facts["wall_s"].items()}
    return {"best_s": best, "bars_met": {"start": max(best[name] for name in STARTS) <= BARS["start_s"]}}


def measure_query(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """CPU time of a query for all datasets of a type."""
    side("make_many", scratch / "many", 1000 if options.quick else DATASETS)
    return dict(side("query", scratch / "many", 3 if options.quick else QUERIES)["said"])


def judge_query(facts: dict[str, Any]) -> dict[str, Any]:
    medians = _medians(facts["cpu_s"])
    ratio = medians["etendue"] / medians["daf_butler"]
    return {"median_s": medians, "ratio": ratio, "n": len(facts["cpu_s"]["etendue"]),
            "bars_met": {"query": ratio <= BARS["query_ratio"]}}  # fmt: skip


SECTIONS: dict[str, tuple[Callable[..., dict[str, Any]], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "quantum": (measure_quantum, judge_quantum),
    "run": (measure_run, judge_run),
    "graph": (measure_graph, judge_graph),
    "start": (measure_start, judge_start),
    "query": (measure_query, judge_query),
}


def _medians(values: Values) -> dict[str, float]:
    return {name: statistics.median(found) for name, found in values.items() if found}


def merged(old: Any, new: Any) -> Any:
    """Return both: lists one after the other, dicts key by key, anything else the new one."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: merged(old.get(key), new.get(key, old.get(key))) for key in {**old, **new}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    return new


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Data management against stock.")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--repeat", type=int, default=1, help="rounds of whole runs")
    parser.add_argument("--quanta", type=int, default=QUANTA, help="of whole runs")
    parser.add_argument("--pipetask-quanta", type=int, default=MORE_QUANTA, help="of whole runs by pipetask")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help="of whole runs")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"middleware-{datetime.now(UTC):%Y-%m-%d}.json"
    for name in options.only:
        measure, judge = SECTIONS[name]
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(prefix="middleware") as scratch:
            facts = measure(Path(scratch), options)
        result = json.loads(path.read_text()) if path.is_file() else {"what": "data management", "sections": {}}
        facts = merged(result["sections"].get(name, {}).get("facts"), facts | {"load_at_start": [load]})
        section = {"computes": (measure.__doc__ or "").strip(), **judge(facts), "facts": facts}
        result["machine"], result["sections"][name] = machine_facts(), section
        path.write_text(json.dumps(rounded(result), indent=1) + "\n")
        print(json.dumps({name: rounded({key: value for key, value in section.items() if key != "facts"})}, indent=1))


if __name__ == "__main__":
    main()
