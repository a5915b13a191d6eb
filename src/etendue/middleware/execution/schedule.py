"""Which quantum may run next: dependencies, and what a failure takes with it."""

import heapq
from collections.abc import Iterable, Mapping

import networkx


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
        self._ready = [(self._rank[q], q) for q, n in self._waiting.items() if n == 0]
        heapq.heapify(self._ready)

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> str | None:
        """Return a quantum whose inputs are complete; None while none is."""
        return heapq.heappop(self._ready)[1] if self._ready else None

    def finish(self, quantum: str) -> None:
        """Take note that a quantum's outputs are complete (or will never exist, by its own decision)."""
        del self._waiting[quantum]
        for consumer in self._graph.successors(quantum):
            if consumer in self._waiting:
                self._waiting[consumer] -= 1
                if self._waiting[consumer] == 0:
                    heapq.heappush(self._ready, (self._rank[consumer], consumer))

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
