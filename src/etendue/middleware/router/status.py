"""What the queues of a router say about its sinks."""

import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.middleware.router.event import PutEvent
from etendue.middleware.router.queue import Queue


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How one sink stands.

    Parameters
    ----------
    name, kind, place : str
        Of the sink.
    served : bool
        Whether a router works on it now.
    down_since : float or None
        When it went down [s since 1970]; None if it is not, or nobody tried.
    reason : str
        Why it is down.
    trouble : str
        What else does not succeed there: its collections, deleting what is overdue.
    counts : dict of str to int
        Deliveries by state, and ``retrying`` among the waiting.
    bytes : int
        Delivered and kept there.
    oldest_s : float or None
        For how long the first of what waits has been known [s].
    last_s : float or None
        How long ago something was delivered [s].
    """

    name: str
    kind: str
    place: str
    served: bool
    down_since: float | None
    reason: str
    trouble: str
    counts: dict[str, int]
    bytes: int
    oldest_s: float | None
    last_s: float | None

    @property
    def state(self) -> str:
        """One word or two."""
        if self.down_since is not None:
            return "down"
        if not self.served:
            return "off"
        return "busy" if self.counts.get("waiting") else "idle"

    def row(self) -> dict[str, Any]:
        """Return a line of a table."""
        count = self.counts.get
        return {
            "sink": self.name, "kind": self.kind, "state": self.state, "done": count("done", 0),
            "waiting": count("waiting", 0), "failed": count("retrying", 0), "dead": count("dead", 0),
            "gone": count("gone", 0), "expired": count("expired", 0) + count("replaced", 0),
            "MB": self.bytes / 1e6, "oldest": span(self.oldest_s), "last": span(self.last_s),
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-able."""
        return {
            "sink": self.name, "kind": self.kind, "place": self.place, "state": self.state, "served": self.served,
            "down_since": self.down_since, "reason": self.reason, "trouble": self.trouble,
            "counts": self.counts, "bytes": self.bytes, "oldest_waiting_s": self.oldest_s, "last_done_s": self.last_s,
        }  # fmt: skip


def sink_queues(state: Path) -> Iterator[tuple[str, Queue]]:
    """Give the queues below a folder, to look at, by name of the sink.

    Parameters
    ----------
    state : Path
        Of the router.
    """
    for path in sorted(state.glob("*/queue.sqlite3")):
        queue = Queue(path, writeable=False)
        try:
            yield path.parent.name, queue
        finally:
            queue.close()


def statuses(state: Path) -> list[SinkStatus]:
    """Return how all sinks stand, also those that no rule names any more.

    Parameters
    ----------
    state : Path
        Of the router.
    """
    now = time.time()
    found = []
    for name, queue in sink_queues(state):
        oldest, last = queue.oldest_waiting(), queue.last_done()
        found.append(
            SinkStatus(
                name,
                queue.fact("kind") or "",
                queue.fact("place") or "",
                _served(state / name),
                queue.fact("down"),
                queue.fact("reason") or "",
                queue.fact("trouble") or "",
                queue.counts(),
                queue.total_bytes(),
                None if oldest is None else now - oldest,
                None if last is None else now - last,
            )
        )
    return found


def troubles(state: Path, limit: int) -> list[tuple[str, str, PutEvent, int, str]]:
    """Return what failed: sink, state, event, attempts, reason; dead letters first.

    Parameters
    ----------
    state : Path
        Of the router.
    limit : int
        At most so many of each state per sink.
    """
    return [
        (name, state_, event, attempts, reason)
        for state_ in ("dead", "waiting")
        for name, queue in sink_queues(state)
        for event, attempts, reason in queue.troubles(state_, limit)
    ]


def span(seconds: float | None) -> str:
    """Return a time span for people.

    Parameters
    ----------
    seconds : float or None
        None gives an empty text.
    """
    if seconds is None:
        return ""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def _served(folder: Path) -> bool:
    """Whether a router holds the lock of a sink."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
