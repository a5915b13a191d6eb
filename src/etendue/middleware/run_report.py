"""What a pipeline run did: one outcome per quantum, and the table of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table as RichTable

from etendue.middleware.journal import QuantumOutcome, Status

_COLUMNS: tuple[Status, ...] = ("succeeded", "defeated", "no work", "failed", "skipped")


@dataclass(frozen=True)
class RunReport:
    """Outcome of a run.

    Parameters
    ----------
    run, output : str
        RUN collection with the products, and the chain that now begins with it.
    outcomes : tuple of QuantumOutcome
        One per quantum of the graph, in the graph's order.
    wall_s : float
        Wall time of this call [s], graph building and registration included.
    executed : int
        Quanta executed by this call; the others were finished by an earlier one.
    stopped : str
        Why the run gave up before its end, in words; empty where it did not.
    unrun : int
        Quanta that were not begun for that reason.
    removed : int
        Datasets of earlier runs that were deleted because this run replaced them.
    """

    run: str
    output: str
    outcomes: tuple[QuantumOutcome, ...]
    wall_s: float
    executed: int
    stopped: str = ""
    unrun: int = 0
    removed: int = 0

    @property
    def counts(self) -> dict[Status, int]:
        """Number of quanta per status."""
        counted = Counter(outcome.status for outcome in self.outcomes)
        return {status: counted[status] for status in _COLUMNS}

    @property
    def failed(self) -> tuple[QuantumOutcome, ...]:
        """Quanta that failed, without those skipped because of them."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def ok(self) -> bool:
        """Whether nothing failed, nothing was skipped and the run came to its end."""
        return not self.counts["failed"] and not self.counts["skipped"] and not self.stopped

    def tasks(self) -> list[dict[str, Any]]:
        """Return one row per task: counts per status, wall and CPU seconds, largest memory."""
        labels = list(dict.fromkeys(outcome.label for outcome in self.outcomes))
        return [self._row(label, [o for o in self.outcomes if o.label == label]) for label in labels]

    def table(self) -> RichTable:
        """Return the table for the terminal."""
        table = RichTable("task", *_COLUMNS, "wall [s]", "CPU [s]", "memory [MiB]", title=self.run)
        for row in self.tasks():
            table.add_row(
                row["task"],
                *(str(row[status] or "") for status in _COLUMNS),
                *(f"{row[key]:.1f}" for key in ("wall_s", "cpu_s", "memory_mb")),
            )
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able numbers."""
        return {
            "run": self.run,
            "output": self.output,
            "wall_s": self.wall_s,
            "executed": self.executed,
            "stopped": self.stopped,
            "unrun": self.unrun,
            "removed": self.removed,
            "tasks": self.tasks(),
            "problems": [
                {"task": o.label, "data_id": o.data_id, "status": o.status, "message": o.message,
                 "failure": o.failure, "where": o.where, "attempt": o.attempt, "quantum": o.quantum_id}
                for o in self.outcomes
                if o.status in ("defeated", "failed")
            ],
        }  # fmt: skip

    @staticmethod
    def _row(label: str, outcomes: Sequence[QuantumOutcome]) -> dict[str, Any]:
        counted = Counter(outcome.status for outcome in outcomes)
        return {
            "task": label,
            **{status: counted[status] for status in _COLUMNS},
            "wall_s": sum(outcome.wall_s for outcome in outcomes),
            "cpu_s": sum(outcome.cpu_s for outcome in outcomes),
            "memory_mb": max(outcome.memory_mb for outcome in outcomes),
        }
