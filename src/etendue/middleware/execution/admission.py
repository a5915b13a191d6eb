"""Let quanta begin only while there is memory for them."""

from collections.abc import Iterable, Mapping

from etendue.middleware.execution.limits import free_mib
from etendue.middleware.journal import QuantumOutcome

_SHARE = 0.9  # of the free memory
_PRESSURE = 0.03  # of the memory at the beginning: with less than that left somebody has to go
_WORKER_MIB = 150.0  # what a worker needs for itself


class Admission:
    """Which quanta fit into the memory beside those that run.

    Parameters
    ----------
    total_mib : float, optional
        What all workers together may use [MiB]; nine tenths of the free memory by default.
    needs_mib : mapping of str to float, optional
        What the tasks needed in earlier runs [MiB].
    here : bool
        Whether quanta run on this machine: elsewhere its memory does not count.
    """

    def __init__(
        self, total_mib: float | None = None, needs_mib: Mapping[str, float] | None = None, *, here: bool = True
    ):
        free = free_mib() if here else None
        self.total_mib = total_mib if total_mib is not None else None if free is None else _SHARE * free
        self._reserve = None if free is None else _PRESSURE * free
        self._needs = dict(needs_mib or {})
        self._running: dict[str, str] = {}
        self._alone: set[str] = set()

    def needs_mib(self, label: str) -> float:
        """Return how much memory a quantum of a task is expected to take [MiB]: the most that one has taken so far."""
        return max(self._needs.get(label, _WORKER_MIB), _WORKER_MIB)

    def must_run_alone(self, quantum: str) -> None:
        """Let a quantum that ran out of memory begin only when nothing else runs, and nothing else beside it."""
        self._alone.add(quantum)

    def admits(self, quantum: str, label: str) -> bool:
        """Return whether a quantum may begin now.

        Parameters
        ----------
        quantum, label : str
            Which one, of which task.

        Returns
        -------
        bool
            True where nothing runs: the largest quantum must run at some time.
        """
        if not self._running:
            return True
        if quantum in self._alone or self._alone & self._running.keys():
            return False
        if self.total_mib is None:
            return True
        taken = sum(self.needs_mib(running) for running in self._running.values())
        return taken + self.needs_mib(label) <= self.total_mib

    def begin(self, quantum: str, label: str) -> None:
        """Take note that a quantum runs."""
        self._running[quantum] = label

    def end(self, quantum: str, outcome: QuantumOutcome | None = None) -> None:
        """Take note that a quantum ended, and of what it needed."""
        label = self._running.pop(quantum)
        if outcome is not None:
            self._needs[label] = max(self._needs.get(label, 0.0), outcome.memory_mb)
            if outcome.status != "failed":
                self._alone.discard(quantum)

    def pressed(self) -> bool:
        """Return whether the machine is nearly out of memory while several quanta run."""
        if len(self._running) < 2 or self._reserve is None:
            return False
        free = free_mib()
        return free is not None and free < self._reserve


def needs_of(outcomes: Iterable[QuantumOutcome]) -> dict[str, float]:
    """Return the largest memory of every task [MiB].

    Parameters
    ----------
    outcomes : iterable of QuantumOutcome
        Of earlier runs.

    Returns
    -------
    dict of str to float
        By label.
    """
    needs: dict[str, float] = {}
    for outcome in outcomes:
        needs[outcome.label] = max(needs.get(outcome.label, 0.0), outcome.memory_mb)
    return needs
