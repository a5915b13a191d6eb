"""Small pictures of datasets, made when somebody asks and kept."""

import threading
import uuid
from pathlib import Path

from lsst.daf.butler import DatasetRef

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.log import get_logger
from etendue.middleware.repository import Repository

_LOG = get_logger(__name__)
_PIXELS = {"EtendueExposure": "image", "EtendueImage": None, "EtendueRaw": None}  # which component to read
_MOST_BYTES = 512 * 10**6  # of kept pictures


def has_preview(ref: DatasetRef) -> bool:
    """Return whether a picture can be made of a dataset.

    Parameters
    ----------
    ref : DatasetRef
        The dataset.
    """
    return ref.datasetType.storageClass_name in _PIXELS


class Previews:
    """Makes and keeps pictures; any thread may ask.

    Parameters
    ----------
    repository : Path
        Where the datasets are.
    folder : Path
        Where pictures are kept.
    size : int
        Longest side [px].
    """

    def __init__(self, repository: Path, folder: Path, size: int):
        self._path, self._folder, self._size = repository, folder, size
        self._lock = threading.Lock()  # one picture at a time: a repository is not for several threads
        self._repository: Repository | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def png(self, dataset_id: uuid.UUID) -> bytes | None:
        """Return a picture as PNG.

        Parameters
        ----------
        dataset_id : UUID
            Of what.

        Returns
        -------
        bytes or None
            None where there is no such dataset any more, or it is no image.
        """
        kept = self._folder / f"{dataset_id}-{self._size}.png"
        with self._lock:
            if kept.is_file():
                return kept.read_bytes()
            picture = self._make(dataset_id)
            if picture is not None:
                try:
                    with whole_file(kept, "preview") as part:
                        part.write_bytes(picture)
                    self._trim()
                except OSError as error:  # it is only made again then
                    _LOG.warning("cannot keep a preview: %s", error)
            return picture

    def _make(self, dataset_id: uuid.UUID) -> bytes | None:
        from etendue.qa.thumbnail import difference_thumbnail, thumbnail

        if self._repository is None:
            self._repository = Repository.open(self._path, writeable=False)
        ref = self._repository.butler.get_dataset(dataset_id)
        if ref is None or not has_preview(ref):
            return None
        try:
            pixels = self._repository.get(ref, component=_PIXELS[ref.datasetType.storageClass_name]).array
        except InputError:
            return None
        if "difference" in ref.datasetType.name:
            return difference_thumbnail(pixels, size=self._size)
        return thumbnail(pixels, size=self._size)

    def _trim(self) -> None:
        """Delete the pictures made first, where all need too much room."""
        kept = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.glob("*.png"))
        excess = sum(size for _, size, _ in kept) - _MOST_BYTES
        for _, size, path in kept:
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size
