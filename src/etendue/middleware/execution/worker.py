"""One worker process: waits for quanta on a pipe and answers with their outcomes."""

import fcntl
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from etendue.faults import arm, fault_point
from etendue.middleware.execution.flight_log import FlightRecorder
from etendue.middleware.execution.quantum_runner import QuantumRunner
from etendue.processes import take_environment


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a quantum.

    Parameters
    ----------
    quantum_id, label : str
        Which one, of which task.
    retry : bool
        Whether an earlier attempt may have left outputs.
    attempt : int
        Number of the attempt in this run, from 1.
    shared : frozenset of UUID
        Inputs that other quanta read too.
    """

    quantum_id: str
    label: str
    retry: bool
    attempt: int = 1
    shared: frozenset[uuid.UUID] = frozenset()


def work(
    root: str, graph_path: Path, scratch: Path, cache_bytes: int, jobs: Connection, alive: Connection,
    environment: Mapping[str, str], faults: str = "", fired: str = "",
) -> None:  # fmt: skip
    """Serve quanta until the driver closes the pipe.

    Parameters
    ----------
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph.
    scratch : Path
        Folder for what the driver should know if this process dies.
    cache_bytes : int
        How much of the inputs that other quanta read too is kept.
    jobs : Connection
        Receives `Job`, sends `QuantumOutcome`.
    alive : Connection
        Silent pipe whose end tells that the driver is dead.
    environment : mapping
        Environment variables of the driver.
    faults, fired : str
        Faults to arm, as in the driver.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the driver decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # so does what a batch system sends
    _die_with_driver(alive)
    take_environment(environment)
    arm(faults, fired)
    (scratch / "cache").mkdir(exist_ok=True)  # of remote files: a folder of its own would stay after a kill
    os.environ.setdefault("DAF_BUTLER_CACHE_DIRECTORY_IF_UNSET", str(scratch / "cache"))
    logging.getLogger().setLevel(logging.INFO)  # for the log dataset of each quantum; nothing is printed
    recorder = FlightRecorder(scratch)
    with QuantumRunner(root, graph_path, cache_bytes=cache_bytes) as runner:
        while True:
            try:
                job: Job = jobs.recv()
            except EOFError:
                return
            recorder.begin()
            fault_point("worker.before-quantum")
            outcome = runner.run(job.quantum_id, retry=job.retry, attempt=job.attempt, shared=job.shared)
            fault_point("worker.after-outputs")
            jobs.send(outcome)


def _die_with_driver(alive: Connection) -> None:
    # An orphan would write into a run that somebody may already be resuming.
    if sys.platform == "linux":  # the kernel kills at once, even while a kernel of ours holds the interpreter
        fcntl.fcntl(alive, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(alive, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_wait_for_end, args=(alive,), daemon=True).start()


def _wait_for_end(alive: Connection) -> None:
    try:
        alive.recv()
    except (EOFError, OSError):
        os._exit(1)
