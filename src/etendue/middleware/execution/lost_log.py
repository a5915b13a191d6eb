"""Store the log of a quantum whose worker died, as the log dataset that it would have written itself."""

import uuid
from pathlib import Path

from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.log import get_logger
from etendue.middleware.execution.flight_log import Flight, note
from etendue.middleware.execution.quantum_runner import make_graph_butler

_LOG = get_logger(__name__)


def put_lost_log(root: Path, graph: PredictedQuantumGraph, quantum_id: str, flight: Flight, reason: str) -> bool:
    """Write what is left of the log of a lost quantum.

    Parameters
    ----------
    root : Path
        Repository.
    graph : PredictedQuantumGraph
        With the datasets of this quantum.
    quantum_id : str
        Which one.
    flight : Flight
        What its worker had written.
    reason : str
        Why it was lost, in one line; the last record says it.

    Returns
    -------
    bool
        Whether there is a log dataset now; a disk that refuses is only warned of.
    """
    [quantum] = graph.build_execution_quanta([uuid.UUID(quantum_id)]).values()
    refs = [ref for kind, found in quantum.outputs.items() if kind.name.endswith("_log") for ref in found]
    if not refs:
        return False
    last = f"{reason}\n{flight.stack}" if flight.stack else reason
    records = ButlerLogRecords.from_records([
        ButlerLogRecord.from_record(record) for record in (*flight.records, note(last))
    ])  # fmt: skip
    butler = make_graph_butler(str(root), graph, datasets=[refs[0].id])
    try:
        butler.pruneDatasets(refs[:1], disassociate=True, unstore=True, purge=True)  # of an attempt before
        butler.put(records, refs[0])
    except OSError as error:
        _LOG.warning("the log of a lost quantum was not written: %s", error)
        return False
    return True
