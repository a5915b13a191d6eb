"""Where the files of a repository are: roots of its datastores, local or remote, and what lies below them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler, LimitedButler
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.resources import ResourcePath

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


def local_path(uri: ResourcePath) -> Path | None:
    """Return the path of a file on this machine; None for one in a remote store.

    Parameters
    ----------
    uri : ResourcePath
        Of a dataset.
    """
    return Path(uri.ospath) if uri.isLocal else None


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
