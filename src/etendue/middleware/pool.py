"""Persistent worker processes; a killed one costs its quantum and is replaced."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from etendue.middleware.journal import QuantumOutcome
from etendue.middleware.worker import work

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS")
_SINGLE_THREAD = dict.fromkeys(_THREADS, "1")


class _Worker:
    def __init__(self, context: Any, root: str, graph_path: Path):
        self.jobs, theirs = context.Pipe()
        alive, self._alive = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(root, graph_path, theirs, alive), daemon=True)
        self.process.start()
        theirs.close()
        alive.close()
        self.quantum_id: str | None = None

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
    """

    def __init__(self, root: str, graph_path: Path, size: int, preload: Sequence[str] = ()):
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["etendue.middleware.worker", *preload])
        self._arguments = (root, graph_path)
        self._workers: list[_Worker] = []
        self._size = size

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
        worker.quantum_id = quantum_id
        try:
            worker.jobs.send((quantum_id, retry))
        except OSError:  # it died while idle: nothing is lost
            self._drop(worker)
            self.submit(quantum_id, retry=retry)

    def collect(self) -> list[QuantumOutcome | tuple[str, str]]:
        """Wait until something ends.

        Returns
        -------
        list
            Outcomes; ``(quantum_id, reason)`` for quanta whose worker died.
        """
        busy = {worker.jobs: worker for worker in self._workers if worker.quantum_id is not None}
        ended: list[QuantumOutcome | tuple[str, str]] = []
        for connection in wait(list(busy)):
            assert isinstance(connection, Connection)
            worker = busy[connection]
            try:
                ended.append(connection.recv())
                worker.quantum_id = None
            except (EOFError, OSError):
                worker.process.join(10)
                ended.append((str(worker.quantum_id), f"its worker died (exit code {worker.process.exitcode})"))
                self._drop(worker)
        return ended

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
