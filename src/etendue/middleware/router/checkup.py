"""Is everything that rules name where it should be?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.middleware.repository import Repository
from etendue.middleware.router.directory_sink import DirectorySink
from etendue.middleware.router.event import PutEvent
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.repository_sink import RepositorySink
from etendue.middleware.router.router import state_folder
from etendue.middleware.router.rules import DirectorySpec, RepositorySpec, Rules, SinkSpec
from etendue.middleware.router.scanner import Scanner
from etendue.middleware.router.sink import SinkDownError


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at one sink found.

    Parameters
    ----------
    name : str
        Of the sink.
    looked_at : int
        Deliveries whose replicas were read back; 0 for commands and streams, which keep nothing to look at.
    lost : tuple of (PutEvent, str)
        What is missing or damaged there, and which of it.
    unseen : int
        Datasets that rules name and no router has found yet.
    waiting, dead : int
        Not delivered yet; given up.
    down : str
        Why the sink could not be looked at; empty if it could.
    put_back : int
        Deliveries that will be made again.
    """

    name: str
    looked_at: int
    lost: tuple[tuple[PutEvent, str], ...]
    unseen: int
    waiting: int
    dead: int
    down: str = ""
    put_back: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything is where it should be."""
        return not (self.lost or self.unseen or self.waiting or self.dead or self.down)

    def row(self) -> dict[str, Any]:
        """Return a line of a table."""
        return {"sink": self.name, "looked at": self.looked_at, "missing": self._count(True),
                "damaged": self._count(False), "not found yet": self.unseen, "waiting": self.waiting,
                "dead": self.dead, "put back": self.put_back,
                "ok": "yes" if self.ok else "no"}  # fmt: skip

    def _count(self, missing: bool) -> int:
        return sum(reason.startswith(("missing", "its file is missing")) is missing for _, reason in self.lost)


def check(repository: Repository, rules: Rules, *, state: Path | None = None, repair: bool = False) -> list[Checked]:
    """Compare what rules name with the queues, and the queues with what is at the sinks.

    Parameters
    ----------
    repository : Repository
        The source.
    rules : Rules
        What should be where.
    state : Path, optional
        Folder of the queues.
    repair : bool
        Put into the queues again what is missing or damaged at a sink; a router delivers it.

    Returns
    -------
    list of Checked
        One per sink.
    """
    scanner, folder = Scanner(repository), state_folder(repository, state)
    scanner.close()  # nothing is watched
    found = []
    for name, spec in rules.sinks.items():
        named = [event for rule in rules.rules if name in rule.sinks for event in scanner.find(rule)]
        path = folder / name / "queue.sqlite3"
        if not path.is_file():
            found.append(Checked(name, 0, (), len(named), 0, 0))
            continue
        queue = Queue(path, writeable=repair)
        try:
            found.append(_checked(name, spec, queue, named, repair))
        finally:
            queue.close()
    return found


def _checked(name: str, spec: SinkSpec, queue: Queue, named: list[PutEvent], repair: bool) -> Checked:
    unseen = queue.unknown(named)
    counts, held, down = queue.counts(), list(queue.held()), ""
    lost: list[tuple[PutEvent, str]] = []
    looked_at = 0
    sink = _looked_into(spec, queue)
    if sink is not None:
        try:
            lost = [(item.event, reason) for item, reason in sink.lacks(held)]
            looked_at = len(held)
        except SinkDownError as error:
            down = str(error)
    put_back = queue.retry([event.key for event, _ in lost]) if repair and lost else 0
    return Checked(
        name, looked_at, tuple(lost), unseen, counts.get("waiting", 0), counts.get("dead", 0), down, put_back
    )


def _looked_into(spec: SinkSpec, queue: Queue) -> RepositorySink | DirectorySink | None:
    if isinstance(spec, RepositorySpec):
        return RepositorySink(spec)
    return DirectorySink(spec, queue) if isinstance(spec, DirectorySpec) else None
