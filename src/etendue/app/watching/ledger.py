"""What a watch has done so far, in one file of the repository."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from etendue.disk import whole_file


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file has changed.

    Parameters
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Time of the last change [ns].
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file.

        Parameters
        ----------
        path : Path
            Existing file.

        Returns
        -------
        Stamp
        """
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns)


class Ledger:
    """Files that were settled, nights that are not finished, calibration frames that were combined.

    Whatever is written here has been done before, and can be done again without harm: a kill between the two costs a
    repetition that changes nothing.

    Parameters
    ----------
    path : Path
        The file, ``etendue/watch.json`` of a repository.
    """

    def __init__(self, path: Path):
        self._path = path
        state = json.loads(path.read_text()) if path.is_file() else {}
        self._files: dict[str, dict[str, object]] = state.get("files", {})
        self.pending: set[int] = set(state.get("pending", ()))
        self.combined: list[int] = state.get("combined", [])

    def settle(self, path: Path, stamp: Stamp, refusal: str = "") -> None:
        """Note what became of a file.

        Parameters
        ----------
        path : Path
            The file.
        stamp : Stamp
            As it was looked at.
        refusal : str
            Why it was not taken; empty for a file that was.
        """
        self._files[str(path.resolve())] = asdict(stamp) | {"refusal": refusal}

    def is_settled(self, path: Path, stamp: Stamp) -> bool:
        """Return whether a file, as it is now, needs nothing more.

        Parameters
        ----------
        path : Path
            The file.
        stamp : Stamp
            As it is now.

        Returns
        -------
        bool
        """
        known = self._files.get(str(path.resolve()))
        return known is not None and (known["size"], known["mtime_ns"]) == (stamp.size, stamp.mtime_ns)

    def was_taken(self, path: Path) -> bool:
        """Return whether an earlier version of a file was taken.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        bool
        """
        known = self._files.get(str(path.resolve()))
        return known is not None and not known["refusal"]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = {"files": self._files, "pending": sorted(self.pending), "combined": self.combined}
        with whole_file(self._path, "watch") as part:
            part.write_text(json.dumps(state))
