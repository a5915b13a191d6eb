"""Run pipelines: graph, execution in this process or in a pool of workers, resume, registration."""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx
from lsst.daf.butler import CollectionType
from lsst.pipe.base import Pipeline
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from etendue.disk import disk_trouble, whole_file
from etendue.errors import InputError, Interrupted
from etendue.faults import fault_point
from etendue.log import get_logger
from etendue.middleware.changes import Changes, current_outcomes, keep_products, own_collections, plan_run
from etendue.middleware.derive import plain_data_id
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.pool import Lost, WorkerPool
from etendue.middleware.execution.quantum_runner import QuantumRunner
from etendue.middleware.execution.schedule import Schedule
from etendue.middleware.journal import FINISHED, Journal, QuantumOutcome, Status
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.registration import forget_failures, register, remove_parts
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.runs import held_output, journals, latest, new_journal, next_number

_LOG = get_logger(__name__)
_RESUME = "nothing is lost: make space or the disk writable, then run again with --resume"


def run_pipeline(
    repository: Repository,
    pipeline: str | Path | Pipeline,
    *,
    inputs: Sequence[str],
    output: str,
    where: str | None = None,
    workers: int = 2,
    resume: bool = False,
    progress: bool = True,
    overrides: Sequence[str] = (),
    run_name: str | None = None,
    limits: Limits | None = None,
    reuse: bool = False,
    tell: Callable[[Changes], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunReport:
    """Run a pipeline and register what it made.

    Whatever ends it early (a kill, Ctrl-C, a full disk), ``resume=True`` finishes the same run: no quantum that was
    finished runs again.

    Parameters
    ----------
    repository : Repository
        Where the inputs are and the products go.
    pipeline : str, Path or Pipeline
        Shipped name, YAML path, or a loaded pipeline.
    inputs : sequence of str
        Collections searched in order, after the earlier runs of ``output``.
    output : str
        CHAINED collection; the new run ``<output>/<run_name or UTC time>`` becomes its first member.
    where : str, optional
        Data ID expression as in LSST's tools.
    workers : int
        Processes; with 1 everything runs in this process.
    resume : bool
        Finish the latest run of ``output`` if it exists: only quanta without complete outputs run.
    progress : bool
        Show a progress bar on terminals.
    overrides : sequence of str
        ``"label:field=value"``.
    run_name : str, optional
        Name of the run inside ``output``; the UTC time by default.
    limits : Limits, optional
        Time and memory of each quantum, and how often one whose worker died is tried again (once by default).
    reuse : bool
        Run only what changed since the earlier runs of ``output`` (configurations, inputs, overrides) and what is
        downstream of it; other products are taken from them, and products that are made no more disappear from
        ``output``. Where nothing changed, nothing runs.
    tell : callable, optional
        Called with the changes before anything runs.
    stop : callable, optional
        Asked after every quantum; where it returns True the run ends as with Ctrl-C, but between quanta.

    Returns
    -------
    RunReport
        Failed quanta are in the report, not raised.

    Raises
    ------
    InputError
        Bad pipeline, config or expression; no quanta; resuming with another pipeline than before; another process
        runs into ``output``; the disk is full or cannot be written.
    Interrupted
        Ctrl-C.
    """
    begin = time.perf_counter()
    loaded = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline, overrides)
    description = {"pipeline": str(loaded), "inputs": list(inputs), "output": output, "where": where or ""}
    try:
        with held_output(repository.runs_folder, output):
            journal = latest(repository.runs_folder, output) if resume else None
            if journal is None:
                fresh = new_journal(repository.runs_folder, output, run_name)
                journal = _prepare(repository, loaded, fresh, description, reuse, tell)
                if journal is None:
                    return _unchanged(repository, output, begin)
            else:
                _check_same(journal, description)
            with journal.locked():
                outcomes, executed = _run(repository, journal, workers, limits or Limits(), resume, progress, stop)
    except Exception as error:  # the database has errors of its own for a full disk
        if not (trouble := disk_trouble(error)) or isinstance(error, InputError):
            raise
        raise InputError(f"stopped: {trouble}", source=repository.path, remedy=_RESUME) from error
    repository.butler.registry.refresh()  # it does not see what its clones registered
    run = str(journal.description()["run"])
    return RunReport(run, output, tuple(outcomes.values()), time.perf_counter() - begin, executed)


def _check_same(journal: Journal, description: dict[str, Any]) -> None:
    before = journal.description()
    if any(before[key] != value for key, value in description.items()):
        raise InputError(
            "the pipeline, inputs or expression differ from the run to be resumed",
            source=before["run"],
            remedy="start a new run instead of resuming",
        )


def _prepare(
    repository: Repository,
    pipeline: Pipeline,
    journal: Journal,
    description: dict[str, Any],
    reuse: bool,
    tell: Callable[[Changes], None] | None,
) -> Journal | None:
    """Save the graph, then the description: from then on the run exists and can be resumed. None: nothing changed."""
    run = journal.folder.relative_to(repository.runs_folder).as_posix()
    plan = plan_run(
        repository, pipeline, run, inputs=description["inputs"], output=description["output"],
        where=description["where"], reuse=reuse,
    )  # fmt: skip
    if not plan.changes.total:
        raise InputError(
            "nothing to do: no data match",
            value=description["where"] or description["inputs"],
            remedy="check the input collections and the expression",
        )
    if tell is not None:
        tell(plan.changes)
    if plan.components is None:
        return None
    journal.folder.mkdir(parents=True, exist_ok=True)
    with whole_file(journal.graph_path, "graph") as part:
        plan.components.write(str(part))
    plan.signatures.save(journal.folder)
    if reuse:
        description = description | {"kept": sorted(plan.kept)}
    journal.prepare(description | {"run": run, "reuse": reuse, "number": next_number(repository.runs_folder)})
    return journal


def _unchanged(repository: Repository, output: str, begin: float) -> RunReport:
    """Return the report of a run that had nothing to do."""
    journal = latest(repository.runs_folder, output)
    assert journal is not None
    outcomes = current_outcomes(journals(repository.runs_folder), output)
    return RunReport(str(journal.description()["run"]), output, outcomes, time.perf_counter() - begin, 0)


def _run(
    repository: Repository,
    journal: Journal,
    workers: int,
    limits: Limits,
    resume: bool,
    progress: bool,
    stop: Callable[[], bool] | None,
) -> tuple[dict[str, QuantumOutcome], int]:
    graph = PredictedQuantumGraph.read_execution_quanta(str(journal.graph_path))
    _open_run(repository, journal, graph, resume)
    before = {key: o for key, o in journal.outcomes().items() if o.is_finished(repository.path)} if resume else {}
    execution = _Execution(repository, journal, graph, before, resume, stop or (lambda: False))
    try:
        execution.run(workers, limits, progress)
    except KeyboardInterrupt:
        n = sum(outcome.status in FINISHED for outcome in execution.outcomes.values())
        finished = f"{n} of {len(execution.order)} quanta of {journal.description()['output']} are finished"
        raise Interrupted(f"{finished}; 'etendue run' with --resume goes on") from None
    register(repository, journal, graph, execution.outcomes)
    executed = sum(o.status != "skipped" for o in execution.outcomes.values()) - len(before)
    return {key: execution.outcomes[key] for key in execution.order}, executed


def _open_run(repository: Repository, journal: Journal, graph: PredictedQuantumGraph, resume: bool) -> None:
    """Register the collections of the run, and write what every task writes once; doing it again changes nothing."""
    description = journal.description()
    run, output = description["run"], description["output"]
    earlier = own_collections(repository, output)
    searched = list(dict.fromkeys([*earlier, *description["inputs"]]))
    with repository.writing(run=run, collections=searched) as writer:
        fault_point("run.after-collection")
        graph.pipeline_graph.register_dataset_types(writer)
        writer.collections.register(output, CollectionType.CHAINED)
        if run not in searched and description.get("reuse"):
            kept = keep_products(repository, run, output, description["kept"])
            writer.collections.redefine_chain(output, [run, kept, *description["inputs"]])
        elif run not in searched:
            writer.collections.redefine_chain(output, [run, *searched])
        fault_point("run.after-chain")
        graph.init_output_run(writer, existing=resume)
        fault_point("run.after-init-outputs")
    if resume:
        remove_parts(repository, run, graph)


class _Execution:
    """Quanta of a run on their way through this process or a pool of workers."""

    def __init__(
        self,
        repository: Repository,
        journal: Journal,
        graph: PredictedQuantumGraph,
        before: dict[str, QuantumOutcome],
        resume: bool,
        stop: Callable[[], bool],
    ):
        self._stop = stop
        self.order = [str(quantum) for quantum in graph]  # by task in order of dependence, then by data ID
        self.outcomes = dict(before)
        self._root, self._journal, self._graph, self._resume = repository.root, journal, graph, resume
        edges = networkx.relabel_nodes(graph.quantum_only_xgraph, str)
        self._schedule = Schedule(edges, self.order, before)
        self._attempts: Counter[str] = Counter()
        self._advance: Callable[[QuantumOutcome], None] = lambda outcome: None
        forget_failures(repository, journal, graph, set(self.order) - set(before))

    def run(self, workers: int, limits: Limits, progress: bool) -> None:
        with _bar(len(self.order), len(self.outcomes), progress) as self._advance:
            if len(self._schedule) and workers == 1 and not limits.watched:
                self._run_here()
            elif len(self._schedule):
                self._run_pool(workers, limits)

    def _run_here(self) -> None:
        runner = QuantumRunner(self._root, self._journal.graph_path)
        with _captured_logs():
            while (quantum_id := self._schedule.next()) is not None:
                self._record(runner.run(quantum_id, retry=self._resume))

    def _run_pool(self, workers: int, limits: Limits) -> None:
        modules = sorted({task.task_class.__module__ for task in self._graph.pipeline_graph.tasks.values()})
        size = min(workers, len(self._schedule))
        pool = WorkerPool(self._root, self._journal.graph_path, size, modules, limits=limits)
        try:
            while len(self._schedule):
                while pool.free and (quantum_id := self._schedule.next()) is not None:
                    pool.submit(quantum_id, retry=self._resume)
                for ended in pool.collect():
                    if isinstance(ended, Lost):
                        self._try_again(ended, pool, limits)
                    else:
                        self._record(ended)
        finally:
            pool.close()

    def _try_again(self, lost: Lost, pool: WorkerPool, limits: Limits) -> None:
        failed = self._outcome(lost.quantum_id, "failed", lost.reason)
        self._attempts[lost.quantum_id] += 1
        if not lost.again or self._attempts[lost.quantum_id] > limits.retries:
            self._record(failed)
            return
        _LOG.warning("%s %s is tried again: %s", failed.label, failed.data_id, lost.reason)
        pool.submit(lost.quantum_id, retry=True)

    def _record(self, outcome: QuantumOutcome) -> None:
        if outcome.disk_trouble:  # every other quantum would fail for the same reason
            raise InputError(f"stopped: {outcome.disk_trouble}", source=self._root, remedy=_RESUME)
        self._journal.append(outcome)
        self.outcomes[outcome.quantum_id] = outcome
        self._advance(outcome)
        if outcome.status in FINISHED:
            self._schedule.finish(outcome.quantum_id)
        else:
            _LOG.warning("%s %s failed: %s", outcome.label, outcome.data_id, outcome.message)
            for quantum_id in self._schedule.fail(outcome.quantum_id):
                self.outcomes[quantum_id] = self._outcome(quantum_id, "skipped", "something upstream failed")
                self._advance(self.outcomes[quantum_id])
        if self._stop() and len(self._schedule):
            raise KeyboardInterrupt

    def _outcome(self, quantum_id: str, status: Status, message: str) -> QuantumOutcome:
        node = self._graph.quantum_only_xgraph.nodes[uuid.UUID(quantum_id)]
        return QuantumOutcome(quantum_id, node["task_label"], plain_data_id(node["data_id"]), status, message)


@contextmanager
def _bar(total: int, done: int, shown: bool) -> Iterator[Callable[[QuantumOutcome], None]]:
    columns = (
        TextColumn("{task.description:>20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not shown) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda outcome: bar.update(task, advance=1, description=outcome.label)


@contextmanager
def _captured_logs() -> Iterator[None]:
    # The log dataset of a quantum holds INFO lines; the caller's own handlers keep showing what they showed.
    root = logging.getLogger()
    level, handlers = root.level, [(handler, handler.level) for handler in root.handlers]
    for handler, own in handlers:
        handler.setLevel(max(own, level))
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler, own in handlers:
            handler.setLevel(own)
