"""The workers of a site, with the face of a pool of processes of this machine."""

import time
import uuid
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from etendue.errors import InputError
from etendue.faults import armed
from etendue.log import get_logger
from etendue.middleware.execution.flight_log import Flight
from etendue.middleware.execution.limits import Limits
from etendue.middleware.execution.pool import Lost, Running
from etendue.middleware.execution.worker import Job
from etendue.middleware.journal import QuantumOutcome
from etendue.middleware.sites.parsl_config import EXECUTOR, parsl_config
from etendue.middleware.sites.remote_worker import Order, run_order
from etendue.middleware.sites.site import Site

_LOG = get_logger(__name__)


class SitePool:
    """Workers in the batch jobs of a site; the repository must be on a disk that its nodes see.

    Parameters
    ----------
    site : Site
        Where they run.
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph.
    folder : Path
        Gets scripts and logs of the jobs.
    limits : Limits
        Of each quantum.

    Raises
    ------
    InputError
        If Parsl is not installed.
    """

    def __init__(self, site: Site, root: str, graph_path: Path, folder: Path, limits: Limits):
        self._site, self._limits, self._folder = site, limits, folder
        self._root, self._graph_path = str(Path(root).resolve()) if "://" not in root else root, graph_path.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self._driver, self._lease = uuid.uuid4().hex, folder.resolve() / "driver"
        self._lease.write_text(self._driver)
        self._kernel = _started(site, folder)
        self._busy: dict[Future[QuantumOutcome], tuple[Running, Order]] = {}
        self._quiet_since = time.monotonic()

    @property
    def free(self) -> int:
        """Number of quanta that can be submitted now."""
        return self._site.workers - len(self._busy)

    @property
    def running(self) -> tuple[Running, ...]:
        """What was submitted and has not ended; some of it may still wait for its job."""
        return tuple(running for running, _ in self._busy.values())

    def kept_inputs(self) -> Collection[uuid.UUID]:
        """Return nothing: which worker gets a quantum is for the site to say."""
        return ()

    def submit(self, job: Job) -> None:
        """Give a quantum to the site.

        Parameters
        ----------
        job : Job
            What to do; `free` must be positive.
        """
        order = Order(self._root, self._graph_path, self._lease, self._driver, self._limits, job, *armed())
        order.reason_path.unlink(missing_ok=True)
        future: Future[QuantumOutcome] = self._kernel.submit(
            run_order, (order,), executors=[EXECUTOR], cache=False, ignore_for_cache=(), app_kwargs={}
        )
        self._busy[future] = Running(job, 0, time.time()), order

    def collect(self, timeout_s: float | None = None) -> list[QuantumOutcome | Lost]:
        """Wait until something ends.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait [s]; until something ends by default.

        Returns
        -------
        list
            Outcomes, and quanta whose worker or node was lost; nothing after the timeout.

        Raises
        ------
        InputError
            If the site cannot start jobs, or no worker answers for too long.
        """
        limit = self._site.start_timeout_s
        ended, _ = wait(list(self._busy), timeout_s if limit is None else min(timeout_s or limit, limit),
                        FIRST_COMPLETED)  # fmt: skip
        if ended:
            self._quiet_since = time.monotonic()
        elif limit is not None and time.monotonic() - self._quiet_since > limit:
            raise InputError(f"no worker of the site answered for {limit:.0f} s", source=self._folder,
                             remedy="look at the logs there, and at the queue of the site")  # fmt: skip
        return [self._ended(future) for future in ended]

    def withdraw_youngest(self) -> Job | None:
        """Return None: the memory of this machine is not that of the workers."""
        return None

    def close(self) -> None:
        """End all jobs; workers in the middle of a quantum end by themselves within a second."""
        self._lease.unlink(missing_ok=True)
        self._kernel.cleanup()

    def _ended(self, future: Future[QuantumOutcome]) -> QuantumOutcome | Lost:
        running, order = self._busy.pop(future)
        error = future.exception()
        if error is None:
            return future.result()
        name = type(error).__name__
        if name not in ("WorkerLost", "ManagerLost"):
            raise InputError(f"the site cannot run quanta: {name}: {' '.join(str(error).split())}",
                             source=self._folder, remedy="look at the logs there") from error  # fmt: skip
        wall_s, empty = time.time() - running.began, Flight((), "")
        if order.reason_path.is_file():
            return Lost(running.job, "resource", order.reason_path.read_text(), False, empty, wall_s, running.began)
        _LOG.warning("%s: %s", running.job.label, error)
        return Lost(running.job, "crash", str(error), True, empty, wall_s, running.began)


def _started(site: Site, folder: Path) -> Any:
    config = parsl_config(site, folder)  # says what to do where Parsl is missing
    from parsl.dataflow.dflow import DataFlowKernel

    return DataFlowKernel(config)
