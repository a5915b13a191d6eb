"""What quanta of each task cost in earlier runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from etendue.middleware.journal import QuantumOutcome
from etendue.middleware.runs import journals


@dataclass(frozen=True, slots=True)
class TaskCost:
    """Cost of all quanta of a task.

    Parameters
    ----------
    quanta : int
        How many.
    wall_s, cpu_s : float
        Sums [s].
    memory_mib : float
        Largest of a worker [MiB].
    size : float
        Files written [bytes].
    """

    quanta: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_mib: float = 0.0
    size: float = 0.0

    def times(self, quanta: int) -> "TaskCost":
        """Return what another number of quanta would cost.

        Parameters
        ----------
        quanta : int
            How many.

        Returns
        -------
        TaskCost
            Of as much memory.
        """
        share = quanta / self.quanta if self.quanta else 0.0
        return TaskCost(quanta, share * self.wall_s, share * self.cpu_s, self.memory_mib, share * self.size)

    def __add__(self, other: "TaskCost") -> "TaskCost":
        """Return the cost of both: memory is the larger one."""
        return TaskCost(
            self.quanta + other.quanta, self.wall_s + other.wall_s, self.cpu_s + other.cpu_s,
            max(self.memory_mib, other.memory_mib), self.size + other.size,
        )  # fmt: skip


def costs_of(outcomes: Iterable[QuantumOutcome]) -> dict[str, TaskCost]:
    """Return the costs of quanta by task.

    Parameters
    ----------
    outcomes : iterable of QuantumOutcome
        Of one or more runs; those that ended by themselves count.

    Returns
    -------
    dict of str to TaskCost
        By label.
    """
    found: dict[str, TaskCost] = {}
    for outcome in outcomes:
        if outcome.status == "succeeded":
            one = TaskCost(1, outcome.wall_s, outcome.cpu_s, outcome.memory_mb, float(sum(outcome.files.values())))
            found[outcome.label] = found.get(outcome.label, TaskCost()) + one
    return found


def earlier_costs(folder: Path) -> dict[str, TaskCost]:
    """Return what tasks cost in the runs of a repository.

    Parameters
    ----------
    folder : Path
        ``Repository.runs_folder``.

    Returns
    -------
    dict of str to TaskCost
        By label; of the latest run in which a task made anything.
    """
    found: dict[str, TaskCost] = {}
    for journal in journals(folder):
        for label, cost in costs_of(journal.outcomes().values()).items():
            found.setdefault(label, cost)
    return found
