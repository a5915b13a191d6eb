"""Bring the quanta of a run through this process or a pool of workers, and write down how each of them ended."""

import heapq
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import networkx
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.errors import InputError
from etendue.log import get_logger
from etendue.middleware.data_ids import data_id_text
from etendue.middleware.derive import plain_data_id
from etendue.middleware.execution.admission import Admission
from etendue.middleware.execution.failures import WORTH_ANOTHER
from etendue.middleware.execution.interruption import Interruption, interruptions
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.lost_log import put_lost_log
from etendue.middleware.execution.pool import Lost, Running, WorkerPool
from etendue.middleware.execution.progress import Progress
from etendue.middleware.execution.quantum_runner import QuantumRunner
from etendue.middleware.execution.schedule import Schedule
from etendue.middleware.execution.shared_inputs import SharedInputs
from etendue.middleware.execution.worker import Job
from etendue.middleware.journal import FINISHED, Journal, QuantumOutcome
from etendue.middleware.sites.site import Site
from etendue.middleware.sites.site_pool import SitePool

_LOG = get_logger(__name__)
RESUME = "nothing is lost: make space or the disk writable, then run again with --resume"
_TICK_S = 0.5  # how often to look at the memory and to show what runs
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0  # before a quantum is tried again that something else failed


class Conductor:
    """Quanta of a run on their way.

    Parameters
    ----------
    root : Path
        Repository.
    journal : Journal
        Of the run; locked by the caller.
    graph : PredictedQuantumGraph
        Of the run.
    before : dict of str to QuantumOutcome
        Quanta that are finished already.
    limits : Limits
        Of each quantum.
    resume : bool
        Whether earlier attempts may have left outputs.
    admission : Admission
        What fits into the memory.
    progress : Progress
        Told after everything that happens.
    stop : callable
        Asked after every quantum; where it returns True nothing new is begun.
    site : Site, optional
        Where quanta run; this process and its workers by default.
    """

    def __init__(
        self, root: Path, journal: Journal, graph: PredictedQuantumGraph, before: dict[str, QuantumOutcome], *,
        limits: Limits, resume: bool, admission: Admission, progress: Progress,
        stop: Callable[[], bool] = lambda: False, site: Site | None = None,
    ):  # fmt: skip
        self.order = [str(quantum) for quantum in graph]  # by task in order of dependence, then by data ID
        self.outcomes = dict(before)
        self.stopped = ""
        self._root, self._journal, self._graph, self._resume = root, journal, graph, resume
        self._limits, self._admission, self._progress, self._stop = limits, admission, progress, stop
        self._site = site
        edges = networkx.relabel_nodes(graph.quantum_only_xgraph, str)
        self._schedule = Schedule(edges, self.order, before)
        self._shared = SharedInputs(graph)
        self._attempts: Counter[str] = Counter()
        self._failures = 0
        self._later: list[tuple[float, str]] = []
        self._interruption = Interruption()

    @property
    def unfinished(self) -> int:
        """Number of quanta that have no outcome."""
        return len(self.order) - len(self.outcomes)

    def run(self, workers: int) -> None:
        """Run everything that can run.

        Parameters
        ----------
        workers : int
            Processes; with 1 and without limits everything runs in this process.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C, or ``stop``; at the first request what runs comes to its end before.
        InputError
            The disk refuses.
        """
        if not len(self._schedule):
            return
        with interruptions() as self._interruption:
            if workers == 1 and not self._limits.watched and self._site is None:
                self._run_here()
            else:
                self._run_pool(min(workers, len(self._schedule)))
        if self._interruption.requested and len(self._schedule):
            raise KeyboardInterrupt

    # In this process

    def _run_here(self) -> None:
        path, cache_bytes = self._journal.graph_path, self._limits.cache_bytes
        with _captured_logs(), QuantumRunner(str(self._root), path, cache_bytes=cache_bytes) as runner:
            while not self._ending():
                quantum = self._schedule.next()
                if quantum is None:
                    if not self._wait():
                        return
                    continue
                job = self._job(quantum)
                self._progress.begin(Running(job, 0, time.time()))
                self._end(runner.run(quantum, retry=job.retry, attempt=job.attempt, shared=job.shared))

    def _wait(self) -> bool:
        """Sleep until a quantum is due that waits for another attempt; return whether there is one."""
        if not self._later:
            return False
        time.sleep(min(_TICK_S, max(0.0, self._later[0][0] - time.monotonic())))
        self._take_due()
        return True

    # In workers

    def _run_pool(self, size: int) -> None:
        pool = self._pool(size)
        try:
            while self._submit(pool) or pool.running or (self._later and not self._ending()):
                self._progress.look(pool.running)
                if not pool.running:
                    self._wait()
                for ended in pool.collect(_TICK_S if self._ticking else None):
                    self._admission.end(_quantum_of(ended), ended if isinstance(ended, QuantumOutcome) else None)
                    self._lose(ended) if isinstance(ended, Lost) else self._end(ended)
                self._take_due()
                self._relieve(pool)
        finally:
            pool.close()

    def _pool(self, size: int) -> WorkerPool | SitePool:
        root, path, scratch = str(self._root), self._journal.graph_path, self._journal.folder / "workers"
        if self._site is not None:
            return SitePool(self._site, root, path, self._journal.folder / "site", self._limits)
        modules = sorted({task.task_class.__module__ for task in self._graph.pipeline_graph.tasks.values()})
        return WorkerPool(root, path, size, modules, scratch=scratch, limits=self._limits)

    @property
    def _ticking(self) -> bool:
        return bool(self._later) or self._progress.shown or self._admission.total_mib is not None

    def _submit(self, pool: WorkerPool | SitePool) -> bool:
        """Give quanta to free workers; return whether any was given."""
        given = False
        while pool.free and not self._ending():
            kept = pool.kept_inputs()
            quantum = self._schedule.next(lambda quantum, kept=kept: self._merit(quantum, kept))  # type: ignore[misc]
            if quantum is None:
                return given
            job = self._job(quantum)
            self._admission.begin(quantum, job.label)
            pool.submit(job)
            given = True
        return given

    def _merit(self, quantum: str, kept: object) -> float | None:
        """Return how many of its inputs a worker has at hand; None where memory lacks."""
        if not self._admission.admits(quantum, self._label(quantum)):
            return None
        return float(len(self._shared.of(quantum) & kept)) if kept else 0.0  # type: ignore[operator]

    def _relieve(self, pool: WorkerPool | SitePool) -> None:
        """Take back the quantum that began last where the machine is nearly out of memory."""
        if not self._admission.pressed():
            return
        job = pool.withdraw_youngest()
        if job is not None:
            _LOG.warning("%s waits: the memory is nearly full", self._said(job.quantum_id))
            self._admission.end(job.quantum_id)
            self._admission.must_run_alone(job.quantum_id)
            self._attempts[job.quantum_id] -= 1
            self._schedule.give_back(job.quantum_id)

    # What becomes of them

    def _job(self, quantum: str) -> Job:
        retry = self._resume or self._attempts[quantum] > 0
        self._attempts[quantum] += 1
        shared = self._shared.of(quantum) if self._limits.cache_bytes else frozenset()
        return Job(quantum, self._label(quantum), retry, self._attempts[quantum], shared)

    def _lose(self, lost: Lost) -> None:
        job = lost.job
        outcome = replace(
            self._outcome(job.quantum_id, lost.reason), failure=lost.failure, where=lost.flight.where,
            attempt=job.attempt, wall_s=lost.wall_s, began=lost.began,
        )  # fmt: skip
        put_lost_log(self._root, self._graph, job.quantum_id, lost.flight, lost.reason)
        self._end(outcome, worth_another=lost.again)

    def _end(self, outcome: QuantumOutcome, *, worth_another: bool = True) -> None:
        if outcome.disk_trouble:  # every other quantum would fail for the same reason
            raise InputError(f"stopped: {outcome.disk_trouble}", source=self._root, remedy=RESUME)
        may_pass = worth_another and outcome.status == "failed" and outcome.failure in WORTH_ANOTHER
        if may_pass and self._attempts[outcome.quantum_id] <= self._limits.retries:
            self._try_again(outcome)
            return
        self._journal.append(outcome)
        self._set(outcome)
        if outcome.status in FINISHED:
            self._schedule.finish(outcome.quantum_id)
        else:
            self._fail(outcome)
        if self._stop():
            self._interruption.requested = True

    def _try_again(self, outcome: QuantumOutcome) -> None:
        quantum = outcome.quantum_id
        self._journal.append(outcome, again=True)
        _LOG.warning("%s is tried again: %s", self._said(quantum), outcome.message)
        if outcome.failure == "infrastructure":
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 4.0 ** (self._attempts[quantum] - 1))
            heapq.heappush(self._later, (time.monotonic() + wait_s, quantum))
            return
        if outcome.failure == "resource":
            self._admission.must_run_alone(quantum)
        self._schedule.give_back(quantum)

    def _take_due(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            self._schedule.give_back(heapq.heappop(self._later)[1])

    def _fail(self, outcome: QuantumOutcome) -> None:
        self._failures += 1
        _LOG.warning("%s failed: %s", self._said(outcome.quantum_id), outcome.message)
        for quantum in self._schedule.fail(outcome.quantum_id):
            self._set(replace(self._outcome(quantum, "something upstream failed"), status="skipped"))
        if self._failures == self._limits.max_failures and len(self._schedule):
            self.stopped = f"{self._failures} quanta failed: nothing more was begun"

    def _ending(self) -> bool:
        return bool(self.stopped) or self._interruption.requested or not len(self._schedule)

    def _set(self, outcome: QuantumOutcome) -> None:
        self.outcomes[outcome.quantum_id] = outcome
        self._progress.end(outcome)

    def _label(self, quantum: str) -> str:
        return str(self._graph.quantum_only_xgraph.nodes[uuid.UUID(quantum)]["task_label"])

    def _said(self, quantum: str) -> str:
        outcome = self._outcome(quantum, "")
        return f"{outcome.label} of {data_id_text(outcome.data_id)}"

    def _outcome(self, quantum: str, message: str) -> QuantumOutcome:
        node = self._graph.quantum_only_xgraph.nodes[uuid.UUID(quantum)]
        return QuantumOutcome(quantum, node["task_label"], plain_data_id(node["data_id"]), "failed", message)


def _quantum_of(ended: QuantumOutcome | Lost) -> str:
    return ended.job.quantum_id if isinstance(ended, Lost) else ended.quantum_id


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
