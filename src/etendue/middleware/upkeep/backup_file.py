"""The file of a backup: a plain tar, whose last member says what all others must be."""

import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.faults import fault_point

FORMAT = 1
MANIFEST, END = "etendue-backup.json", "etendue-backup-end.json"
_BLOCK = 1 << 20
_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
_COMPRESSIONS = {".tar": "", ".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a backup, while it is read.

    Parameters
    ----------
    name : str
        Path in the repository.
    size : int
        Its size [bytes].
    save : callable
        Writes it to a path, or reads over it where that is None.
    """

    name: str
    size: int
    save: Callable[[Path | None], None]


class BackupWriter:
    """Adds files to a backup one after the other.

    Parameters
    ----------
    stream : tarfile.TarFile
        Open for writing.
    """

    def __init__(self, stream: tarfile.TarFile):
        self._stream = stream
        self.digests: dict[str, str] = {}

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a small file.

        Parameters
        ----------
        name : str
            Path in the backup.
        content : bytes
            The file.
        """
        self.add_stream(name, io.BytesIO(content), len(content), 0.0)

    def add_file(self, name: str, path: Path) -> str:
        """Add a local file; of one that grows meanwhile, what it held when it was opened.

        Parameters
        ----------
        name : str
            Path in the backup.
        path : Path
            The file.

        Returns
        -------
        str
            BLAKE2b digest of what was added.
        """
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return self.add_stream(name, file, status.st_size, status.st_mtime)

    def add_stream(self, name: str, content: IO[bytes], size: int, changed: float) -> str:
        """Add what a stream gives.

        Parameters
        ----------
        name : str
            Path in the backup.
        content : file object
            Open for reading.
        size : int
            How much to take [bytes].
        changed : float
            When it was written [s since 1970].

        Returns
        -------
        str
            BLAKE2b digest of what was added.

        Raises
        ------
        InputError
            The stream ends early.
        """
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = size, int(changed), 0o644
        hashing = _Hashing(content)
        try:
            self._stream.addfile(entry, hashing)
        except OSError as error:
            if error.errno is None:  # tarfile's own "unexpected end of data"
                raise InputError("became shorter while it was read", source=name, remedy="do it again") from error
            raise
        self.digests[name] = hashing.hexdigest()
        fault_point("backup.between-members")
        return self.digests[name]


@contextmanager
def new_backup(path: Path, manifest: dict[str, Any]) -> Iterator[BackupWriter]:
    """Write a backup, which appears under its name when it is whole.

    Parameters
    ----------
    path : Path
        ``.tar``, or compressed: ``.tar.gz``, ``.tgz``, ``.tar.bz2``, ``.tar.xz``.
    manifest : dict
        What it is of.

    Yields
    ------
    BackupWriter

    Raises
    ------
    InputError
        Its name says another format.
    """
    compression = _COMPRESSIONS.get(path.suffix)
    if compression is None:
        raise InputError("backups are tar files", source=path, value=path.suffix, remedy="call it NAME.tar or .tar.gz")
    options: dict[str, Any] = {"compresslevel": 1} if compression == "gz" else {}
    mode: Any = f"w:{compression}"
    with whole_file(path, "backup") as part, tarfile.open(part, mode, format=tarfile.PAX_FORMAT, **options) as stream:
        writer = BackupWriter(stream)
        writer.add_bytes(MANIFEST, json.dumps({"format": FORMAT} | manifest, indent=1).encode())
        yield writer
        writer.add_bytes(END, json.dumps({"digests": dict(writer.digests)}).encode())


def read_backup(path: Path) -> Iterator[dict[str, Any] | Member]:
    """Read a backup from beginning to end: its manifest, then its members, each to be saved before the next.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    dict, then Member
        Manifest; files.

    Raises
    ------
    InputError
        It is no backup, newer than this etendue, cut off, or one of its files is not what was written.
    """
    digests: dict[str, str] = {}
    end: dict[str, str] | None = None
    try:
        with tarfile.open(path, "r|*") as stream:
            for entry in stream:
                content = stream.extractfile(entry)
                if content is None:
                    raise InputError("holds something that is no file", source=path, value=entry.name)
                hashing = _Hashing(content, path)
                if not digests:
                    yield _manifest(path, entry.name, hashing.read())
                elif entry.name == END:
                    end = dict(json.loads(hashing.read())["digests"])
                    continue
                else:
                    yield Member(_safe(entry.name, path), entry.size, partial(_save, hashing))
                digests[entry.name] = hashing.hexdigest()
    except _BROKEN as error:
        raise _refusal(path, error) from error
    if end is None:
        value = f"{len(digests)} files"
        raise InputError("is cut off or damaged", source=path, value=value, remedy="use another backup")
    wrong = sorted(name for name in {*end, *digests} if end.get(name) != digests.get(name))
    if wrong:
        raise InputError(f"{len(wrong)} of its files are not what was written", source=path, value=wrong[0],
                         remedy="use another backup")  # fmt: skip


class _Hashing(io.RawIOBase):
    """A stream that hashes what is read from it; of a backup that is cut off or damaged it says so."""

    def __init__(self, stream: IO[bytes], path: Path | None = None):
        self._stream = stream
        self._path = path
        self._hash = hashlib.blake2b()

    def read(self, size: int = -1) -> bytes:
        try:
            block = self._stream.read(size)
        except _BROKEN as error:
            raise _refusal(self._path, error) from error
        self._hash.update(block)
        return block

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _refusal(path: Path | None, error: Exception) -> InputError:
    return InputError(f"is no whole backup: {error}", source=path, remedy="use another backup")


def _manifest(path: Path, name: str, content: bytes) -> dict[str, Any]:
    if name != MANIFEST:
        raise InputError("is no backup of a repository", source=path, value=name)
    manifest = dict(json.loads(content))
    if not isinstance(manifest.get("format"), int) or manifest["format"] > FORMAT:
        raise InputError(f"was made by a newer etendue: format {manifest.get('format')}, this one knows {FORMAT}",
                         source=path, remedy="pip install --upgrade etendue")  # fmt: skip
    return manifest


def _safe(name: str, path: Path) -> str:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise InputError("holds a file that would lie outside the repository", source=path, value=name)
    return name


def _save(content: _Hashing, place: Path | None) -> None:
    if place is None:
        while content.read(_BLOCK):
            pass
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        while block := content.read(_BLOCK):
            file.write(block)
    fault_point("restore.between-members")
