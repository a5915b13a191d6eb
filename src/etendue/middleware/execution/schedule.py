"""Which quantum may run next: dependencies, what a failure takes with it, and what a worker has at hand."""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping

import networkx

WINDOW = 32
"""Number of quanta, from the first that is ready, among which the best one is chosen."""

_PATIENCE = 64  # times the first one is passed over before everything waits for it


class Schedule:
    """Order of the quanta of a graph.

    Parameters
    ----------
    graph : networkx.DiGraph
        Quanta as nodes, edges from producer to consumer.
    order : iterable
        All quanta; among those that are ready the first comes first.
    finished : iterable
        Quanta that need not run again.
    """

    def __init__(self, graph: networkx.DiGraph, order: Iterable[str], finished: Iterable[str] = ()):
        self._graph = graph
        self._rank: Mapping[str, int] = {quantum: i for i, quantum in enumerate(order)}
        done = set(finished)
        self._waiting = {q: sum(p not in done for p in graph.predecessors(q)) for q in self._rank if q not in done}
        self._ready = sorted((self._rank[q], q) for q, n in self._waiting.items() if n == 0)
        self._passed_over = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ready(self) -> int:
        """Number of quanta whose inputs are complete, and that were not given out."""
        return len(self._ready)

    def next(self, merit: Callable[[str], float | None] | None = None) -> str | None:
        """Return a quantum whose inputs are complete; None while none is, or none may run.

        Parameters
        ----------
        merit : callable, optional
            From quantum to how well it suits, None where it may not run now. Of the first `WINDOW` quanta the one
            that suits best is returned, the first of equal ones; by default the first of all.

        Returns
        -------
        str or None
        """
        if not self._ready:
            return None
        if merit is None:
            return self._ready.pop(0)[1]
        window = self._ready[: WINDOW if self._passed_over < _PATIENCE else 1]
        merits = [merit(quantum) for _, quantum in window]
        suitable = [i for i, value in enumerate(merits) if value is not None]
        if not suitable:
            return None
        best = max(suitable, key=lambda i: (merits[i], -i))
        self._passed_over = 0 if best == 0 else self._passed_over + (merits[0] is None)
        return self._ready.pop(best)[1]

    def give_back(self, quantum: str) -> None:
        """Take back a quantum that was given out and did not end.

        Parameters
        ----------
        quantum : str
            Which one.
        """
        insort(self._ready, (self._rank[quantum], quantum))

    def finish(self, quantum: str) -> None:
        """Take note that a quantum's outputs are complete (or will never exist, by its own decision)."""
        del self._waiting[quantum]
        for consumer in self._graph.successors(quantum):
            if consumer in self._waiting:
                self._waiting[consumer] -= 1
                if self._waiting[consumer] == 0:
                    insort(self._ready, (self._rank[consumer], consumer))

    def fail(self, quantum: str) -> list[str]:
        """Take note of a failure.

        Parameters
        ----------
        quantum : str
            The one that failed.

        Returns
        -------
        list of str
            Everything downstream, which will not run.
        """
        del self._waiting[quantum]
        skipped = [q for q in networkx.descendants(self._graph, quantum) if q in self._waiting]
        for consumer in skipped:
            del self._waiting[consumer]
        return sorted(skipped, key=lambda q: self._rank[q])
