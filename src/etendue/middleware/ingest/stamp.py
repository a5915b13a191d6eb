"""What tells whether a file has changed."""

from dataclasses import dataclass
from pathlib import Path


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
