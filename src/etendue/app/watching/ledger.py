"""What a watch has done so far, in one file of the repository."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from etendue.disk import whole_file
from etendue.middleware.ingest.stamp import Stamp


class Ledger:
    """Files that were settled, nights that are not finished or lack light curves, calibrations combined.

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
        self.behind: set[int] = set(state.get("behind", ()))
        self.listed: dict[int, int] = {int(night): n for night, n in state.get("listed", {}).items()}

    def settle(self, path: Path, stamp: Stamp, refusal: str = "", *, exposure: int | None = None) -> None:
        """Note what became of a file.

        Parameters
        ----------
        path : Path
            The file.
        stamp : Stamp
            As it was looked at.
        refusal : str
            Why it was not taken; empty for a file that was.
        exposure : int, optional
            Which exposure it was taken as.
        """
        known: dict[str, object] = asdict(stamp) | {"refusal": refusal}
        if exposure is not None:
            known |= {"exposure": exposure, "digest": _digest(path)}
        self._files[str(path.resolve())] = known

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

    def renew(self, path: Path, stamp: Stamp) -> bool:
        """Note the new time of a file that was taken before with the same bytes.

        Parameters
        ----------
        path : Path
            The file.
        stamp : Stamp
            As it is now.

        Returns
        -------
        bool
            False, and nothing noted, for any other file.
        """
        known = self._files.get(str(path.resolve()), {})
        if "exposure" not in known or known["digest"] != _digest(path):
            return False
        known |= asdict(stamp)
        return True

    def taken_as(self, path: Path) -> int | None:
        """Return which exposure an earlier version of a file was taken as.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        int or None
            None if it was not taken before.
        """
        known = self._files.get(str(path.resolve()), {})
        return int(str(known["exposure"])) if "exposure" in known else None

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = {"files": self._files, "pending": sorted(self.pending), "combined": self.combined,
                 "behind": sorted(self.behind), "listed": self.listed}  # fmt: skip
        with whole_file(self._path, "watch") as part:
            part.write_text(json.dumps(state))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]
