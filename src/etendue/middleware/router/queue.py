"""The durable queue of one sink: what was found, what was delivered, what is to be tried again."""

import json
import random
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.router.event import Delivery, Held, Outcome, PutEvent
from etendue.middleware.router.rules import Retries

_LAYOUT = 1
_WAIT_S = 60.0  # for the other threads and processes that use the file
_COLUMNS = "number, rule, dataset_id, revision, dataset_type, data_id, implied, run, attempts, tries, digest"
_FOUND = "rule, dataset_id, revision, dataset_type, data_id, implied, run, state, found"
_OWN, _ATTEMPTS = 11, 8  # columns of a delivery before what a query adds; one of them
_SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    rule TEXT NOT NULL, dataset_id BLOB NOT NULL, revision INTEGER NOT NULL,
    dataset_type TEXT NOT NULL, data_id TEXT NOT NULL, implied TEXT NOT NULL, run TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', found REAL NOT NULL, ended REAL,
    place TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL DEFAULT '',
    UNIQUE (dataset_id, revision, rule));
CREATE INDEX IF NOT EXISTS by_state ON delivery (state, number);
CREATE INDEX IF NOT EXISTS by_place ON delivery (place);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Queue:
    """Deliveries to one sink in a SQLite file; each thread opens its own.

    The pair of dataset and revision, with the rule, is unique, so finding something again adds nothing. A delivery is
    marked as done in a transaction of its own after the sink has it: a kill in between repeats it, with the same key.

    Parameters
    ----------
    path : Path
        The file; it is made when missing, in an existing folder.
    writeable : bool
        False only looks, and needs no right to write.

    Raises
    ------
    InputError
        The file is damaged, or of a newer etendue.
    """

    def __init__(self, path: Path, *, writeable: bool = True):
        self.path = path
        mode = "rwc" if writeable else "ro"
        uri = f"file:{str(path).replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode={mode}"
        self._database = sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(writeable)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            remedy = (
                "delete its folder: everything is found again, and repositories and folders recognise what they have"
            )
            raise InputError(f"the queue is damaged: {error}", source=path, remedy=remedy) from None

    def _prepare(self, writeable: bool) -> None:
        [layout] = self._database.execute("PRAGMA user_version").fetchone()
        if layout > _LAYOUT:
            remedy = "pip install --upgrade etendue"
            raise InputError(f"was made by a newer etendue: its layout is {layout}", source=self.path, remedy=remedy)
        if writeable:
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(f"{_SCHEMA} PRAGMA user_version = {_LAYOUT};")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    # Filling

    def add(self, events: Iterable[PutEvent], *, passed_over: bool = False) -> int:
        """Add events; those that are known stay as they are.

        Parameters
        ----------
        events : iterable of PutEvent
            What was found.
        passed_over : bool
            Only remember them.

        Returns
        -------
        int
            How many were new.
        """
        state, now = "passed over" if passed_over else "waiting", time.time()
        insert = f"INSERT OR IGNORE INTO delivery ({_FOUND}) VALUES ({', '.join('?' * 9)})"
        rows = ((*_row(event), state, now) for event in events)
        with self._transaction() as database:
            before = database.total_changes
            database.executemany(insert, rows)
            added = database.total_changes - before
            fault_point("router.before-queued")
        fault_point("router.after-queued")
        return added

    def retry(self, keys: Sequence[str] = ()) -> int:
        """Put dead letters, or what is at the sink no more, back into the queue.

        Parameters
        ----------
        keys : sequence of str
            Which; all dead letters by default.

        Returns
        -------
        int
            How many.
        """
        fresh = "UPDATE delivery SET state = 'waiting', attempts = 0, due = 0, reason = ''"
        with self._transaction() as database:
            if not keys:
                return database.execute(f"{fresh} WHERE state = 'dead'").rowcount
            return sum(
                database.execute(
                    f"{fresh} WHERE state IN ('dead', 'done') AND rule = ? AND dataset_id = ? AND revision = ?", parts
                ).rowcount
                for parts in map(_parts, keys)
                if parts is not None
            )

    def unknown(self, events: Iterable[PutEvent]) -> int:
        """Return how many events were never added.

        Parameters
        ----------
        events : iterable of PutEvent
            What there is.
        """
        known = set(self._database.execute("SELECT rule, dataset_id, revision FROM delivery"))
        return len({(event.rule, event.dataset_id.bytes, event.revision) for event in events} - known)

    # Emptying

    def waiting(self, limit: int, *, after: int = 0, now: float | None = None) -> list[Delivery]:
        """Return deliveries to be made, in the order in which they were found.

        Parameters
        ----------
        limit : int
            At most so many.
        after : int
            Only later numbers.
        now : float, optional
            Only what is due at this time [s since 1970]; by default everything.

        Returns
        -------
        list of Delivery
        """
        due, values = "", list[Any]([after])
        if now is not None:  # a clock that was set back delays nothing for ever
            due, values = " AND (due <= ? OR due > ?)", [after, now, now + 2 * 86400.0]
        query = f"SELECT {_COLUMNS} FROM delivery WHERE state = 'waiting' AND number > ?{due} ORDER BY number LIMIT ?"
        return [_delivery(row) for row in self._database.execute(query, [*values, limit])]

    def tries(self, number: int) -> int | None:
        """Return how often a delivery was tried; None if it does not wait.

        Parameters
        ----------
        number : int
            Which.
        """
        return self._one("SELECT tries FROM delivery WHERE state = 'waiting' AND number = ?", number)

    def next_due(self) -> float | None:
        """Return when the next delivery is due [s since 1970]; None if nothing waits."""
        return self._one("SELECT min(due) FROM delivery WHERE state = 'waiting'")

    def record(self, outcomes: Iterable[Outcome], retries: Retries) -> dict[str, int]:
        """Note how deliveries ended.

        Parameters
        ----------
        outcomes : iterable of Outcome
            One per delivery.
        retries : Retries
            When to try again.

        Returns
        -------
        dict of str to int
            How many came into each state.
        """
        now, counts = time.time(), dict[str, int]()
        fault_point("router.before-recorded")
        with self._transaction() as database:
            for outcome in outcomes:
                state = self._settle(database, outcome, retries, now)
                counts[state] = counts.get(state, 0) + 1
        fault_point("router.after-recorded")
        return counts

    def _settle(self, database: sqlite3.Connection, outcome: Outcome, retries: Retries, now: float) -> str:
        if outcome.state == "failed":
            [attempts] = database.execute(
                "SELECT attempts + 1 FROM delivery WHERE number = ?", [outcome.number]
            ).fetchone()
            state = "dead" if attempts >= retries.attempts else "waiting"
            pause = min(retries.first_s * 2.0 ** min(attempts - 1, 60), retries.longest_s) * random.uniform(1.0, 1.25)
            database.execute(
                "UPDATE delivery SET state = ?, attempts = ?, tries = tries + 1, due = ?, reason = ?, ended = ?"
                " WHERE number = ?",
                [state, attempts, now + pause, outcome.reason, now, outcome.number],
            )
            return state
        state = "dead" if outcome.state == "refused" else outcome.state
        if state == "done":
            self._replace_earlier(database, outcome)
        database.execute(
            "UPDATE delivery SET state = ?, tries = tries + 1, reason = ?, ended = ?, place = ?, size = ?, digest = ?"
            " WHERE number = ?",
            [state, outcome.reason, now, outcome.place, outcome.size, outcome.digest, outcome.number],
        )
        return state

    @staticmethod
    def _replace_earlier(database: sqlite3.Connection, outcome: Outcome) -> None:
        """Note what the delivered thing stands in place of: other revisions, other datasets of one name."""
        if outcome.place:
            database.execute(
                "UPDATE delivery SET state = 'replaced' WHERE state = 'done' AND place = ? AND number != ? AND"
                " (dataset_id, revision) != (SELECT dataset_id, revision FROM delivery WHERE number = ?)",
                [outcome.place, outcome.number, outcome.number],
            )

    def newest(self, place: str) -> int | None:
        """Return the revision of what is delivered at a place; None if nothing is.

        Parameters
        ----------
        place : str
            As in `Outcome`.
        """
        return self._one("SELECT max(revision) FROM delivery WHERE state = 'done' AND place = ?", place)

    # What is at the sink

    def held(self) -> Iterator[Held]:
        """Give what was delivered and should be at the sink, in the order in which it was found."""
        last = -1
        while rows := self._database.execute(
            f"SELECT {_COLUMNS}, place, size FROM delivery WHERE state = 'done' AND number > ?"
            " ORDER BY number LIMIT 1000", [last],
        ).fetchall():  # fmt: skip
            for row in rows:
                yield _held(row)
            last = rows[-1][0]

    def overdue(self, days: float | None, gigabytes: float | None, now: float) -> list[Held]:
        """Return what retention says should be at the sink no more, oldest first.

        Parameters
        ----------
        days : float or None
            Longest age since it was delivered [day].
        gigabytes : float or None
            Most bytes of all [10^9].
        now : float
            The time [s since 1970].

        Returns
        -------
        list of Held
        """
        room = float("inf") if gigabytes is None else gigabytes * 1e9
        oldest = float("-inf") if days is None else now - days * 86400.0
        found: list[Held] = []
        query = (
            f"SELECT {_COLUMNS}, place, max(size), max(ended) FROM delivery WHERE state = 'done' GROUP BY place"
            " ORDER BY max(ended) DESC, number DESC"
        )
        for row in self._database.execute(query):
            room -= row[_OWN + 1]
            if room < 0 or row[_OWN + 2] < oldest:
                found.append(_held(row))
        return found[::-1]

    def expire(self, places: Iterable[str]) -> None:
        """Note that the sink holds some places no more.

        Parameters
        ----------
        places : iterable of str
            Which.
        """
        fault_point("router.before-expired")
        with self._transaction() as database:
            database.executemany(
                "UPDATE delivery SET state = 'expired' WHERE state = 'done' AND place = ?",
                [[place] for place in places],
            )

    # What a status says

    def counts(self) -> dict[str, int]:
        """Return the number of deliveries by state; ``retrying`` are those that wait after a failure."""
        found = dict(self._database.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())
        found["retrying"] = self._one("SELECT count(*) FROM delivery WHERE state = 'waiting' AND attempts > 0") or 0
        return found

    def total_bytes(self) -> int:
        """Return the bytes that should be at the sink."""
        return self._one("SELECT sum(size) FROM (SELECT max(size) AS size FROM delivery WHERE state = 'done'"
                         " GROUP BY place)") or 0  # fmt: skip

    def oldest_waiting(self) -> float | None:
        """Return when the first of what waits was found [s since 1970]; None if nothing waits."""
        return self._one("SELECT min(found) FROM delivery WHERE state = 'waiting'")

    def last_done(self) -> float | None:
        """Return when something was delivered last [s since 1970]; None if never."""
        return self._one("SELECT max(ended) FROM delivery WHERE state = 'done'")

    def troubles(self, state: str, limit: int = 1000) -> list[tuple[PutEvent, int, str]]:
        """Return what failed: the event, the number of attempts, and why.

        Parameters
        ----------
        state : {"dead", "waiting"}
            Given up, or to be tried again.
        limit : int
            At most so many.
        """
        query = f"SELECT {_COLUMNS}, reason FROM delivery WHERE state = ? AND reason != '' ORDER BY number LIMIT ?"
        rows = self._database.execute(query, [state, limit])
        return [(_delivery(row).event, row[_ATTEMPTS], row[_OWN]) for row in rows]

    def history(self) -> list[tuple[float, float | None, str]]:
        """Return when each delivery was found and ended [s since 1970], and its state, in the order of finding."""
        query = "SELECT found, ended, state FROM delivery WHERE state != 'passed over' ORDER BY number"
        return self._database.execute(query).fetchall()

    # Facts: small things to remember

    def fact(self, name: str) -> Any:
        """Return what was noted under a name; None if nothing was."""
        found = self._one("SELECT value FROM fact WHERE name = ?", name)
        return None if found is None else json.loads(found)

    def identity(self) -> str:
        """Return what tells this queue from all others."""
        if (known := self.fact("identity")) is None:
            known = uuid.uuid4().hex[:12]
            self.note(identity=known)
        return str(known)

    def note(self, **facts: Any) -> None:
        """Note things, in one transaction.

        Parameters
        ----------
        **facts : object
            JSON-able.
        """
        with self._transaction() as database:
            rows = [(name, json.dumps(value)) for name, value in facts.items()]
            database.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", rows)

    def _one(self, query: str, *values: Any) -> Any:
        row = self._database.execute(query, values).fetchone()
        return row[0] if row else None


def _row(event: PutEvent) -> tuple[Any, ...]:
    data_id, implied = _json(event.data_id), _json(event.implied)
    return event.rule, event.dataset_id.bytes, event.revision, event.dataset_type, data_id, implied, event.run


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def _delivery(row: Sequence[Any]) -> Delivery:
    number, rule, dataset_id, revision, dataset_type, data_id, implied, run, attempts, tries, digest = row[:_OWN]
    event = PutEvent(
        rule, uuid.UUID(bytes=dataset_id), revision, dataset_type, json.loads(data_id), json.loads(implied), run
    )
    return Delivery(number, event, attempts, tries, digest)


def _held(row: Sequence[Any]) -> Held:
    delivery = _delivery(row)
    return Held(delivery.event, row[_OWN], row[_OWN + 1], delivery.digest)


def _parts(key: str) -> tuple[str, bytes, int] | None:
    """Take a key apart; None where it is none."""
    try:
        rule, dataset_id, revision = key.split("/")
        return rule, uuid.UUID(dataset_id).bytes, int(revision)
    except ValueError:
        return None
