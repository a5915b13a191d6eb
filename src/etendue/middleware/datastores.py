"""Where the files of a repository are: roots of its datastores, local or remote, and what lies below them."""

import os
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lsst.daf.butler import Butler, DatasetRef, LimitedButler
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.resources import ResourcePath

from etendue.disk import is_part
from etendue.middleware.object_store import bucket_of, tag_of

SIDE_FOLDER = "etendue"
"""Folder of etendue's own files below the folder of a repository and below every root of files."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below a root.

    Parameters
    ----------
    size : int
        Its size [bytes].
    changed : float
        When it was last written [s since 1970].
    tag : str or None
        Checksum that the store knows by itself.
    """

    size: int
    changed: float
    tag: str | None = None


def file_datastores(butler: LimitedButler) -> list[FileDatastore]:
    """Return the datastores with files, in the order in which they are read.

    Parameters
    ----------
    butler : LimitedButler
        Of a repository or of a quantum graph.
    """
    whole = butler._datastore
    return [store for store in getattr(whole, "datastores", [whole]) if isinstance(store, FileDatastore)]


def roots(butler: LimitedButler) -> list[ResourcePath]:
    """Return the roots of the files of a repository.

    Parameters
    ----------
    butler : LimitedButler
        Of the repository.
    """
    return [store.root for store in file_datastores(butler)]


def found_files(root: ResourcePath, folder: str = "") -> dict[str, FoundFile]:
    """Return all files below a root, without etendue's own and the repository's configuration and database.

    Parameters
    ----------
    root : ResourcePath
        Of a datastore.
    folder : str
        Only what lies in this folder.

    Returns
    -------
    dict of str to FoundFile
        By path below the root.
    """
    listed = _listed_locally if root.isLocal else _listed_bucket if root.scheme == "s3" else _listed_remotely
    return {
        path: found
        for path, found in listed(root, folder)
        if not path.startswith((f"{SIDE_FOLDER}/", "gen3.sqlite3")) and path != "butler.yaml"
    }


def stored_sizes(butler: Butler, run: str) -> Mapping[str, int]:
    """Return the sizes of the files of a run; of those that not all datastores hold alike, none.

    Parameters
    ----------
    butler : Butler
        Of the repository.
    run : str
        RUN collection, which is a folder too.

    Returns
    -------
    mapping of str to int
        By path below the roots [bytes].
    """
    first, *others = [found_files(root, run) for root in roots(butler)]
    return {path: file.size for path, file in first.items() if all(_same_size(file, other, path) for other in others)}


def mirror(target: Butler, source: LimitedButler, refs: Collection[DatasetRef], *, transfer: str = "auto") -> None:
    """Give datasets that the first store of a repository has to its other stores too.

    Rubin's chain of datastores writes to all of its members, but takes transfers into the first only.

    Parameters
    ----------
    target : Butler
        Writeable; of the repository.
    source : LimitedButler
        Where the datasets come from; its stores are read in the same order.
    refs : collection of DatasetRef
        Which datasets; those that a store has are passed over.
    transfer : str
        Mode of the transfer of files that are not in their place already.
    """
    sources = file_datastores(source)
    for number, store in enumerate(file_datastores(target)[1:], 1):
        origin = sources[min(number, len(sources) - 1)]
        records = origin.get_file_info_for_transfer([ref.id for ref in refs])
        with target.transaction():
            store.transfer_from(records, [ref for ref in refs if ref.id in records], transfer=transfer)


def share_side_files(folder: Path, butler: Butler) -> None:
    """Copy small files that readers of datasets need to every root that is not the repository's own folder.

    Parameters
    ----------
    folder : Path
        In the repository, below its folder of etendue's own files; it may be missing.
    butler : Butler
        Of the repository.
    """
    home = next(parent for parent in folder.parents if (parent / SIDE_FOLDER) in (folder, *folder.parents))
    for root in roots(butler):
        if root.isLocal and Path(root.ospath).resolve() == home:
            continue
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            place = root.join(str(path.relative_to(home)), forceDirectory=False)
            content = path.read_bytes() if path.is_file() and not is_part(path.name) else b""
            if content and not (place.exists() and place.read() == content):
                place.write(content)


def fetched_side_files(root: ResourcePath, folder: str) -> Path:
    """Return a local copy of small files that `share_side_files` put beside remote files, at most a minute old.

    Parameters
    ----------
    root : ResourcePath
        Of the files.
    folder : str
        Inside the folder of etendue's own files: ``cameras``.

    Returns
    -------
    Path
        Folder with what is there.
    """
    return Path(_fetched(str(root), folder, int(time.monotonic() / 60)).name)


@lru_cache(maxsize=8)
def _fetched(root: str, folder: str, _minute: int) -> tempfile.TemporaryDirectory:
    local = tempfile.TemporaryDirectory(prefix="etendue-")  # deleted when it is forgotten
    for _, _, names in _walked(there := ResourcePath(root).join(f"{SIDE_FOLDER}/{folder}/", forceDirectory=True)):
        for name in names:
            (Path(local.name) / name).write_bytes(there.join(name).read())
    return local


@contextmanager
def local_file(uri: ResourcePath) -> Iterator[Path]:
    """Give a file on this machine; one in a remote store is fetched for the duration of the block, under its name.

    Parameters
    ----------
    uri : ResourcePath
        Of a dataset.

    Yields
    ------
    Path
    """
    if uri.isLocal:
        yield Path(uri.ospath)
        return
    with tempfile.TemporaryDirectory(prefix="etendue-") as folder:
        place = Path(folder) / uri.basename()
        ResourcePath(str(place)).transfer_from(uri, transfer="copy")
        yield place


def _same_size(file: FoundFile, other: Mapping[str, FoundFile], path: str) -> bool:
    return path in other and other[path].size == file.size


def _listed_locally(root: ResourcePath, folder: str) -> Iterator[tuple[str, FoundFile]]:
    base = root.ospath.rstrip("/")
    for parent, _, names in os.walk(os.path.join(base, folder)):  # noqa: PTH118 (half a million paths)
        inside = parent[len(base) + 1 :]
        for name in names:
            try:
                status = os.stat(f"{parent}/{name}")  # noqa: PTH116
            except FileNotFoundError:  # deleted meanwhile, or a link into nothing
                continue
            yield f"{inside}/{name}".lstrip("/"), FoundFile(status.st_size, status.st_mtime)


def _listed_bucket(root: ResourcePath, folder: str) -> Iterator[tuple[str, FoundFile]]:
    bucket, client = bucket_of(root)
    prefix = root.relativeToPathRoot.removeprefix("./")
    below = f"{folder.rstrip('/')}/" if folder else ""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + below):
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # such an object stands for a folder
                changed = entry["LastModified"].timestamp()
                yield entry["Key"][len(prefix) :], FoundFile(int(entry["Size"]), changed, tag_of(entry))


def _listed_remotely(root: ResourcePath, folder: str) -> Iterator[tuple[str, FoundFile]]:
    start = root.join(folder, forceDirectory=True) if folder else root
    for parent, _, names in _walked(start):
        for name in names:
            uri = parent.join(name)
            yield str(uri.relative_to(root)), FoundFile(uri.size(), 0.0)


def _walked(start: ResourcePath) -> Iterable[tuple[ResourcePath, list[str], list[str]]]:
    return start.walk() if start.exists() else ()
