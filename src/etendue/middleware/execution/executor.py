"""Run pipelines: graph, execution in this process or in a pool of workers, resume, registration."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from lsst.daf.butler import CollectionType
from lsst.pipe.base import Pipeline
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.disk import disk_trouble, whole_file
from etendue.errors import InputError, Interrupted, NothingToDoError
from etendue.faults import fault_point
from etendue.middleware.changes import Changes, current_outcomes, keep_products, own_collections, plan_run
from etendue.middleware.datastores import stored_sizes
from etendue.middleware.derive import plain_data_id
from etendue.middleware.execution.admission import Admission, needs_of
from etendue.middleware.execution.conductor import RESUME, Conductor
from etendue.middleware.execution.forecast import Forecast
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.progress import Progress
from etendue.middleware.execution.replaced import remove_replaced
from etendue.middleware.journal import FINISHED, Journal, QuantumOutcome
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.registration import forget_failures, register, remove_parts
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.runs import held_output, journals, latest, new_journal, next_number
from etendue.middleware.sites.site import Site

_RECENT_RUNS = 3  # of which times and memory are expected again


@dataclass(frozen=True)
class RunOptions:
    """How a run goes about its quanta.

    Parameters
    ----------
    workers : int
        Processes; with 1 everything runs in this process.
    resume : bool
        Finish the latest run of the output if it exists: only quanta without complete outputs run.
    reuse : bool
        Run only what changed since the earlier runs of the output (configurations, inputs, overrides) and what is
        downstream of it; other products are taken from them, and products that are made no more disappear from the
        output. Where nothing changed, nothing runs.
    skip_existing : bool
        With ``reuse``: run only what no earlier run finished, whatever changed since.
    clobber : bool
        Delete what earlier runs made of the quanta that run: with ``resume`` the run starts over, without it the
        datasets that the new run replaces are deleted when it has come to its end without a failure.
    progress : bool
        Show how far the run is.
    limits : Limits
        Time and memory of each quantum, retries, and when to give up.
    stop : callable
        Asked after every quantum; where it returns True the run ends as with Ctrl-C.
    site : Site, optional
        Where quanta run, with workers of its own; this machine by default.
    """

    workers: int = 2
    resume: bool = False
    reuse: bool = False
    skip_existing: bool = False
    clobber: bool = False
    progress: bool = True
    limits: Limits = field(default_factory=Limits)
    stop: Callable[[], bool] = lambda: False
    site: Site | None = None


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
    skip_existing: bool = False,
    clobber: bool = False,
    tell: Callable[[Changes], None] | None = None,
    stop: Callable[[], bool] | None = None,
    site: Site | None = None,
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
    workers, resume, progress, reuse, skip_existing, clobber, limits, stop, site
        See `RunOptions`.
    overrides : sequence of str
        ``"label:field=value"``.
    run_name : str, optional
        Name of the run inside ``output``; the UTC time by default.
    tell : callable, optional
        Called with the changes before anything runs.

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
        Ctrl-C, or ``stop``: what is finished is registered.
    """
    begin = time.perf_counter()
    loaded = pipeline if isinstance(pipeline, Pipeline) else load_pipeline(pipeline, overrides)
    description = {"pipeline": str(loaded), "inputs": list(inputs), "output": output, "where": where or ""}
    options = RunOptions(
        workers, resume, reuse, skip_existing, clobber, progress, limits or Limits(), stop or (lambda: False), site
    )
    options.limits.require_tasks(loaded.task_labels)
    graph = None
    try:
        with held_output(repository.runs_folder, output):
            journal = latest(repository.runs_folder, output) if resume else None
            if journal is None:
                journal = new_journal(repository.runs_folder, output, run_name)
                graph = _prepare(repository, loaded, journal, description, options, tell)
                if graph is None:
                    return _unchanged(repository, output, begin)
            else:
                _check_same(journal, description)
            with journal.locked():
                return _run(repository, journal, graph, options, begin)
    except Exception as error:  # the database has errors of its own for a full disk
        if not (trouble := disk_trouble(error)) or isinstance(error, InputError):
            raise
        raise InputError(f"stopped: {trouble}", source=repository.path, remedy=RESUME) from error
    finally:
        repository.butler.registry.refresh()  # it does not see what its clones registered


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
    options: RunOptions,
    tell: Callable[[Changes], None] | None,
) -> PredictedQuantumGraph | None:
    """Save the graph, then the description: from then on the run exists and can be resumed. None: nothing changed."""
    run = journal.folder.relative_to(repository.runs_folder).as_posix()
    plan = plan_run(
        repository, pipeline, run, inputs=description["inputs"], output=description["output"],
        where=description["where"], reuse=options.reuse, skip_existing=options.skip_existing,
    )  # fmt: skip
    if not plan.changes.total:
        raise NothingToDoError(
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
    plan.changes.save(journal.folder)
    if options.reuse:
        description = description | {"kept": sorted(plan.kept)}
    number = next_number(repository.runs_folder)
    journal.prepare(description | {
        "run": run, "reuse": options.reuse, "number": number, "quanta": sum(plan.changes.counts.values()),
        "began": time.time(),
    })  # fmt: skip
    return plan.graph


def _unchanged(repository: Repository, output: str, begin: float) -> RunReport:
    """Return the report of a run that had nothing to do."""
    journal = latest(repository.runs_folder, output)
    assert journal is not None
    outcomes = current_outcomes(journals(repository.runs_folder), output)
    return RunReport(str(journal.description()["run"]), output, outcomes, time.perf_counter() - begin, 0)


def _run(
    repository: Repository, journal: Journal, graph: PredictedQuantumGraph | None, options: RunOptions, begin: float
) -> RunReport:
    if graph is None:
        graph = PredictedQuantumGraph.read_execution_quanta(str(journal.graph_path))
    _open_run(repository, journal, graph, options.resume)
    again = options.resume and not options.clobber
    before = _finished(repository, journal) if again else {}
    forget_failures(repository, journal, graph, {str(key) for key in graph} - set(before))
    conductor = _conduct(repository, journal, graph, before, options)
    register(repository, journal, graph, conductor.outcomes)
    description = journal.description()
    ordered = tuple(conductor.outcomes[key] for key in conductor.order if key in conductor.outcomes)
    report = RunReport(
        str(description["run"]), str(description["output"]), ordered, time.perf_counter() - begin,
        sum(o.status != "skipped" for o in ordered) - len(before), conductor.stopped, conductor.unfinished,
    )  # fmt: skip
    if options.clobber and report.ok:
        return replace(report, removed=remove_replaced(repository, report.output))
    return report


def _finished(repository: Repository, journal: Journal) -> dict[str, QuantumOutcome]:
    """Return the quanta that need not run again."""
    stored = stored_sizes(repository.butler, str(journal.description()["run"]))
    return {key: outcome for key, outcome in journal.outcomes().items() if outcome.is_finished(stored)}


def _conduct(
    repository: Repository, journal: Journal, graph: PredictedQuantumGraph, before: dict[str, QuantumOutcome],
    options: RunOptions,
) -> Conductor:  # fmt: skip
    """Run what is left; on Ctrl-C register what is finished."""
    output = str(journal.description()["output"])
    known = list(before.values()) + _recent_outcomes(repository, output)
    nodes = graph.quantum_only_xgraph.nodes
    left = Counter(nodes[key]["task_label"] for key in graph if str(key) not in before)
    workers = options.workers if options.site is None else options.site.workers
    progress = Progress(
        output, total=len(graph), done=len(before), workers=workers, forecast=Forecast(left, known),
        path=journal.running_path, data_id=lambda key: plain_data_id(nodes[UUID(key)]["data_id"]),
        shown=options.progress,
    )  # fmt: skip
    conductor = Conductor(
        repository.path, journal, graph, before, limits=options.limits, resume=options.resume, progress=progress,
        admission=Admission(options.limits.total_memory_mib, needs_of(known), here=options.site is None),
        stop=options.stop, site=options.site,
    )  # fmt: skip
    try:
        with progress.live():
            conductor.run(options.workers)
    except KeyboardInterrupt:
        n = sum(outcome.status in FINISHED for outcome in conductor.outcomes.values())
        register(repository, journal, graph, conductor.outcomes)
        finished = f"{n} of {len(conductor.order)} quanta of {output} are finished"
        raise Interrupted(f"{finished}; 'etendue run' with --resume goes on") from None
    return conductor


def _recent_outcomes(repository: Repository, output: str) -> list[QuantumOutcome]:
    same = [journal for journal in journals(repository.runs_folder) if journal.description()["output"] == output]
    return [outcome for journal in same[:_RECENT_RUNS] for outcome in journal.outcomes().values()]


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
