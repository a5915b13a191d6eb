"""The raw frames that a repository has already."""

import filecmp
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath

from etendue.middleware.datastores import file_datastores, local_file
from etendue.middleware.ingest.file_reader import FoundFile
from etendue.middleware.ingest.stamp import Stamp


@dataclass(frozen=True, slots=True)
class KnownFrame:
    """A raw frame of the repository.

    Parameters
    ----------
    uri : ResourcePath
        Its file.
    ref : DatasetRef or None
        Its dataset; None for a frame of the same batch, which is none yet.
    size : int
        Bytes when it was ingested; -1 where none were recorded.
    checksum : str
        BLAKE2b when it was ingested; empty where none was recorded.
    """

    uri: ResourcePath
    ref: DatasetRef | None = None
    size: int = -1
    checksum: str = ""

    @classmethod
    def of_file(cls, file: FoundFile) -> "KnownFrame":
        """Return a frame of a file that is about to be ingested."""
        size = file.stamp.size if file.stamp else -1
        return cls(ResourcePath(Path(file.path).resolve().as_uri()), None, size, file.checksum)

    @property
    def shown(self) -> str:
        """Its file, for people."""
        return self.uri.ospath if self.uri.isLocal else str(self.uri)

    def is_file(self, path: str) -> bool:
        """Whether a path leads to the very file."""
        return self.uri.isLocal and Path(self.uri.ospath).resolve() == Path(path).resolve()

    def changed(self, file: FoundFile) -> bool:
        """Whether the file, referred to where it is, has other bytes now than when it was ingested."""
        if file.stamp is not None and self.size not in (-1, file.stamp.size):
            return True
        return bool(self.checksum and file.checksum and self.checksum != file.checksum)

    def has_bytes_of(self, file: FoundFile) -> bool:
        """Whether another file has the same bytes; checksums are compared where both are known, else the files."""
        if self.checksum and file.checksum:
            return self.checksum == file.checksum
        if not self.uri.exists() or self.uri.size() != Stamp.of(Path(file.path)).size:
            return False
        with local_file(self.uri) as stored:
            return filecmp.cmp(stored, file.path, shallow=False)


def known_frames(
    butler: Butler, instrument: str, keys: Collection[tuple[int, int]]
) -> dict[tuple[int, int], KnownFrame]:
    """Look up raw frames, all with one query.

    Parameters
    ----------
    butler : Butler
        With ``run`` set to the collection of raws.
    instrument : str
        Camera.
    keys : collection of (int, int)
        Exposures and detectors.

    Returns
    -------
    dict
        Those that are there, by exposure and detector.
    """
    exposures = sorted({exposure for exposure, _ in keys})
    refs = {
        (int(ref.dataId["exposure"]), int(ref.dataId["detector"])): ref
        for ref in butler.query_datasets(
            "raw", collections=butler.run, where="instrument = camera_name AND exposure IN (wanted)",
            bind={"camera_name": instrument, "wanted": exposures}, explain=False, limit=None,
        )
    }  # fmt: skip
    wanted = {key: ref for key, ref in refs.items() if key in keys}
    records = file_datastores(butler)[0].get_file_info_for_transfer([ref.id for ref in wanted.values()])
    return {
        key: KnownFrame(record.location.uri, ref, record.file_info.file_size, record.file_info.checksum or "")
        for key, ref in wanted.items()
        for record in records.get(ref.id, ())[:1]
    }
