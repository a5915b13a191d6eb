"""Files and folders that appear whole or not at all, and what to say when the disk refuses."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from etendue.faults import fault_point

_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}
_DATABASE = {
    "is full": "no space left on device",
    "readonly database": "no permission to write, or a read-only file system",
    "disk I/O error": "input/output error",
}


@contextmanager
def whole_file(path: Path, name: str) -> Iterator[Path]:
    """Give a path to write to, whose file takes its final name when the body succeeds.

    The data are synced before the file is renamed, so that not even a power cut leaves a part of it under its name.
    After a kill, a hidden file ``.<random>.part<suffix>`` may remain, which nothing reads.

    Parameters
    ----------
    path : Path
        Final name; an existing file is replaced in one step.
    name : str
        Name of the fault points: ``<name>.before-rename`` and ``<name>.after-rename``.

    Yields
    ------
    Path
        In the same folder, with the same suffix.
    """
    part = path.with_name(f".{uuid4().hex}.part{path.suffix}")
    try:
        yield part
        fault_point(f"{name}.before-rename")
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    fault_point(f"{name}.after-rename")


@contextmanager
def whole_folder(path: Path, name: str) -> Iterator[Path]:
    """Give a folder to fill, which takes its final name when the body succeeds.

    After a kill, a hidden folder ``.<random>.part`` may remain beside it, which nothing reads.

    Parameters
    ----------
    path : Path
        Final name; it may exist if it is empty.
    name : str
        Name of the fault points, as of `whole_file`.

    Yields
    ------
    Path
        An empty folder on the same file system.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    if path.parent.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = not path.exists() or (os.access(path.parent, os.W_OK) and not os.path.ismount(path))
    part = (path.parent if beside else path) / f".{uuid4().hex}.part"
    try:
        part.mkdir()
        yield part
        fault_point(f"{name}.before-rename")
        if beside:
            part.replace(path)
        else:  # a mount point, or somebody else's folder around it: its entries move up one by one
            for entry in sorted(part.iterdir(), reverse=True):
                entry.replace(path / entry.name)
            part.rmdir()
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise
    fault_point(f"{name}.after-rename")


def is_part(name: str) -> bool:
    """Return whether a name is one that `whole_file` and `whole_folder` give to what is unfinished.

    Parameters
    ----------
    name : str
        Without folder.
    """
    return name.startswith(".") and ".part" in name


def sync(path: Path) -> None:
    """Wait until the data of a file are on the disk.

    Parameters
    ----------
    path : Path
        Existing file.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_trouble(error: BaseException) -> str:
    """Return in few words why the disk refused, if that is what an error or one of its causes says.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    str
        ``"no space left on device"``, ``"read-only file system"``...; empty for any other error.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in _TROUBLE:
            return os.strerror(cause.errno).lower()
        if type(cause).__module__.startswith(("sqlite3", "sqlalchemy")):
            for words, meaning in _DATABASE.items():
                if words in str(cause):
                    return meaning
        cause = cause.__cause__ or cause.__context__
    return ""
