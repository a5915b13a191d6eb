"""The repository that a router reads: finding datasets again, and their files with checksums."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lsst.daf.butler import DatasetRef
from lsst.resources import ResourcePath

from etendue.middleware.repository import Repository
from etendue.middleware.router.event import Delivery, Outcome
from etendue.middleware.upkeep.check import digest

_BLAKE2B_LETTERS = 128  # of the checksums that Rubin's datastores record


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a dataset.

    Parameters
    ----------
    uri : ResourcePath
        Where it is.
    component : str
        Which part of the dataset; empty for a dataset in one file.
    size : int
        Bytes, as recorded; -1 if unknown.
    checksum : str
        BLAKE2b digest, as recorded when it was written; empty if none was.
    outside : bool
        Whether it lies outside the repository.
    """

    uri: ResourcePath
    component: str
    size: int
    checksum: str
    outside: bool


def stored_files(repository: Repository, ids: Iterable[UUID]) -> dict[UUID, list[StoredFile]]:
    """Return the files of datasets as the datastore records them; datasets without any are left out.

    Parameters
    ----------
    repository : Repository
        Where they are.
    ids : iterable of UUID
        Which datasets.

    Returns
    -------
    dict of UUID to list of StoredFile
        Sorted by component.
    """
    source: Any = repository.butler._file_transfer_source  # what Butler.transfer_from itself asks
    found = source.get_file_info_for_transfer(list(ids))
    return {
        key: sorted((_stored(record) for record in records), key=lambda file: file.component)
        for key, records in found.items()
        if records
    }


def _stored(record: Any) -> StoredFile:
    info = record.file_info
    checksum = info.checksum or ""
    known = checksum if len(checksum) == _BLAKE2B_LETTERS else ""
    outside = bool(record.location.pathInStore.isabs())
    return StoredFile(record.location.uri, info.component or "", info.file_size, known, outside)


def find(repository: Repository, ids: Iterable[UUID]) -> dict[UUID, DatasetRef]:
    """Return the datasets that are registered, by ID.

    Parameters
    ----------
    repository : Repository
        Where to look.
    ids : iterable of UUID
        Which.
    """
    return {ref.id: ref for ref in repository.butler.get_many_datasets(list(ids))}


@dataclass(frozen=True, slots=True)
class Found:
    """A dataset to be delivered that is in the source, with its files.

    Parameters
    ----------
    delivery : Delivery
        Its delivery.
    ref : DatasetRef
        The dataset.
    files : list of StoredFile
        At least one, sorted by component.
    """

    delivery: Delivery
    ref: DatasetRef
    files: list[StoredFile]

    @property
    def number(self) -> int:
        """Of the delivery."""
        return self.delivery.number

    def whole_file(self) -> StoredFile | None:
        """Return the file if the dataset is stored as one file of its own."""
        return self.files[0] if len(self.files) == 1 and not self.files[0].uri.fragment else None


def look_up(repository: Repository, deliveries: Sequence[Delivery]) -> tuple[list[Found], list[Outcome]]:
    """Return the datasets that are to be delivered, and the outcomes for those that left the source.

    Parameters
    ----------
    repository : Repository
        The source.
    deliveries : sequence of Delivery
        Which.

    Returns
    -------
    found : list of Found
        In the order of the deliveries.
    gone : list of Outcome
        For all others.
    """
    ids = {delivery.event.dataset_id for delivery in deliveries}
    known, files = find(repository, ids), stored_files(repository, ids)
    found, gone = list[Found](), list[Outcome]()
    for delivery in deliveries:
        key = delivery.event.dataset_id
        if key in known and key in files:
            found.append(Found(delivery, known[key], files[key]))
        else:
            why = "it is stored in the source no more" if key in known else "it is in the source no more"
            gone.append(Outcome(delivery.number, "gone", why))
    return found, gone


def changed_since(item: Found) -> str:
    """Return what is wrong where the source has other bytes than were delivered before; empty if nothing is.

    Its file was damaged or overwritten: what the sink has, if it has anything, must not be replaced by it.

    Parameters
    ----------
    item : Found
        To be delivered again.
    """
    before = item.delivery.digest
    if not before or joined(file.checksum or _readable_digest(file) for file in item.files) == before:
        return ""
    return f"the source's file is not what was delivered before: {item.files[0].uri}"


def _readable_digest(file: StoredFile) -> str:
    try:
        return digest(file.uri)
    except OSError:
        return ""


def missing(files: Iterable[StoredFile]) -> str:
    """Return which file is not there; empty if all are.

    Parameters
    ----------
    files : iterable of StoredFile
        As recorded.
    """
    return next((f"its file is missing: {file.uri}" for file in files if not file.uri.exists()), "")


def expected_digest(file: StoredFile) -> str:
    """Return the digest that a copy of a file must have: as recorded, or else of the file as it is.

    Parameters
    ----------
    file : StoredFile
        At the source.

    Raises
    ------
    FileNotFoundError
        None is recorded, and the file is missing.
    """
    return file.checksum or digest(file.uri)


def unreadable(file: StoredFile) -> str:
    """Return why a file cannot be read to its end; empty if it can.

    Parameters
    ----------
    file : StoredFile
        At the source.
    """
    try:
        digest(file.uri)
    except OSError as error:
        return f"cannot read {file.uri}: {error.strerror or error}"
    return ""


def joined(digests: Iterable[str]) -> str:
    """Return one digest for all files of a dataset: of a single file its own.

    Parameters
    ----------
    digests : iterable of str
        Of the files, in the order of their components.
    """
    found = list(digests)
    return found[0] if len(found) == 1 else hashlib.blake2b("".join(found).encode()).hexdigest()
