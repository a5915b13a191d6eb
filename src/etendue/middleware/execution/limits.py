"""What one quantum may use, and how often a killed one is tried again."""

from dataclasses import dataclass
from pathlib import Path

from etendue.errors import InputError

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of every quantum of a run.

    Parameters
    ----------
    retries : int
        How often a quantum whose worker died is given to another worker.
    time_s : float, optional
        Longest wall time [s].
    memory_mib : float, optional
        Largest resident memory of the worker, what it needs for itself (about 150 MiB) included [MiB].

    Raises
    ------
    InputError
        A limit is not positive, or memory cannot be watched on this system.
    """

    retries: int = 1
    time_s: float | None = None
    memory_mib: float | None = None

    def __post_init__(self) -> None:
        if self.retries < 0 or any(limit is not None and limit <= 0.0 for limit in (self.time_s, self.memory_mib)):
            raise InputError("limits must be positive", value=self)
        if self.memory_mib is not None and not (_PROC / "self" / "statm").is_file():
            raise InputError("memory limits need Linux", value=self.memory_mib, remedy="run without --memory-limit")

    @property
    def watched(self) -> bool:
        """Whether somebody must watch the quanta: they cannot run in the driver itself."""
        return self.time_s is not None or self.memory_mib is not None

    @property
    def interval_s(self) -> float | None:
        """How often to look [s]; None for never."""
        return 0.1 if self.watched else None

    def excess(self, process_id: int, elapsed_s: float) -> str:
        """Return which limit a quantum exceeds, in words.

        Parameters
        ----------
        process_id : int
            Its worker.
        elapsed_s : float
            How long it has run [s].

        Returns
        -------
        str
            Empty while it exceeds none.
        """
        if self.time_s is not None and elapsed_s > self.time_s:
            return f"took longer than the time limit of {self.time_s:g} s"
        if self.memory_mib is not None:
            used = _resident_mib(process_id)
            if used > self.memory_mib:
                return f"used {used:.0f} MiB, more than the memory limit of {self.memory_mib:g} MiB"
        return ""


def _resident_mib(process_id: int) -> float:
    status = _PROC / str(process_id) / "status"
    try:
        lines = status.read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return next((float(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS")), 0.0)
