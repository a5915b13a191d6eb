"""Which inputs of a quantum others read too: what a worker may keep for the next one."""

import uuid

from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

_MANY = 256  # inputs: a quantum that gathers more reads them once and for all


class SharedInputs:
    """Inputs with several consumers, by quantum.

    Parameters
    ----------
    graph : PredictedQuantumGraph
        With the datasets of all quanta.
    """

    def __init__(self, graph: PredictedQuantumGraph):
        self._graph = graph.bipartite_xgraph
        self._known: dict[str, frozenset[uuid.UUID]] = {}

    def of(self, quantum: str) -> frozenset[uuid.UUID]:
        """Return the shared inputs of a quantum.

        Parameters
        ----------
        quantum : str
            Its ID.

        Returns
        -------
        frozenset of UUID
            IDs of datasets; empty for a quantum that gathers very many.
        """
        found = self._known.get(quantum)
        if found is None:
            inputs = list(self._graph.predecessors(uuid.UUID(quantum)))
            shared = (key for key in inputs if self._graph.out_degree(key) > 1) if len(inputs) <= _MANY else ()
            found = self._known[quantum] = frozenset(shared)
        return found
