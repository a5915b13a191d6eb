"""What runs inside a batch job: the same runner of quanta as everywhere, with a guard beside it."""

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from etendue.faults import arm, fault_point
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.quantum_runner import QuantumRunner
from etendue.middleware.execution.worker import Job
from etendue.middleware.journal import QuantumOutcome

_LOOK_S = 0.5
_EXCESS = 97  # exit status of a worker whose quantum exceeded a limit


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a worker needs for one quantum.

    Parameters
    ----------
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph.
    lease : Path
        File whose content names the driver; workers of another driver end.
    driver : str
        That name.
    limits : Limits
        Of each quantum.
    job : Job
        Which one.
    faults, fired : str
        Faults to arm, as in the driver.
    """

    root: str
    graph_path: Path
    lease: Path
    driver: str
    limits: Limits
    job: Job
    faults: str = ""
    fired: str = ""

    @property
    def reason_path(self) -> Path:
        """File in which a worker says why it gave up the quantum."""
        return self.lease.with_name(f"{self.job.quantum_id}.reason")


class _Worker:
    """A runner that stays open in this process, and its guard."""

    def __init__(self, order: Order):
        self.order = order
        self.runner = QuantumRunner(order.root, order.graph_path, cache_bytes=order.limits.cache_bytes)
        self._began = 0.0
        arm(order.faults, order.fired)
        logging.getLogger().setLevel(logging.INFO)  # for the log dataset of each quantum
        threading.Thread(target=self._guard, daemon=True).start()

    def run(self, order: Order) -> QuantumOutcome:
        self.order, self._began = order, time.monotonic()
        fault_point("worker.before-quantum")
        job = order.job
        outcome = self.runner.run(job.quantum_id, retry=job.retry, attempt=job.attempt, shared=job.shared)
        self._began = 0.0
        fault_point("worker.after-outputs")
        return outcome

    def _guard(self) -> None:
        """End the process when nobody waits for it any more, or its quantum takes too much."""
        while True:
            time.sleep(_LOOK_S)
            order = self.order
            if _content(order.lease) != order.driver:
                os._exit(1)
            if self._began and order.limits.watched:
                reason = order.limits.excess(order.job.label, os.getpid(), time.monotonic() - self._began)
                if reason:
                    with suppress(OSError):
                        order.reason_path.write_text(reason)
                    os._exit(_EXCESS)


_workers: dict[tuple[str, Path, str], _Worker] = {}


def run_order(order: Order) -> QuantumOutcome:
    """Run one quantum; the graph and the Butler stay open for the next one.

    Parameters
    ----------
    order : Order
        What to do.

    Returns
    -------
    QuantumOutcome
    """
    key = order.root, order.graph_path, order.driver
    if key not in _workers:
        _workers.clear()
        _workers[key] = _Worker(order)
    return _workers[key].run(order)


def _content(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
