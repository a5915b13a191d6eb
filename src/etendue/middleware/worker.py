"""One worker process: waits for quanta on a pipe and answers with their outcomes."""

import logging
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from etendue.middleware.quantum_runner import QuantumRunner


def work(root: str, graph_path: Path, jobs: Connection, alive: Connection) -> None:
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
    """
    threading.Thread(target=_die_with_driver, args=(alive,), daemon=True).start()
    logging.getLogger().setLevel(logging.INFO)  # for the log dataset of each quantum; nothing is printed
    runner = QuantumRunner(root, graph_path)
    while True:
        try:
            quantum_id, retry = jobs.recv()
        except (EOFError, KeyboardInterrupt):
            return
        jobs.send(runner.run(quantum_id, retry=retry))


def _die_with_driver(alive: Connection) -> None:
    # An orphan would write into a run that somebody may already be resuming.
    try:
        alive.recv()
    except (EOFError, OSError):
        os._exit(1)
