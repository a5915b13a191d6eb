"""Persistent worker processes; a killed one costs an attempt at its quantum and is replaced."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from etendue.faults import armed
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.worker import work
from etendue.middleware.journal import QuantumOutcome

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS")
_SINGLE_THREAD = dict.fromkeys(_THREADS, "1")


@dataclass(frozen=True, slots=True)
class Lost:
    """A quantum that ended with its worker.

    Parameters
    ----------
    quantum_id : str
        Which one.
    reason : str
        Why, in one line.
    again : bool
        Whether another attempt makes sense: the worker died of something else than a limit.
    """

    quantum_id: str
    reason: str
    again: bool


class _Worker:
    def __init__(self, context: Any, root: str, graph_path: Path):
        self.jobs, theirs = context.Pipe()
        alive, self._alive = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(root, graph_path, theirs, alive, *armed()), daemon=True)
        self.process.start()
        theirs.close()
        alive.close()
        self.quantum_id: str | None = None
        self.began = 0.0

    def excess(self, limits: Limits) -> str:
        return limits.excess(self.process.pid or 0, time.monotonic() - self.began)

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
    limits : Limits
        Of each quantum.
    """

    def __init__(
        self, root: str, graph_path: Path, size: int, preload: Sequence[str] = (), *, limits: Limits | None = None
    ):
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["etendue.middleware.execution.worker", *preload])
        self._arguments = (root, graph_path)
        self._workers: list[_Worker] = []
        self._size = size
        self._limits = limits or Limits()

    @property
    def free(self) -> int:
        """Number of quanta that can be submitted now."""
        return self._size - sum(worker.quantum_id is not None for worker in self._workers)

    @property
    def process_ids(self) -> list[int]:
        """Process IDs of the living workers."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def submit(self, quantum_id: str, *, retry: bool) -> None:
        """Give a quantum to an idle worker, which is started when needed.

        Parameters
        ----------
        quantum_id : str
            Which one; `free` must be positive.
        retry : bool
            Whether an earlier attempt may have left outputs.
        """
        worker = next((w for w in self._workers if w.quantum_id is None), None) or self._start()
        worker.quantum_id, worker.began = quantum_id, time.monotonic()
        try:
            worker.jobs.send((quantum_id, retry))
        except OSError:  # it died while idle: nothing is lost
            self._drop(worker)
            self.submit(quantum_id, retry=retry)

    def collect(self) -> list[QuantumOutcome | Lost]:
        """Wait until something ends.

        Returns
        -------
        list
            Outcomes; quanta whose worker died or was killed because it exceeded a limit.
        """
        busy = {worker.jobs: worker for worker in self._workers if worker.quantum_id is not None}
        ended: list[QuantumOutcome | Lost] = []
        while not ended:
            for connection in wait(list(busy), self._limits.interval_s):
                assert isinstance(connection, Connection)
                ended.append(self._receive(busy.pop(connection)))
            ended += self._stop_excessive(busy.values())
        return ended

    def _receive(self, worker: _Worker) -> QuantumOutcome | Lost:
        quantum_id, worker.quantum_id = str(worker.quantum_id), None
        try:
            return worker.jobs.recv()
        except (EOFError, OSError):
            worker.process.join(10)
            self._drop(worker)
            return Lost(quantum_id, f"its worker died (exit code {worker.process.exitcode})", again=True)

    def _stop_excessive(self, busy: Iterable[_Worker]) -> list[Lost]:
        stopped = []
        for worker in busy if self._limits.watched else ():
            if reason := worker.excess(self._limits):
                worker.kill()
                self._drop(worker)
                stopped.append(Lost(str(worker.quantum_id), reason, again=False))
        return stopped

    def close(self) -> None:
        """Stop all workers; those in the middle of a quantum are killed."""
        for worker in self._workers:
            if worker.quantum_id is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def _start(self) -> _Worker:
        with single_threaded():
            worker = _Worker(self._context, *self._arguments)
        self._workers.append(worker)
        return worker

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.close()


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
