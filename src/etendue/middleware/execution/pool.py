"""Persistent worker processes; a killed one costs an attempt at its quantum and is replaced."""

import os
import shutil
import time
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from etendue.faults import armed
from etendue.middleware.execution.failures import oom_kills, why_it_died
from etendue.middleware.execution.flight_log import Flight, ask_for_stack, recover
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.worker import Job, work
from etendue.middleware.journal import Failure, QuantumOutcome

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS")
_REMEMBERED = 512  # shared inputs per worker, the last ones
_SINGLE_THREAD = dict.fromkeys(_THREADS, "1")


@dataclass(frozen=True, slots=True)
class Lost:
    """A quantum that ended with its worker.

    Parameters
    ----------
    job : Job
        Which attempt at which one.
    failure : str
        What kind of failure it was.
    reason : str
        Why, in one line.
    again : bool
        Whether another attempt makes sense: the worker died of something else than a limit.
    flight : Flight
        What the worker had written.
    wall_s : float
        How long it had run [s].
    began : float
        When it began [s since 1970, UTC].
    """

    job: Job
    failure: Failure
    reason: str
    again: bool
    flight: Flight
    wall_s: float
    began: float


@dataclass(frozen=True, slots=True)
class Running:
    """A quantum that a worker is busy with.

    Parameters
    ----------
    job : Job
        Which attempt at which one.
    process_id : int
        The worker.
    began : float
        When it began [s since 1970, UTC].
    """

    job: Job
    process_id: int
    began: float


class _Worker:
    def __init__(self, context: Any, *arguments: Any):
        self.jobs, theirs = context.Pipe()
        alive, self._alive = context.Pipe(duplex=False)
        self.process = context.Process(
            target=work, args=(*arguments, theirs, alive, dict(os.environ), *armed()), daemon=True
        )
        self.process.start()
        theirs.close()
        alive.close()
        self.job: Job | None = None
        self.began = self._clock = 0.0
        self.kept: OrderedDict[uuid.UUID, None] = OrderedDict()

    @property
    def process_id(self) -> int:
        return self.process.pid or 0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._clock

    def send(self, job: Job) -> None:
        self.job, self.began, self._clock = job, time.time(), time.monotonic()
        for dataset in job.shared:
            self.kept[dataset] = None
            self.kept.move_to_end(dataset)
        while len(self.kept) > _REMEMBERED:
            self.kept.popitem(last=False)
        self.jobs.send(job)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        self.jobs.close()
        self._alive.close()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class WorkerPool:
    """Workers that each hold one open graph and Butler.

    Parameters
    ----------
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph.
    size : int
        Number of processes.
    preload : sequence of str
        Modules imported once, before the workers are forked.
    scratch : Path
        Folder for what workers leave when they die; it is made, and deleted in the end.
    limits : Limits, optional
        Of each quantum.
    """

    def __init__(
        self, root: str, graph_path: Path, size: int, preload: Sequence[str] = (), *, scratch: Path,
        limits: Limits | None = None,
    ):  # fmt: skip
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["etendue.middleware.execution.worker", *preload])
        self._limits = limits or Limits()
        self._scratch = scratch
        shutil.rmtree(scratch, ignore_errors=True)  # of a driver that was killed
        scratch.mkdir(parents=True)
        self._arguments = (root, graph_path, scratch, self._limits.cache_bytes)
        self._workers: list[_Worker] = []
        self._size = size
        self._oom_kills = oom_kills()

    @property
    def free(self) -> int:
        """Number of quanta that can be submitted now."""
        return self._size - len(self._busy())

    @property
    def running(self) -> tuple[Running, ...]:
        """What the workers are busy with."""
        return tuple(Running(w.job, w.process_id, w.began) for w in list(self._workers) if w.job is not None)

    @property
    def process_ids(self) -> list[int]:
        """Process IDs of the living workers."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def kept_inputs(self) -> Collection[uuid.UUID]:
        """Return the shared inputs that the worker which gets the next quantum has read lately."""
        worker = self._idle()
        return worker.kept.keys() if worker is not None else ()

    def submit(self, job: Job) -> None:
        """Give a quantum to an idle worker, which is started when needed.

        Parameters
        ----------
        job : Job
            What to do; `free` must be positive.
        """
        worker = self._idle() or self._start()
        try:
            worker.send(job)
        except OSError:  # it died while idle: nothing is lost
            self._drop(worker)
            self.submit(job)

    def collect(self, timeout_s: float | None = None) -> list[QuantumOutcome | Lost]:
        """Wait until something ends.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait [s]; until something ends by default.

        Returns
        -------
        list
            Outcomes; quanta whose worker died or was killed because it exceeded a limit; nothing after the timeout.
        """
        busy = {worker.jobs: worker for worker in self._busy()}
        ended: list[QuantumOutcome | Lost] = []
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while busy and not ended:
            for connection in wait(list(busy), _earlier(self._limits.interval_s, end)):
                assert isinstance(connection, Connection)
                ended.append(self._receive(busy.pop(connection)))
            ended += self._stop_excessive(busy.values())
            if end is not None and time.monotonic() >= end:
                break
        return ended

    def withdraw_youngest(self) -> Job | None:
        """Kill the worker that began its quantum last, and return what it did; None where none is busy."""
        busy = self._busy()
        if not busy:
            return None
        youngest = min(busy, key=lambda worker: worker.elapsed_s)
        job = youngest.job
        youngest.kill()
        self._drop(youngest)
        return job

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is not None]

    def _idle(self) -> _Worker | None:
        return next((worker for worker in self._workers if worker.job is None), None)

    def _receive(self, worker: _Worker) -> QuantumOutcome | Lost:
        job, worker.job = worker.job, None
        try:
            return worker.jobs.recv()
        except (EOFError, OSError):
            assert job is not None
            worker.process.join(10)
            failure, reason = why_it_died(worker.process.exitcode, out_of_memory=oom_kills() > self._oom_kills)
            self._oom_kills = oom_kills()
            return self._lost(worker, job, failure, reason, again=True)

    def _stop_excessive(self, busy: Iterable[_Worker]) -> list[Lost]:
        stopped = []
        for worker in busy if self._limits.watched else ():
            job = worker.job
            assert job is not None
            if reason := self._limits.excess(job.label, worker.process_id, worker.elapsed_s):
                ask_for_stack(self._scratch, worker.process_id)
                worker.kill()
                stopped.append(self._lost(worker, job, "resource", reason, again=False))
        return stopped

    def _lost(self, worker: _Worker, job: Job, failure: Failure, reason: str, *, again: bool) -> Lost:
        process_id, elapsed_s = worker.process_id, worker.elapsed_s
        self._drop(worker)
        return Lost(job, failure, reason, again, recover(self._scratch, process_id), elapsed_s, worker.began)

    def close(self) -> None:
        """Stop all workers; those in the middle of a quantum are killed."""
        for worker in self._busy():
            worker.process.kill()
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self) -> _Worker:
        with single_threaded():
            worker = _Worker(self._context, *self._arguments)
        self._workers.append(worker)
        return worker

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.close()


def _earlier(interval_s: float | None, end: float | None) -> float | None:
    left = None if end is None else max(0.0, end - time.monotonic())
    return min((value for value in (interval_s, left) if value is not None), default=None)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let processes started inside use one thread each: the pool is the parallelism."""
    before = {name: os.environ.get(name) for name in _SINGLE_THREAD}
    os.environ.update(_SINGLE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
