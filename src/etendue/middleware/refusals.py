"""What a repository would not take, and why: JSON lines beside its data, for the report."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that could not be used.

    Parameters
    ----------
    subject : str
        The file (absolute), or ``exposure ID`` where a frame is there but is no visit.
    reason : str
        Why, in one line; empty once it was taken after all.
    camera : str
        The camera it was taken for.
    time : str
        When it was last refused, ISO 8601, UTC.
    """

    subject: str
    reason: str
    camera: str
    time: str


class Refusals:
    """The refusals of one repository: a line is added when the verdict about a subject changes.

    Parameters
    ----------
    path : Path
        The file, ``etendue/refused.jsonl`` in a repository; it is made when something is refused.
    """

    def __init__(self, path: Path):
        self._path = path

    def record(self, verdicts: Mapping[str, str], *, camera: str) -> None:
        """Note what was refused and what was taken.

        Parameters
        ----------
        verdicts : mapping of str to str
            Subject to reason; an empty reason means it was taken, which ends an earlier refusal.
        camera : str
            The camera.
        """
        known = {refusal.subject: refusal.reason for refusal in self.current()}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        changed = [Refusal(subject, " ".join(reason.split()), camera, now) for subject, reason in verdicts.items()]
        lines = [json.dumps(asdict(new)) + "\n" for new in changed if known.get(new.subject, "") != new.reason]
        if not lines:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as stream:
            stream.write("".join(lines))
            stream.flush()
            os.fsync(stream.fileno())

    def current(self) -> tuple[Refusal, ...]:
        """Return what is refused now, in the order of the first refusal; a line cut short by a kill does not count.

        Returns
        -------
        tuple of Refusal
        """
        found: dict[str, Refusal] = {}
        for line in self._path.read_text().splitlines() if self._path.is_file() else ():
            try:
                refusal = Refusal(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue
            found[refusal.subject] = refusal
        return tuple(refusal for refusal in found.values() if refusal.reason)
