"""Make the products of a run known to its repository, and clear away what a killed run left."""

import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsst.daf.butler import DatasetRef
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.disk import is_part
from etendue.faults import fault_point
from etendue.log import get_logger
from etendue.middleware.datastores import file_datastores, mirror, roots
from etendue.middleware.execution.quantum_runner import SharedButler, make_graph_butler
from etendue.middleware.journal import Journal, QuantumOutcome
from etendue.middleware.repository import Repository

_LOG = get_logger(__name__)
_RUBINS_PART = re.compile(r"[a-z0-9_]{16}(\.[a-z.]+|.*\.tmp(\.[a-z.]+)?)?")  # of lsst.resources, of datastores


def register(
    repository: Repository, journal: Journal, graph: PredictedQuantumGraph, outcomes: Mapping[str, QuantumOutcome]
) -> None:
    """Register the products of quanta, and the logs of failed ones; doing it again changes nothing.

    Parameters
    ----------
    repository : Repository
        Where the files are already.
    journal : Journal
        Remembers what is registered.
    graph : PredictedQuantumGraph
        Graph of the run.
    outcomes : mapping of str to QuantumOutcome
        By quantum.
    """
    known = journal.registered()
    refs = []
    for key, outcome in outcomes.items():
        if outcome.status == "failed" or not known.issuperset(outcome.outputs):
            wanted = set(outcome.outputs)
            refs += [
                ref
                for ref in _output_refs(graph, {key})
                if str(ref.id) in wanted or (outcome.status == "failed" and ref.datasetType.name.endswith("_log"))
            ]
    if not refs:
        return
    os.sync()  # after a power cut nothing may be registered whose file is not there; once per run this costs little
    with repository.writing() as writer:
        source = make_graph_butler(repository.root, graph)
        source._datastore.import_records(_records(source, refs, outcomes.values()))
        fault_point("register.before-transfer")
        with writer.transaction():
            transferred = writer.transfer_from(source, refs, transfer="auto", skip_missing=True)
            mirror(writer, source, transferred)
    fault_point("register.after-transfer")
    journal.mark_registered({str(ref.id) for ref in transferred})


def forget_failures(
    repository: Repository, journal: Journal, graph: PredictedQuantumGraph, unfinished: set[str]
) -> None:
    """Take what quanta left in the repository out of it, mostly logs of failed ones: it is about to be written anew.

    Parameters
    ----------
    repository : Repository
        Where they are registered.
    journal : Journal
        Knows what was registered.
    graph : PredictedQuantumGraph
        Graph of the run.
    unfinished : set of str
        Quanta that will run again.
    """
    known = journal.registered()
    stale = [ref for ref in _output_refs(graph, unfinished) if str(ref.id) in known] if known else []
    if stale:
        with repository.writing() as writer:
            writer.pruneDatasets(stale, disassociate=True, unstore=True, purge=True)
        fault_point("forget.after-prune")  # again, this does nothing to datasets that are gone
        journal.mark_forgotten({str(ref.id) for ref in stale})


def remove_parts(repository: Repository, run: str, graph: PredictedQuantumGraph) -> int:
    """Delete the unfinished files that a killed process left in the folder of a run.

    Parameters
    ----------
    repository : Repository
        Holds the folder; nobody else may be writing into this run.
    run : str
        RUN collection.
    graph : PredictedQuantumGraph
        Graph of the run.

    Returns
    -------
    int
        Number of files deleted.
    """
    products = tuple(node.name for node in graph.pipeline_graph.dataset_types.values())
    folders = [Path(root.ospath) / run for root in roots(repository.butler) if root.isLocal]
    every = (path for folder in folders for path in folder.rglob("*"))
    names = (path for path in every if is_part(path.name) or _RUBINS_PART.fullmatch(path.name))
    parts = [path for path in names if path.is_file() and not path.name.startswith(products)]
    for path in parts:
        path.unlink(missing_ok=True)
    if parts:
        _LOG.info("%s: deleted %d unfinished files of a killed process", run, len(parts))
    return len(parts)


def _records(
    source: SharedButler, refs: Sequence[DatasetRef], outcomes: Iterable[QuantumOutcome]
) -> dict[str, DatastoreRecordData]:
    """Return what the stores recorded of files when they were written; of other files there (logs) what they are."""
    sizes: dict[str, int] = {}
    checksums: dict[str, tuple[str | None, ...]] = {}
    for outcome in outcomes:
        sizes.update(outcome.files)
        checksums.update(outcome.checksums)
    found = {}
    for number, store in enumerate(file_datastores(source)):
        predicted = store.export_predicted_records(refs)[store.name]
        records = {}
        for key, tables in predicted.records.items():
            [(table, [info])] = tables.items()
            noted = checksums.get(info.path, ())
            whole = _recorded(store, info, sizes.get(info.path), noted[number] if number < len(noted) else None)
            if whole is not None:
                records[key] = {table: [whole]}
        found[store.name] = DatastoreRecordData(records=records)
    return found


def _recorded(store: FileDatastore, info: StoredFileInfo, size: int | None, checksum: str | None) -> Any:
    if size is None:
        uri = info.file_location(store.locationFactory).uri
        if not uri.exists():
            return None
        size, checksum = uri.size(), store.computeChecksum(uri) if store.useChecksum else None
    return info.update(file_size=size, checksum=checksum)


def _output_refs(graph: PredictedQuantumGraph, quanta: set[str]) -> list[DatasetRef]:
    built = graph.build_execution_quanta([uuid.UUID(quantum) for quantum in sorted(quanta)])
    return [ref for quantum in built.values() for refs in quantum.outputs.values() for ref in refs]
