"""The events that a stream has published, in a SQLite file: subscribers resume from any of them."""

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from etendue.faults import fault_point

_WAIT_S = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, time REAL NOT NULL, rule TEXT NOT NULL,
    dataset_type TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_time ON event (time);
"""


class StreamStore:
    """Published events, each with a number that only grows; each thread opens its own.

    Parameters
    ----------
    path : Path
        The file; it is made when missing, in an existing folder.
    """

    def __init__(self, path: Path):
        self._database = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA synchronous = FULL")  # a number that was sent is never given again
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def publish(self, bodies: Iterable[dict[str, Any]]) -> list[int]:
        """Append events; one whose key was published before keeps its number.

        Parameters
        ----------
        bodies : iterable of dict
            JSON-able, with ``key``, ``rule`` and ``dataset_type``.

        Returns
        -------
        list of int
            Their numbers.
        """
        now, numbers = time.time(), list[int]()
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for body in bodies:
                self._database.execute(
                    "INSERT OR IGNORE INTO event (key, time, rule, dataset_type, body) VALUES (?, ?, ?, ?, ?)",
                    [body["key"], now, body["rule"], body["dataset_type"], json.dumps(body, separators=(",", ":"))],
                )
                row = self._database.execute("SELECT id FROM event WHERE key = ?", [body["key"]]).fetchone()
                numbers.append(int(row[0]))
            fault_point("router.before-published")
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        fault_point("router.after-published")
        return numbers

    def after(
        self, number: int, *, rules: Sequence[str] = (), types: Sequence[str] = (), limit: int = 500
    ) -> tuple[list[tuple[int, str]], int]:
        """Return events published later.

        Parameters
        ----------
        number : int
            Last number known.
        rules, types : sequence of str
            Only of these rules, of these dataset types; all by default.
        limit : int
            At most so many.

        Returns
        -------
        events : list of (int, str)
            Number and JSON.
        last : int
            Up to which number everything was looked at.
        """
        query, values = "SELECT id, body FROM event WHERE id > ?", list[Any]([number])
        for column, wanted in (("rule", rules), ("dataset_type", types)):
            if wanted:
                query += f" AND {column} IN ({','.join('?' * len(wanted))})"
                values += wanted
        last = self.last()
        found = self._database.execute(f"{query} AND id <= ? ORDER BY id LIMIT ?", [*values, last, limit]).fetchall()
        return found, found[-1][0] if len(found) == limit else max(last, number)

    def last(self) -> int:
        """Return the number of the last event ever published; 0 if none was."""
        row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return int(row[0]) if row else 0

    def first(self) -> int:
        """Return the number of the first event that is kept, or would be."""
        row = self._database.execute("SELECT min(id) FROM event").fetchone()
        return int(row[0]) if row[0] is not None else self.last() + 1

    def trim(self, days: float | None, events: int) -> None:
        """Forget old events.

        Parameters
        ----------
        days : float or None
            Older than this [day].
        events : int
            Keep the last so many.
        """
        oldest = 0.0 if days is None else time.time() - days * 86400.0
        self._database.execute("DELETE FROM event WHERE id <= ? OR time < ?", [self.last() - events, oldest])
