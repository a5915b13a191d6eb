"""Which files were taken, as they were then: what makes the second look at a large folder short."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from etendue.middleware.ingest.outcome import IngestOutcome
from etendue.middleware.ingest.stamp import Stamp

_AT_ONCE = 500  # questions; SQLite has a limit
_PATIENCE_S = 60.0
_TABLE = """CREATE TABLE IF NOT EXISTS deliveries (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, checksum TEXT NOT NULL,
    frames TEXT NOT NULL
) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file of which every frame is in the repository.

    Parameters
    ----------
    path : str
        Absolute.
    stamp : Stamp
        As it was when it was taken.
    checksum : str
        BLAKE2b of its bytes; empty where none was computed.
    frames : tuple of IngestOutcome
        What became of its frames.
    """

    path: str
    stamp: Stamp
    checksum: str
    frames: tuple[IngestOutcome, ...]


class DeliveryLog:
    """The files that were taken for one camera; a lost log costs time, nothing else.

    Parameters
    ----------
    path : Path
        The SQLite file, made with the first delivery.
    """

    def __init__(self, path: Path):
        self._path = path

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """Remember files; what was known of them before is forgotten.

        Parameters
        ----------
        deliveries : iterable of Delivery
            Files that were taken.
        """
        rows = [(d.path, d.stamp.size, d.stamp.mtime_ns, d.checksum, _as_text(d.frames)) for d in deliveries]
        if rows:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                connection.execute(_TABLE)
                connection.executemany("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?)", rows)

    def of(self, paths: Sequence[str]) -> dict[str, Delivery]:
        """Return what is known of some files.

        Parameters
        ----------
        paths : sequence of str
            Absolute.

        Returns
        -------
        dict of str to Delivery
            By path; unknown ones are left out.
        """
        if not self._path.is_file():
            return {}
        with self._open() as connection:
            return {found.path: found for some in _pieces(paths) for found in _look_up(connection, some)}

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamps of all files, by path."""
        if not self._path.is_file():
            return {}
        with self._open() as connection:
            rows = connection.execute("SELECT path, size, mtime_ns FROM deliveries").fetchall()
        return {path: Stamp(size, mtime_ns) for path, size, mtime_ns in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE_S)) as connection, connection:
            yield connection


def _pieces(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    return (paths[begin : begin + _AT_ONCE] for begin in range(0, len(paths), _AT_ONCE))


def _look_up(connection: sqlite3.Connection, paths: Sequence[str]) -> Iterator[Delivery]:
    places = ", ".join("?" * len(paths))
    rows = connection.execute(f"SELECT * FROM deliveries WHERE path IN ({places})", paths)
    for path, size, mtime_ns, checksum, frames in rows:
        outcomes = tuple(IngestOutcome(**frame) for frame in json.loads(frames))
        yield Delivery(path, Stamp(size, mtime_ns), checksum, outcomes)


def _as_text(frames: Iterable[IngestOutcome]) -> str:
    kept: list[dict[str, Any]] = [asdict(frame) for frame in frames]
    return json.dumps(kept)
