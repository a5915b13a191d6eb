"""What one quantum may use, how often a failed one is tried again, and when a run gives up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from etendue.errors import InputError

_PROC = Path("/proc")
_LOOK_S = 0.1  # how often to look at watched quanta


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the quanta of a run.

    Parameters
    ----------
    retries : int
        How often a quantum is tried again that failed for a reason which may pass (`failures.WORTH_ANOTHER`).
    time_s : float, optional
        Longest wall time [s].
    memory_mib : float, optional
        Largest resident memory of the worker, what it needs for itself (about 150 MiB) included [MiB].
    task_time_s, task_memory_mib : mapping of str to float
        The same for the tasks with these labels, instead of the two before.
    total_memory_mib : float, optional
        What all workers together may use [MiB]: a quantum waits while those that run leave too little for what its
        task has needed so far. Nine tenths of the free memory by default, where the system tells.
    max_failures : int, optional
        After so many failed quanta nothing new is begun.
    cache_mib : float
        How much of the inputs that other quanta read too a worker keeps [MiB].

    Raises
    ------
    InputError
        A limit is not positive, or memory cannot be watched on this system.
    """

    retries: int = 1
    time_s: float | None = None
    memory_mib: float | None = None
    task_time_s: Mapping[str, float] = field(default_factory=dict)
    task_memory_mib: Mapping[str, float] = field(default_factory=dict)
    total_memory_mib: float | None = None
    max_failures: int | None = None
    cache_mib: float = 256.0

    def __post_init__(self) -> None:
        memory = [limit for limit in (self.memory_mib, *self.task_memory_mib.values()) if limit is not None]
        positive = [self.time_s, *self.task_time_s.values(), *memory, self.total_memory_mib, self.max_failures]
        if self.retries < 0 or self.cache_mib < 0.0 or any(limit is not None and limit <= 0 for limit in positive):
            raise InputError("limits must be positive", value=self)
        if memory and not (_PROC / "self" / "statm").is_file():
            raise InputError("memory limits need Linux", value=memory[0], remedy="run without --memory-limit")

    @property
    def watched(self) -> bool:
        """Whether somebody must watch the quanta: they cannot run in the driver itself."""
        return any((self.time_s, self.memory_mib, self.task_time_s, self.task_memory_mib))

    @property
    def interval_s(self) -> float | None:
        """How often to look [s]; None for never."""
        return _LOOK_S if self.watched else None

    @property
    def cache_bytes(self) -> int:
        """Size of a worker's cache of inputs, at most a quarter of its memory limit [bytes]."""
        own = [limit / 4.0 for limit in (self.memory_mib, *self.task_memory_mib.values()) if limit is not None]
        return int(min([self.cache_mib, *own]) * 2**20)

    def time_of(self, label: str) -> float | None:
        """Return the time limit of a task [s]."""
        return self.task_time_s.get(label, self.time_s)

    def memory_of(self, label: str) -> float | None:
        """Return the memory limit of a task [MiB]."""
        return self.task_memory_mib.get(label, self.memory_mib)

    def require_tasks(self, labels: Iterable[str]) -> None:
        """Refuse limits of tasks that the pipeline does not have.

        Parameters
        ----------
        labels : iterable of str
            Tasks of the pipeline.

        Raises
        ------
        InputError
            Names the first one that it lacks.
        """
        known = set(labels)
        for label in (*self.task_time_s, *self.task_memory_mib):
            if label not in known:
                remedy = f"tasks: {', '.join(sorted(known))}"
                raise InputError("a limit of a task that is not in the pipeline", value=label, remedy=remedy)

    def excess(self, label: str, process_id: int, elapsed_s: float) -> str:
        """Return which limit a quantum exceeds, in words.

        Parameters
        ----------
        label : str
            Its task.
        process_id : int
            Its worker.
        elapsed_s : float
            How long it has run [s].

        Returns
        -------
        str
            Empty while it exceeds none.
        """
        time_s, memory_mib = self.time_of(label), self.memory_of(label)
        if time_s is not None and elapsed_s > time_s:
            return f"took longer than the time limit of {time_s:g} s"
        if memory_mib is not None:
            used = resident_mib(process_id)
            if used > memory_mib:
                return f"used {used:.0f} MiB, more than the memory limit of {memory_mib:g} MiB"
        return ""


def resident_mib(process_id: int) -> float:
    """Return the resident memory of a process [MiB]; 0 where it has ended or the system does not tell.

    Parameters
    ----------
    process_id : int
        Of this machine.

    Returns
    -------
    float
    """
    return _of_status(_PROC / str(process_id) / "status", "VmRSS")


def peak_mib() -> float:
    """Return the largest resident memory of this process since `forget_peak` [MiB]; 0 where nobody tells."""
    return _of_status(_PROC / "self" / "status", "VmHWM")


def forget_peak() -> None:
    """Let `peak_mib` count from now on, where the system can."""
    try:
        (_PROC / "self" / "clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the peak is that of the whole life of the process
        return


def free_mib() -> float | None:
    """Return how much memory of the machine and of the control group is free [MiB]; None where nobody tells."""
    available = _of_status(_PROC / "meminfo", "MemAvailable")
    group = _group_free_mib()
    known = [value for value in (available or None, group) if value is not None]
    return min(known) if known else None


def _group_free_mib() -> float | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    if limit == "max":
        return None
    reclaimable = 1024.0 * _of_status(folder / "memory.stat", "inactive_file")  # bytes there, KiB in /proc
    return (float(limit) - float(used) + reclaimable) / 2**20


def _of_status(path: Path, key: str) -> float:
    """Return a number of KiB out of a file of names and numbers [MiB]."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0.0
    found = (line.split() for line in lines if line.startswith((f"{key}:", f"{key} ")))
    return next((float(words[1]) / 1024.0 for words in found), 0.0)
