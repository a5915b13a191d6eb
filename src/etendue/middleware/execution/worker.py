"""One worker process: waits for quanta on a pipe and answers with their outcomes."""

import fcntl
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from etendue.faults import arm, fault_point
from etendue.middleware.execution.quantum_runner import QuantumRunner


def work(root: str, graph_path: Path, jobs: Connection, alive: Connection, faults: str = "", fired: str = "") -> None:
    """Serve quanta until the driver closes the pipe.

    Parameters
    ----------
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph.
    jobs : Connection
        Receives ``(quantum_id, retry)``, sends `QuantumOutcome`.
    alive : Connection
        Silent pipe whose end tells that the driver is dead.
    faults, fired : str
        Faults to arm, as in the driver.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the driver decides
    _die_with_driver(alive)
    arm(faults, fired)
    logging.getLogger().setLevel(logging.INFO)  # for the log dataset of each quantum; nothing is printed
    runner = QuantumRunner(root, graph_path)
    while True:
        try:
            quantum_id, retry = jobs.recv()
        except EOFError:
            return
        fault_point("worker.before-quantum")
        outcome = runner.run(quantum_id, retry=retry)
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
