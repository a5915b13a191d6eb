"""Record sizes and checksums of files that were registered without: by Rubin's tools, or before they were wanted."""

from collections.abc import Sequence

from lsst.daf.butler.datastore import FileTransferRecord
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore

from etendue.middleware.datastores import file_datastores
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import digest
from etendue.middleware.upkeep.holdings import StoredCopy

_BATCH = 1000


def record_checksums(repository: Repository, copies: Sequence[StoredCopy]) -> int:
    """Record the size and the checksum that files have now, so that later changes are noticed.

    Parameters
    ----------
    repository : Repository
        Writeable.
    copies : sequence of StoredCopy
        ``CheckReport.unrecorded``: files that could be opened just now.

    Returns
    -------
    int
        Number of files recorded.
    """
    done = 0
    with repository.writing() as butler:
        for number, store in enumerate(file_datastores(butler)):
            mine = [copy.ref for copy in copies if copy.store == number]
            for start in range(0, len(mine), _BATCH):
                refs = mine[start : start + _BATCH]
                found = store.get_file_info_for_transfer([ref.id for ref in refs])
                records = {key: {store._table.name: [_whole(store, each) for each in of]} for key, of in found.items()}
                with butler.transaction():
                    store.forget(refs)
                    store.import_records({store.name: DatastoreRecordData(records=records)})
                done += len(refs)
    return done


def _whole(store: FileDatastore, record: FileTransferRecord) -> StoredFileInfo:
    uri = record.location.uri
    checksum = store.computeChecksum(uri) if uri.scheme == "s3" else digest(uri)
    return record.file_info.update(file_size=uri.size(), checksum=checksum)
