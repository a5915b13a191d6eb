"""Work of the middleware benchmark, each in a process of its own: ``python middleware_sides.py WORK FOLDER ...``.

The last line of the output is JSON.
"""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from executor_sides import INPUTS, WORKERS, empty_pipeline, fill, give_file, insert_exposures
from hollow_survey import INPUTS as HOLLOW_INPUTS
from hollow_survey import hollow_pipeline, make_hollow_survey

_WHERE = "instrument = 'simcam9' AND skymap = 'field'"
_OUTPUT = "hollow/out"
_MANY_DETECTORS = 10


def make_empty(folder: str, quanta: str) -> dict[str, Any]:
    """Make a repository for empty quanta."""
    fill(Path(folder), int(quanta))
    return {}


def make_hollow(folder: str, visits: str) -> dict[str, Any]:
    """Make a hollow survey."""
    make_hollow_survey(Path(folder), int(visits))
    return {}


def make_many(folder: str, datasets: str) -> dict[str, Any]:
    """Make a repository with many datasets of one type."""
    from etendue.middleware.repository import Repository

    repository, exposures = Repository.create(folder), int(datasets) // _MANY_DETECTORS
    insert_exposures(repository, exposures, detectors=_MANY_DETECTORS)
    data_ids = [
        {"instrument": "none", "exposure": exposure, "detector": detector}
        for exposure in range(1, exposures + 1)
        for detector in range(_MANY_DETECTORS)
    ]
    dimensions = ("instrument", "exposure", "detector")
    give_file(repository, Path(folder) / "nothing.json", "number", dimensions, data_ids, INPUTS[0])
    return {}


def ours(folder: str, quanta: str, name: str) -> dict[str, Any]:
    """Build, run and register empty quanta in two workers."""
    from etendue.middleware.execution.executor import run_pipeline
    from etendue.middleware.repository import Repository

    report = run_pipeline(
        Repository.open(folder), empty_pipeline(), inputs=INPUTS, output=f"ours/{name}", where=_first(quanta),
        workers=WORKERS, progress=False,
    )  # fmt: skip
    return {"succeeded": report.counts["succeeded"]}


def stock(folder: str, quanta: str, name: str) -> dict[str, Any]:
    """Build, run and register empty quanta in this process, by Rubin's executor."""
    from lsst.daf.butler import Butler
    from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor

    run = f"stock/{name}"
    with Butler.from_config(folder, collections=INPUTS, run=run, writeable=True) as butler:
        executor = SeparablePipelineExecutor(butler)
        graph = executor.build_quantum_graph(empty_pipeline(), _first(quanta))
        executor.pre_execute_qgraph(graph, register_dataset_types=True)
        executor.run_pipeline(graph)
        made = butler.query_datasets("echo", collections=run, limit=None)
    return {"succeeded": len(made)}


def build(folder: str) -> dict[str, Any]:
    """Build the graph of a hollow survey: plan, signatures, file."""
    from etendue.middleware.changes import plan_run
    from etendue.middleware.repository import Repository

    repository, pipeline = Repository.open(folder), hollow_pipeline()
    begin, cpu = time.perf_counter(), time.process_time()
    plan = plan_run(
        repository, pipeline, f"{_OUTPUT}/x", inputs=HOLLOW_INPUTS, output=_OUTPUT, where=_WHERE, reuse=True
    )
    assert plan.components is not None
    path = Path(folder) / "graph.qg"
    plan.components.write(str(path))
    plan.signatures.save(Path(folder))
    return {
        "quanta": sum(plan.changes.total.values()), "wall_s": time.perf_counter() - begin,
        "cpu_s": time.process_time() - cpu, "peak_mib": _peak_mib(), "file_mb": path.stat().st_size / 1e6,
    }  # fmt: skip


def run_hollow(folder: str, until: str) -> dict[str, Any]:
    """Run a hollow survey and die by SIGKILL after some quanta."""

    def kill(ended: int) -> bool:
        if ended >= int(until):
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    return _run_hollow(folder, kill, resume=False)


def resume_hollow(folder: str) -> dict[str, Any]:
    """Resume, and tell when it was decided what to run; stop after the first quantum."""
    return _run_hollow(folder, lambda ended: True, resume=True)


def _run_hollow(folder: str, stop: Callable[[int], bool], *, resume: bool) -> dict[str, Any]:
    from etendue.middleware.execution.conductor import Conductor
    from etendue.middleware.execution.executor import run_pipeline
    from etendue.middleware.repository import Repository

    facts: dict[str, Any] = {}
    ended = iter(range(1, 10**9))
    begin, cpu, conduct = time.perf_counter(), time.process_time(), Conductor.run

    def run(self: Any, *arguments: Any) -> None:
        facts.update(wall_s=time.perf_counter() - begin, cpu_s=time.process_time() - cpu)
        facts.update(quanta=len(self.order), finished=len(self.outcomes))
        conduct(self, *arguments)

    Conductor.run = run  # type: ignore[method-assign]
    with suppress(KeyboardInterrupt):
        run_pipeline(
            Repository.open(folder), hollow_pipeline(), inputs=HOLLOW_INPUTS, output=_OUTPUT, where=_WHERE,
            workers=WORKERS, progress=False, reuse=True, resume=resume, stop=lambda: stop(next(ended)),
        )  # fmt: skip
    return facts | {"peak_mib": _peak_mib()}


def query(folder: str, repeat: str) -> dict[str, Any]:
    """Query all datasets of a type, ours and daf_butler's in turn."""
    from etendue.middleware.repository import Repository

    repository = Repository.open(folder, writeable=False)
    sides = {
        "etendue": lambda: repository.query("number", collections=INPUTS[0]),
        "daf_butler": lambda: repository.butler.query_datasets(
            "number", collections=INPUTS[0], limit=None, explain=False
        ),
    }
    for side in sides.values():
        side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    found = {}
    for _ in range(int(repeat)):
        for name, side in sides.items():
            cpu = time.process_time()
            found[name] = len(side())
            times[name].append(time.process_time() - cpu)
    assert len(set(found.values())) == 1
    return {"datasets": found["etendue"], "cpu_s": times}


def _first(quanta: str) -> str:
    return f"instrument = 'none' AND exposure <= {quanta}"


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


WORK = (make_empty, make_hollow, make_many, ours, stock, build, run_hollow, resume_hollow, query)

if __name__ == "__main__":
    [chosen] = [work for work in WORK if work.__name__ == sys.argv[1]]
    print(json.dumps(chosen(*sys.argv[2:])), flush=True)
