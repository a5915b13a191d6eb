"""One run, as its files tell: nothing here takes part in the run."""

import fcntl
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import networkx
from lsst.pipe.base.pipeline_graph import TaskImportMode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.errors import InputError
from etendue.middleware.journal import FINISHED, Journal, QuantumOutcome
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals

RunState = Literal["running", "finished", "failed", "unfinished"]
_SHORT = 8
_COUNTED = ("succeeded", "defeated", "no work", "failed", "skipped", "running", "waiting")


@dataclass(frozen=True, slots=True)
class PlannedQuantum:
    """A quantum of a graph.

    Parameters
    ----------
    quantum_id, label : str
        Which one, of which task.
    data_id : dict
        Required dimensions.
    """

    quantum_id: str
    label: str
    data_id: dict[str, int | str]

    @property
    def short_id(self) -> str:
        """The end of its ID, where the IDs of a run differ."""
        return short_id(self.quantum_id)


class RunView:
    """A run of a repository.

    Parameters
    ----------
    journal : Journal
        Of the run.
    """

    def __init__(self, journal: Journal):
        self.journal = journal
        self.description = journal.description()

    @property
    def run(self) -> str:
        """Name of its RUN collection."""
        return str(self.description["run"])

    @property
    def output(self) -> str:
        """Chain of the runs."""
        return str(self.description["output"])

    @cached_property
    def outcomes(self) -> dict[str, QuantumOutcome]:
        """How quanta ended, by quantum."""
        return self.journal.outcomes()

    @cached_property
    def now(self) -> dict[str, Any]:
        """What it does now, as `Progress` writes it; empty unless it runs."""
        if not self.is_running:
            return {}
        try:
            return dict(json.loads(self.journal.running_path.read_text()))
        except (OSError, ValueError):  # not written yet
            return {}

    @cached_property
    def is_running(self) -> bool:
        """Whether a process executes it."""
        try:
            with (self.journal.folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @cached_property
    def graph(self) -> networkx.DiGraph:
        """Quanta as nodes, from producer to consumer; nothing of their tasks is imported."""
        path = str(self.journal.graph_path)
        with PredictedQuantumGraph.open(path, import_mode=TaskImportMode.DO_NOT_IMPORT) as reader:
            reader.read_thin_graph()
            return reader.finish().quantum_only_xgraph

    def quanta(self) -> Iterator[PlannedQuantum]:
        """Give all quanta, in the order of the graph."""
        for key, node in self.graph.nodes.items():
            yield PlannedQuantum(str(key), str(node["task_label"]), dict(node["data_id"].required))

    @property
    def total(self) -> int:
        """Number of quanta."""
        return int(self.description.get("quanta") or len(self.graph))

    @cached_property
    def state(self) -> RunState:
        """Whether it runs, ended well, ended with failures, or was stopped."""
        if self.is_running:
            return "running"
        ended = Counter(outcome.status for outcome in self.outcomes.values())
        if sum(ended[status] for status in FINISHED) >= self.total:
            return "finished"
        return "failed" if ended["failed"] and not self._missing() else "unfinished"

    def _missing(self) -> bool:
        """Whether a quantum could still run: it has no outcome, and nothing upstream failed."""
        return any(self.status(quantum.quantum_id) == "waiting" for quantum in self.quanta())

    def status(self, quantum_id: str) -> str:
        """Return how a quantum ended, or ``running``, ``skipped``, ``waiting``.

        Parameters
        ----------
        quantum_id : str
            One of this run.

        Returns
        -------
        str
        """
        outcome = self.outcomes.get(quantum_id)
        if any(item["quantum"] == quantum_id for item in self.now.get("running", ())):
            return "running"
        if outcome is not None:
            return outcome.status
        return "skipped" if quantum_id in self._lost else "waiting"

    @cached_property
    def _lost(self) -> set[str]:
        """Everything downstream of failures."""
        failed = [UUID(key) for key, outcome in self.outcomes.items() if outcome.status == "failed"]
        found: set[UUID] = set()
        for key in failed:
            if key in self.graph and key not in found:
                found |= networkx.descendants(self.graph, key)
        return {str(key) for key in found}

    def roots(self, quantum_id: str) -> list[QuantumOutcome]:
        """Return the failures upstream of a quantum.

        Parameters
        ----------
        quantum_id : str
            One of this run.

        Returns
        -------
        list of QuantumOutcome
        """
        above = [str(key) for key in networkx.ancestors(self.graph, UUID(quantum_id))]
        return [self.outcomes[key] for key in above if key in self.outcomes and self.outcomes[key].status == "failed"]

    def upstream(self, quantum_id: str) -> list[str]:
        """Return the quanta whose products a quantum reads."""
        return [str(key) for key in self.graph.predecessors(UUID(quantum_id))]

    def downstream(self, quantum_id: str) -> int:
        """Return the number of quanta that need what a quantum makes."""
        return len(networkx.descendants(self.graph, UUID(quantum_id)))

    def tasks(self) -> list[dict[str, Any]]:
        """Return one row per task: quanta by status, times and memory so far."""
        counts: dict[str, Counter[str]] = {}
        for quantum in self.quanta():
            counts.setdefault(quantum.label, Counter())[self.status(quantum.quantum_id)] += 1
        return [self._row(label, counted) for label, counted in counts.items()]

    def _row(self, label: str, counted: Counter[str]) -> dict[str, Any]:
        own = [outcome for outcome in self.outcomes.values() if outcome.label == label]
        n = len(own) or 1
        return {
            "task": label, "quanta": counted.total(), **{status: counted[status] for status in _COUNTED},
            "mean_wall_s": sum(o.wall_s for o in own) / n, "mean_cpu_s": sum(o.cpu_s for o in own) / n,
            "memory_mib": max((o.memory_mb for o in own), default=0.0),
        }  # fmt: skip

    def problems(self) -> list[QuantumOutcome]:
        """Return the outcomes of quanta that failed or were defeated, failures first."""
        found = [outcome for outcome in self.outcomes.values() if outcome.status in ("failed", "defeated")]
        return sorted(found, key=lambda outcome: outcome.status != "failed")

    def summary(self) -> dict[str, Any]:
        """Return the run as one row."""
        ended = Counter(outcome.status for outcome in self.outcomes.values())
        return {
            "output": self.output, "run": self.run, "state": self.state, "quanta": self.total,
            "finished": sum(ended[status] for status in FINISHED), "failed": ended["failed"],
            "running": len(self.now.get("running", ())), "began": self.description.get("began"),
            "cpu_s": sum(outcome.cpu_s for outcome in self.outcomes.values()),
            "seconds_left": self.now.get("seconds_left"),
        }  # fmt: skip


def short_id(quantum_id: str) -> str:
    """Return the end of an ID: those of one run begin alike, with the time.

    Parameters
    ----------
    quantum_id : str
        Of a quantum.

    Returns
    -------
    str
    """
    return quantum_id[-_SHORT:]


def all_runs(repository: Repository) -> list[RunView]:
    """Return all runs of a repository, the latest first.

    Parameters
    ----------
    repository : Repository
        The repository.

    Returns
    -------
    list of RunView
    """
    return [RunView(journal) for journal in journals(repository.runs_folder)]


def find_runs(repository: Repository, name: str | None) -> list[RunView]:
    """Return the runs of an output, or one run by its name, the latest first.

    Parameters
    ----------
    repository : Repository
        The repository.
    name : str, optional
        Output, run, or the last part of a run's name; all runs by default.

    Returns
    -------
    list of RunView
        At least one.

    Raises
    ------
    InputError
        There is none.
    """
    runs = all_runs(repository)
    found = [view for view in runs if name in (None, view.run, view.output, Path(view.run).name)]
    if not found:
        known = list(dict.fromkeys(view.output for view in runs))
        raise InputError("no such run", source=repository.path, value=name,
                         remedy=f"there are runs of {', '.join(known) or 'nothing yet'}")  # fmt: skip
    return found


def latest_of_each(runs: Sequence[RunView]) -> list[RunView]:
    """Return the latest run of every output.

    Parameters
    ----------
    runs : sequence of RunView
        The latest first.

    Returns
    -------
    list of RunView
    """
    found: dict[str, RunView] = {}
    for view in runs:
        found.setdefault(view.output, view)
    return list(found.values())
