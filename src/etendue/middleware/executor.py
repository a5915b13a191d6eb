"""Run pipelines: graph, execution in this process or in a pool of workers, resume, registration."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import networkx
from lsst.daf.butler import Butler, CollectionType, DatasetRef
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from etendue.errors import InputError
from etendue.log import get_logger
from etendue.middleware.derive import plain_data_id
from etendue.middleware.journal import FINISHED, Journal, QuantumOutcome
from etendue.middleware.pipeline import check_pipeline, load_pipeline
from etendue.middleware.pool import WorkerPool
from etendue.middleware.quantum_runner import QuantumRunner, make_graph_butler
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.schedule import Schedule

_LOG = get_logger(__name__)
Record = Callable[[QuantumOutcome], None]


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
) -> RunReport:
    """Run a pipeline and register what it made.

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
        Name of the run inside ``output``.

    Returns
    -------
    RunReport
        Failed quanta are in the report, not raised.

    Raises
    ------
    InputError
        Bad pipeline, config or expression; no quanta; resuming with another pipeline than before.
    """
    begin = time.perf_counter()
    loaded = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline, overrides)
    description = {"pipeline": str(loaded), "inputs": list(inputs), "output": output, "where": where or ""}
    journal = _latest(repository, output) if resume else None
    if journal is None:
        run = f"{output}/{run_name or datetime.now(tz=UTC).strftime('%Y%m%dT%H%M%S%fZ')}"
        journal = _prepare(repository, loaded, run, description)
    elif journal.description() != description | {"run": journal.description()["run"]}:
        raise InputError(
            "the pipeline, inputs or expression differ from the run to be resumed",
            source=journal.description()["run"],
            remedy="start a new run instead of resuming",
        )
    run = str(journal.description()["run"])
    with journal.locked():
        graph = PredictedQuantumGraph.read_execution_quanta(str(journal.graph_path))
        outcomes, executed = _execute(repository, journal, graph, workers, resume=resume, progress=progress)
        _register(repository, journal, graph, outcomes)
    repository.butler.registry.refresh()  # it does not see what its clones registered
    return RunReport(run, output, tuple(outcomes.values()), time.perf_counter() - begin, executed)


def _latest(repository: Repository, output: str) -> Journal | None:
    journals = [Journal(path.parent) for path in repository.runs_folder.rglob("run.json")]
    of_output = [j for j in journals if j.description()["output"] == output]
    return max(of_output, key=lambda j: (j.folder / "run.json").stat().st_mtime_ns, default=None)


def _prepare(repository: Repository, pipeline: Pipeline, run: str, description: dict[str, Any]) -> Journal:
    journal = Journal(repository.runs_folder / run)
    if journal.exists:
        raise InputError("a run of this name exists", value=run, remedy="choose another name, or resume it")
    output, inputs = description["output"], description["inputs"]
    butler = repository.butler
    searched = [*(butler.collections.query(output, flatten_chains=True) if repository.has_collection(output) else ())]
    searched += [name for name in inputs if name not in searched]
    with repository.writing(run=run, collections=searched) as writer:
        graph = _build(pipeline, writer, run, description, journal)
        graph.pipeline_graph.register_dataset_types(writer)
        writer.collections.register(output, CollectionType.CHAINED)
        writer.collections.redefine_chain(output, [run, *(name for name in searched if name != run)])
        graph.init_output_run(writer, existing=False)
    journal.prepare(description | {"run": run})
    return journal


def _build(
    pipeline: Pipeline, butler: Butler, run: str, description: dict[str, Any], journal: Journal
) -> PredictedQuantumGraph:
    pipeline_graph = check_pipeline(pipeline)
    try:
        builder = AllDimensionsQuantumGraphBuilder(pipeline_graph, butler, where=description["where"], output_run=run)
        metadata = {"data_query": description["where"]}
        components = builder.finish(output=description["output"], metadata=metadata, attach_datastore_records=True)
    except Exception as error:  # Rubin raises many types for bad expressions and missing inputs
        raise InputError(f"cannot build the graph: {error}", remedy="check the inputs and the expression") from error
    if not components.quantum_datasets:
        raise InputError(
            "nothing to do: no data match",
            value=description["where"] or description["inputs"],
            remedy="check the input collections and the expression",
        )
    journal.folder.mkdir(parents=True, exist_ok=True)
    components.write(str(journal.graph_path))
    return components.assemble()


def _execute(
    repository: Repository,
    journal: Journal,
    graph: PredictedQuantumGraph,
    workers: int,
    *,
    resume: bool,
    progress: bool,
) -> tuple[dict[str, QuantumOutcome], int]:
    order = [str(quantum) for quantum in graph]  # by task in order of dependence, then by data ID
    edges = networkx.relabel_nodes(graph.quantum_only_xgraph, str)
    before = {key: o for key, o in journal.outcomes().items() if o.status in FINISHED} if resume else {}
    schedule = Schedule(edges, order, before)
    outcomes = dict(before)
    _forget_failures(repository, journal, graph, set(order) - set(before))

    with _bar(len(order), len(before), progress) as advance:

        def record(outcome: QuantumOutcome) -> None:
            outcomes[outcome.quantum_id] = outcome
            advance(outcome)
            if outcome.status in FINISHED:
                journal.append(outcome)
                schedule.finish(outcome.quantum_id)
                return
            journal.append(outcome)
            _LOG.warning("%s %s failed: %s", outcome.label, outcome.data_id, outcome.message)
            for quantum_id in schedule.fail(outcome.quantum_id):
                outcomes[quantum_id] = _outcome(graph, quantum_id, "skipped", "something upstream failed")
                advance(outcomes[quantum_id])

        if len(schedule) and workers == 1:
            _run_here(QuantumRunner(repository.root, journal.graph_path), schedule, record, retry=resume)
        elif len(schedule):
            _run_pool(repository, journal, graph, schedule, record, workers, retry=resume)
    executed = sum(o.status != "skipped" for o in outcomes.values()) - len(before)
    return {key: outcomes[key] for key in order}, executed


def _run_here(runner: QuantumRunner, schedule: Schedule, record: Record, *, retry: bool) -> None:
    with _captured_logs():
        while (quantum_id := schedule.next()) is not None:
            record(runner.run(quantum_id, retry=retry))


def _run_pool(
    repository: Repository,
    journal: Journal,
    graph: PredictedQuantumGraph,
    schedule: Schedule,
    record: Record,
    workers: int,
    *,
    retry: bool,
) -> None:
    modules = sorted({task.task_class.__module__ for task in graph.pipeline_graph.tasks.values()})
    pool = WorkerPool(repository.root, journal.graph_path, min(workers, len(schedule)), modules)
    try:
        while len(schedule):
            while pool.free and (quantum_id := schedule.next()) is not None:
                pool.submit(quantum_id, retry=retry)
            for ended in pool.collect():
                record(ended if isinstance(ended, QuantumOutcome) else _outcome(graph, ended[0], "failed", ended[1]))
    finally:
        pool.close()


def _outcome(graph: PredictedQuantumGraph, quantum_id: str, status: Any, message: str) -> QuantumOutcome:
    node = graph.quantum_only_xgraph.nodes[uuid.UUID(quantum_id)]
    return QuantumOutcome(quantum_id, node["task_label"], plain_data_id(node["data_id"]), status, message)


def _forget_failures(
    repository: Repository, journal: Journal, graph: PredictedQuantumGraph, unfinished: set[str]
) -> None:
    # Logs of failed quanta were registered; their files are about to be written anew.
    known = journal.registered()
    stale = [ref for ref in _output_refs(graph, unfinished) if str(ref.id) in known] if known else []
    if stale:
        with repository.writing() as writer:
            writer.pruneDatasets(stale, disassociate=True, unstore=True, purge=True)


def _output_refs(graph: PredictedQuantumGraph, quanta: set[str]) -> list[DatasetRef]:
    built = graph.build_execution_quanta([uuid.UUID(quantum) for quantum in sorted(quanta)])
    return [ref for quantum in built.values() for refs in quantum.outputs.values() for ref in refs]


def _register(
    repository: Repository, journal: Journal, graph: PredictedQuantumGraph, outcomes: dict[str, QuantumOutcome]
) -> None:
    known = journal.registered()
    refs = []
    for key, outcome in outcomes.items():
        if outcome.status == "failed" or not known.issuperset(outcome.outputs):
            wanted = set(outcome.outputs)
            refs += [
                ref
                for ref in _output_refs(graph, {key})
                if str(ref.id) in wanted or (outcome.status == "failed" and ref.datasetType.name.endswith("_log"))
            ]
    if refs:
        with repository.writing() as writer:
            source = make_graph_butler(repository.root, graph)
            transferred = writer.transfer_from(source, refs, transfer="auto", skip_missing=True)
        journal.mark_registered({str(ref.id) for ref in transferred})


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
