"""Repair what a check found wrong, from the other stores of a repository or from replicas of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler, DatasetNotFoundError, DatasetRef
from lsst.daf.butler.datastore import FileTransferRecord
from lsst.daf.butler.datastores.fileDatastore import FileDatastore

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.datastores import file_datastores
from etendue.middleware.object_store import ETAG
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import CheckReport, Problem, digest, is_intact
from etendue.middleware.upkeep.holdings import StoredCopy, holdings

REPAIRABLE = ("missing", "size", "checksum", "unreadable", "unmirrored")


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a problem.

    Parameters
    ----------
    problem : Problem
        The problem.
    source : str
        Where a good file was found; empty where none was.
    reason : str
        Why it could not be repaired.
    """

    problem: Problem
    source: str
    reason: str = ""


def repair(repository: Repository, report: CheckReport, *, replicas: Sequence[str | Path] = ()) -> tuple[Repair, ...]:
    """Replace missing and damaged files by good ones; doing it again changes nothing.

    A good file has the size and checksum that its own repository recorded; where the damaged one had a checksum, the
    good file must have the same.

    Parameters
    ----------
    repository : Repository
        Writeable.
    report : CheckReport
        What is wrong with it.
    replicas : sequence of str or Path
        Repositories with the same datasets, searched in order after the repository's own stores: by ID, then by type,
        data ID and run.

    Returns
    -------
    tuple of Repair
        One per problem with a file.

    Raises
    ------
    InputError
        The repository is read-only, or a replica is no repository.
    """
    if not repository.butler.isWriteable():
        raise InputError("the repository was opened read-only", source=repository.path)
    others = [Repository.open(replica, writeable=False) for replica in replicas]
    wrong = [problem for problem in report.problems if problem.kind in REPAIRABLE and problem.ref is not None]
    damaged = {(problem.store, str(problem.ref.id)) for problem in wrong if problem.ref is not None}
    return tuple(_repair(repository, problem, others, damaged) for problem in wrong)


def _repair(
    repository: Repository, problem: Problem, others: Sequence[Repository], damaged: set[tuple[int, str]]
) -> Repair:
    ref = problem.ref
    assert ref is not None
    target = file_datastores(repository.butler)[problem.store]
    mine = (copy for copy in holdings(repository.butler, [ref]).copies if copy.store == problem.store)
    lost = next(mine, None)
    if lost is not None and lost.outside:
        return Repair(problem, "", "it lies outside the repository: put the file back yourself")
    reason = "no other copy was found"
    for name, store, found in _candidates(repository, ref, others, damaged, problem.store):
        record, copy = _record(store, found)
        if record is None or copy is None or not is_intact(copy, record.location.uri):
            reason = f"the copy in {name} is damaged too"
        elif lost is not None and not _same_content(lost, copy, record):
            reason = f"the copy in {name} has another content"
        else:
            _replace(repository.butler, target, ref, _portable(record, target))
            return Repair(problem, name)
    return Repair(problem, "", reason)


def _candidates(
    repository: Repository, ref: DatasetRef, others: Iterable[Repository], damaged: set[tuple[int, str]], store: int
) -> Iterable[tuple[str, FileDatastore, DatasetRef]]:
    """Give the places that may have a good copy: name, store, dataset there."""
    for number, own in enumerate(file_datastores(repository.butler)):
        if number != store and (number, str(ref.id)) not in damaged and own.knows(ref):
            yield str(own.root), own, ref
    for other in others:
        found = _same_dataset(other.butler, ref)
        for own in file_datastores(other.butler) if found is not None else ():
            if found is not None and own.knows(found):
                yield other.root, own, found


def _same_dataset(butler: Butler, ref: DatasetRef) -> DatasetRef | None:
    found = butler.get_dataset(ref.id)
    if found is not None:
        return found
    try:
        return butler.find_dataset(ref.datasetType.name, ref.dataId.required, collections=ref.run)
    except (LookupError, DatasetNotFoundError):
        return None


def _record(store: FileDatastore, ref: DatasetRef) -> tuple[FileTransferRecord | None, StoredCopy | None]:
    records = store.get_file_info_for_transfer([ref.id]).get(ref.id, [])
    if len(records) != 1:
        return None, None
    [record] = records
    info = record.file_info
    return record, StoredCopy(ref, 0, info.path, int(info.file_size), info.checksum)


def _same_content(lost: StoredCopy, copy: StoredCopy, record: FileTransferRecord) -> bool:
    if lost.size >= 0 and record.location.uri.size() != lost.size:
        return False
    if lost.checksum is None or lost.checksum.startswith(ETAG):
        return True
    known = copy.checksum if copy.checksum is not None and not copy.checksum.startswith(ETAG) else None
    return (known or digest(record.location.uri)) == lost.checksum


def _portable(record: FileTransferRecord, target: FileDatastore) -> FileTransferRecord:
    """Return a record with a checksum that can be compared where the file goes."""
    checksum = record.file_info.checksum
    if checksum is None or not checksum.startswith(ETAG) or target.root.scheme == "s3":
        return record
    whole = record.file_info.update(checksum=digest(record.location.uri))
    return FileTransferRecord(file_info=whole, location=record.location)


def _replace(butler: Butler, store: FileDatastore, ref: DatasetRef, record: FileTransferRecord) -> None:
    """Copy a good file over a damaged one and record it; the old record goes in the same transaction."""
    before = [found.location.uri for found in store.get_file_info_for_transfer([ref.id]).get(ref.id, [])]
    with butler.transaction():
        if before:
            store.forget([ref])
        fault_point("repair.after-forget")
        store.transfer_from({ref.id: [record]}, [ref], transfer="copy")
    fault_point("repair.after-copy")
    [after] = store.get_file_info_for_transfer([ref.id])[ref.id]
    for uri in before:
        if uri != after.location.uri and uri.exists():
            uri.remove()
