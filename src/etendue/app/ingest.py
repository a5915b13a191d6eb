"""Take raw files into a repository: once, or as they arrive in a growing folder."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etendue.app.watching.arrivals import Arrival, Arrivals
from etendue.middleware.ingest.delivery_log import DeliveryLog
from etendue.middleware.ingest.intake import IntakeRules, delivery_log
from etendue.middleware.ingest.outcome import IngestOutcome
from etendue.middleware.ingest.quarantine import Quarantine
from etendue.middleware.ingest.stamp import Stamp
from etendue.middleware.repository import Repository
from etendue.middleware.visits import VisitOutcome

_AT_ONCE = 1000  # files of a growing folder that are taken before it is looked at again


@dataclass(slots=True)
class IngestSummary:
    """What became of the files.

    Parameters
    ----------
    outcomes : list of IngestOutcome
        One per frame.
    visits : list of VisitOutcome
        One per exposure of which something was missing.
    """

    outcomes: list[IngestOutcome] = field(default_factory=list)
    visits: list[VisitOutcome] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Number of frames by what became of them."""
        return dict(Counter(outcome.status for outcome in self.outcomes))

    @property
    def refused(self) -> list[IngestOutcome]:
        """Frames, or whole files, that were not taken."""
        return [outcome for outcome in self.outcomes if outcome.status == "refused"]

    @property
    def new_visits(self) -> int:
        """Exposures that are visits, or more of their visit, now."""
        return sum(visit.defined for visit in self.visits)

    @property
    def without_visit(self) -> list[VisitOutcome]:
        """Science exposures that are none."""
        return [visit for visit in self.visits if not visit.defined]

    def by_kind(self) -> list[dict[str, Any]]:
        """Return the frames that are new, counted by kind and filter."""
        new = [o for o in self.outcomes if o.status in ("ingested", "replaced")]
        kinds = Counter((o.observation_type, o.physical_filter) for o in new)
        exposures = Counter((kind, name) for kind, name, _ in {(o.observation_type, o.physical_filter, o.exposure)
                                                               for o in new})  # fmt: skip
        return [{"type": kind, "filter": name, "exposures": exposures[kind, name], "frames": n}
                for (kind, name), n in sorted(kinds.items())]  # fmt: skip


Seen = Callable[[Sequence[IngestOutcome]], None]


def ingest(
    home: Repository, camera: str, paths: Iterable[Path], rules: IntakeRules, seen: Seen = lambda _: None
) -> IngestSummary:
    """Take files and define visits.

    Parameters
    ----------
    home : Repository
        Writeable.
    camera : str
        Registered camera.
    paths : iterable of Path
        Files.
    rules : IntakeRules
        How they are taken.
    seen : callable
        Told what became of some files, as soon as they are in the repository for good.

    Returns
    -------
    IngestSummary
    """
    outcomes = home.ingest(paths, camera=camera, rules=rules, seen=seen)
    return IngestSummary(list(outcomes), list(home.define_visits(camera)))


@dataclass(frozen=True, slots=True)
class Patience:
    """How a growing folder is watched.

    Parameters
    ----------
    rest_s : float
        A file that has not changed for so long is complete if its FITS structure is whole [s].
    patience_s : float
        A file that is not whole counts as truncated after so long without a change [s].
    until_idle_s : float
        End when nothing has come for so long [s].
    look_every_s : float
        Time between two looks [s].
    """

    rest_s: float = 2.0
    patience_s: float = 120.0
    until_idle_s: float = math.inf
    look_every_s: float = 1.0


class _Settled:
    """What needs no more attention: files that were taken earlier or looked at here, unless they change."""

    def __init__(self, log: DeliveryLog):
        self._stamps = log.stamps()

    def is_settled(self, path: Path, stamp: Stamp) -> bool:
        return self._stamps.get(str(path.resolve())) == stamp

    def settle(self, path: Path, stamp: Stamp) -> None:
        self._stamps[str(path.resolve())] = stamp


class GrowingFolder:
    """Takes the files of a folder as they come.

    Parameters
    ----------
    home : Repository
        Writeable.
    camera : str
        Registered camera.
    folder : Path
        Looked at again and again, to any depth.
    rules : IntakeRules
        How files are taken.
    patience : Patience
        When a file is complete, and when to end.
    tell : callable
        Told what became of files, as soon as they are in the repository for good.
    """

    def __init__(
        self, home: Repository, camera: str, folder: Path, rules: IntakeRules, patience: Patience,
        tell: Callable[[IngestSummary], None],
    ):  # fmt: skip
        self._home, self._camera, self._rules, self._patience, self._tell = home, camera, rules, patience, tell
        self._settled = _Settled(delivery_log(home, camera))
        self._arrivals = Arrivals(folder, self._settled, rest_s=patience.rest_s, patience_s=patience.patience_s)

    def watch(self, stop: Callable[[], bool]) -> None:
        """Look at the folder until asked to stop, or until nothing has come for long enough.

        Parameters
        ----------
        stop : callable
            Whether to end.
        """
        idle_since = time.monotonic()
        while not stop():
            poll = self._arrivals.poll()
            for arrival in (*poll.broken, *poll.ready):
                self._settled.settle(arrival.path, arrival.stamp)
            if poll.broken:
                self._refuse(poll.broken)
            for begin in range(0, len(poll.ready), _AT_ONCE):
                self._take([arrival.path for arrival in poll.ready[begin : begin + _AT_ONCE]])
            if poll.ready or poll.broken or poll.waiting:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._patience.until_idle_s:
                break
            time.sleep(self._patience.look_every_s)

    def _refuse(self, broken: Sequence[Arrival]) -> None:
        self._home.refusals.record({str(a.path.resolve()): a.refusal for a in broken}, camera=self._camera)
        if self._rules.quarantine is not None:
            place = Quarantine(self._rules.quarantine)
            for arrival in broken:
                place.take(arrival.path, arrival.refusal)
        self._tell(IngestSummary([IngestOutcome(str(a.path), "refused", a.refusal) for a in broken]))

    def _take(self, files: Sequence[Path]) -> None:
        """Take files; only their exposures are looked at for visits."""
        outcomes = self._home.ingest(files, camera=self._camera, rules=self._rules)
        exposures = {outcome.exposure for outcome in outcomes if outcome.exposure is not None}
        visits = self._home.define_visits(self._camera, only=exposures) if exposures else ()
        self._tell(IngestSummary(list(outcomes), list(visits)))


def retry(home: Repository, camera: str, quarantine: Path, rules: IntakeRules) -> IngestSummary:
    """Move files in quarantine back to where they came from, and take them again; those refused again go back.

    Parameters
    ----------
    home : Repository
        Writeable.
    camera : str
        Registered camera.
    quarantine : Path
        The folder.
    rules : IntakeRules
        How files are taken; its quarantine is this folder.

    Returns
    -------
    IngestSummary
    """
    place = Quarantine(quarantine)
    files = [place.release(entry) for entry in list(place.entries())]
    return ingest(home, camera, files, rules) if files else IngestSummary()
