"""A folder for raw files that could not be taken, each with a note that says why."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from etendue.disk import whole_file
from etendue.errors import InputError

_NOTE = ".why.json"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file in quarantine.

    Parameters
    ----------
    name : str
        Its name there.
    origin : str
        Where it came from, absolute.
    reason : str
        Why it was refused, in one line.
    time : str
        When, ISO 8601, UTC.
    """

    name: str
    origin: str
    reason: str
    time: str


class Quarantine:
    """A folder of refused files.

    Parameters
    ----------
    folder : Path
        Made with the first file.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def take(self, path: Path, reason: str) -> Path | None:
        """Move a file here; its note is written first, so that no file is ever without one.

        Parameters
        ----------
        path : Path
            The file.
        reason : str
            Why it was refused.

        Returns
        -------
        Path or None
            Where it is now; None for what is no file that can be moved, which stays.
        """
        if not path.is_file() and not path.is_symlink():
            return None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = self._free_name(path.name)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entry = Quarantined(name, str(path.absolute()), " ".join(reason.split()), now)
            with whole_file(self.folder / f"{name}{_NOTE}", "quarantine-note") as part:
                part.write_text(json.dumps(asdict(entry), indent=1))
            _move(path, self.folder / name)
        except PermissionError:
            return None
        return self.folder / name

    def entries(self) -> Iterator[Quarantined]:
        """Give the files that are here, by name; notes without their file, as a kill may leave them, do not count."""
        for note in sorted(self.folder.glob(f"*{_NOTE}")):
            entry = Quarantined(**json.loads(note.read_text()))
            if (self.folder / entry.name).exists() or (self.folder / entry.name).is_symlink():
                yield entry

    def release(self, entry: Quarantined) -> Path:
        """Move a file back to where it came from.

        Parameters
        ----------
        entry : Quarantined
            One of `entries`.

        Returns
        -------
        Path
            Where it is now.

        Raises
        ------
        InputError
            If another file is there meanwhile.
        """
        origin = Path(entry.origin)
        if origin.exists():
            raise InputError("another file took its place", source=self.folder / entry.name, value=entry.origin,
                             remedy="delete or rename one of the two")  # fmt: skip
        origin.parent.mkdir(parents=True, exist_ok=True)
        _move(self.folder / entry.name, origin)
        (self.folder / f"{entry.name}{_NOTE}").unlink(missing_ok=True)
        return origin

    def _free_name(self, name: str) -> str:
        def is_free(candidate: str) -> bool:
            return not any((self.folder / taken).exists() for taken in (candidate, f"{candidate}{_NOTE}"))

        return next(filter(is_free, chain([name], (f"{number}-{name}" for number in count(2)))))


def _move(source: Path, target: Path) -> None:
    """Rename a file; across file systems it is copied whole before it is deleted."""
    try:
        source.rename(target)
    except OSError:
        with whole_file(target, "quarantine") as part:
            shutil.copy2(source, part, follow_symlinks=True)
        source.unlink()
