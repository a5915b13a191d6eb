"""How long the rest of a run will take, from what its tasks took so far."""

from collections import Counter
from collections.abc import Iterable, Mapping

from etendue.middleware.journal import QuantumOutcome


class Forecast:
    """Mean times of tasks, and what is left of each.

    Parameters
    ----------
    left : mapping of str to int
        Quanta that will run, by task.
    earlier : iterable of QuantumOutcome
        Of earlier runs: their times count until a task has some of its own.
    """

    def __init__(self, left: Mapping[str, int], earlier: Iterable[QuantumOutcome] = ()):
        self._left = Counter(left)
        self._known = _Times()
        self._own = _Times()
        for outcome in earlier:
            self._known.add(outcome)

    def end(self, outcome: QuantumOutcome) -> None:
        """Take note of the end of a quantum.

        Parameters
        ----------
        outcome : QuantumOutcome
            How it ended.
        """
        self._left[outcome.label] -= 1
        if outcome.status not in ("skipped", "no work"):
            self._own.add(outcome)

    def seconds_left(self, workers: int) -> float | None:
        """Return how long the rest will take [s].

        Parameters
        ----------
        workers : int
            Processes.

        Returns
        -------
        float or None
            None while no time of any task is known.
        """
        means = [self._own.mean(label) or self._known.mean(label) for label in self._left]
        typical = self._own.mean() or self._known.mean()
        if typical is None:
            return None
        total = sum(
            count * (typical if mean is None else mean)
            for mean, count in zip(means, self._left.values(), strict=True)
        )  # fmt: skip
        return total / workers


class _Times:
    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, outcome: QuantumOutcome) -> None:
        if outcome.wall_s > 0.0:
            self._sums[outcome.label] += outcome.wall_s  # type: ignore[assignment]
            self._counts[outcome.label] += 1

    def mean(self, label: str | None = None) -> float | None:
        if label is None:
            return sum(self._sums.values()) / n if (n := self._counts.total()) else None
        return self._sums[label] / n if (n := self._counts[label]) else None
