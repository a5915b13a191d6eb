"""The memory of one run: its graph, its pipeline and a line per finished quantum, safe against any kill."""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.faults import fault_point

Status = Literal["succeeded", "defeated", "no work", "failed", "skipped"]
FINISHED: tuple[Status, ...] = ("succeeded", "defeated", "no work")
Failure = Literal["", "data", "resource", "crash", "infrastructure", "code"]


@dataclass(frozen=True, slots=True)
class QuantumOutcome:
    """How one quantum ended.

    Parameters
    ----------
    quantum_id, label : str
        Which quantum; its task label in the pipeline.
    data_id : dict
        Its data ID.
    status : str
        ``succeeded``; ``defeated`` by an AlgorithmError; ``no work`` when upstream made too little;
        ``failed`` or its worker was killed; ``skipped`` because something upstream failed.
    message : str
        One line, for all but the succeeded.
    outputs : tuple of str
        IDs of the datasets written completely.
    wall_s, cpu_s : float
        Time spent [s].
    memory_mb : float
        Largest resident memory of the process so far [MiB].
    files : dict of str to int
        Files of the outputs below the roots of the repository's stores, with sizes [bytes].
    checksums : dict of str to tuple of (str or None)
        Checksums of these files, one per store.
    disk_trouble : str
        What the disk refused, if that is why it failed: no other quantum will do better.
    failure : str
        Of a failed one, what kind of failure (`etendue.middleware.execution.failures`): ``data``, ``resource``,
        ``crash``, ``infrastructure`` or ``code``.
    where : str
        Of a failed one, where in the code: the last line of etendue or of the task, or the stack of a lost worker.
    attempt : int
        Which attempt this was, from 1.
    began : float
        When it began [s since 1970, UTC]; 0 where that is not known.
    """

    quantum_id: str
    label: str
    data_id: dict[str, int | str]
    status: Status
    message: str = ""
    outputs: tuple[str, ...] = ()
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    files: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    disk_trouble: str = ""
    failure: Failure = ""
    where: str = ""
    attempt: int = 1
    began: float = 0.0

    def is_finished(self, stored: Mapping[str, int]) -> bool:
        """Return whether the quantum need not run again: it ended by itself and its files are whole.

        Parameters
        ----------
        stored : mapping of str to int
            Sizes of the files that all stores have, by path (`etendue.middleware.datastores.stored_sizes`).
        """
        return self.status in FINISHED and all(stored.get(path) == size for path, size in self.files.items())


class Journal:
    """Files of one run below the repository root; nothing outside this class touches them.

    Parameters
    ----------
    folder : Path
        One folder per run.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def graph_path(self) -> Path:
        """Saved quantum graph: dataset IDs stay the same when the run is resumed."""
        return self.folder / "graph.qg"

    @property
    def running_path(self) -> Path:
        """What the run does now, for other processes; it is there while the run goes on, or after a kill."""
        return self.folder / "running.json"

    @property
    def exists(self) -> bool:
        """Whether a run was fully prepared here (the description is written last)."""
        return (self.folder / "run.json").is_file()

    def prepare(self, description: dict[str, Any]) -> None:
        """Write what the run is of, atomically, after its graph.

        Parameters
        ----------
        description : dict
            JSON-able: pipeline, inputs, where, run.
        """
        with whole_file(self.folder / "run.json", "run-json") as part:
            part.write_text(json.dumps(description, indent=1, sort_keys=True))

    def description(self) -> dict[str, Any]:
        """Return what `prepare` wrote."""
        return dict(json.loads((self.folder / "run.json").read_text()))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the kernel frees it when the process dies.

        Raises
        ------
        InputError
            Another process executes this run.
        """
        with locked(self.folder, "this run is being executed by another process"):
            yield

    def append(self, outcome: QuantumOutcome, *, again: bool = False) -> None:
        """Record an outcome; called only after its outputs are complete on disk.

        Parameters
        ----------
        outcome : QuantumOutcome
            How an attempt ended.
        again : bool
            Another attempt follows: this is not yet the outcome of the quantum.

        Raises
        ------
        OSError
            The disk is full or cannot be written; the journal is as it was.
        """
        values = {field.name: getattr(outcome, field.name) for field in fields(outcome)}
        line = json.dumps(values | ({"again": True} if again else {})).encode() + b"\n"
        with self._path.open("ab+", buffering=0) as stream:
            size = _cut_torn_line(stream)
            try:
                fault_point("journal.append.before-write")
                if stream.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                fault_point("journal.append.before-sync")
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(size)
                raise
        fault_point("journal.append.after-sync")

    @property
    def _path(self) -> Path:
        return self.folder / "journal.jsonl"

    def outcomes(self) -> dict[str, QuantumOutcome]:
        """Return the last outcome of every quantum; a line cut short by a kill counts as never written."""
        return {outcome.quantum_id: outcome for outcome, again in self._lines() if not again}

    def attempts(self, quantum_id: str) -> tuple[QuantumOutcome, ...]:
        """Return how every attempt at a quantum ended, the first one first.

        Parameters
        ----------
        quantum_id : str
            Which quantum.

        Returns
        -------
        tuple of QuantumOutcome
        """
        return tuple(outcome for outcome, _ in self._lines() if outcome.quantum_id == quantum_id)

    def _lines(self) -> Iterator[tuple[QuantumOutcome, bool]]:
        for line in self._path.read_bytes().splitlines() if self._path.is_file() else ():
            try:
                values = json.loads(line)
            except ValueError:
                continue
            again = bool(values.pop("again", False))
            yield QuantumOutcome(**values | {"outputs": tuple(values["outputs"])}), again

    def registered(self) -> set[str]:
        """Return the IDs of the datasets of this run that the repository already knows."""
        path = self.folder / "registered.json"
        return set(json.loads(path.read_text())) if path.is_file() else set()

    def mark_registered(self, dataset_ids: set[str]) -> None:
        """Add datasets to `registered`, atomically."""
        self._write_registered(self.registered() | dataset_ids)

    def mark_forgotten(self, dataset_ids: set[str]) -> None:
        """Take datasets out of `registered`, atomically."""
        self._write_registered(self.registered() - dataset_ids)

    def _write_registered(self, dataset_ids: set[str]) -> None:
        with whole_file(self.folder / "registered.json", "registered") as part:
            part.write_text(json.dumps(sorted(dataset_ids)))


@contextmanager
def locked(folder: Path, refusal: str) -> Iterator[None]:
    """Hold a folder for this process; the kernel frees it when the process dies.

    Parameters
    ----------
    folder : Path
        Existing folder; the file ``lock`` in it is used.
    refusal : str
        What to say when another process holds it.

    Raises
    ------
    InputError
        Another process holds it.
    """
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(refusal, source=folder, remedy="wait for it, or stop it") from None
        yield


def _cut_torn_line(stream: FileIO) -> int:
    """Cut off what a killed writer left after the last whole line, and return the size [bytes]."""
    size = stream.seek(0, os.SEEK_END)
    if not size:
        return 0
    stream.seek(size - 1)
    if stream.read(1) == b"\n":
        return size
    stream.seek(0)
    whole = (stream.readall() or b"").rfind(b"\n") + 1
    stream.truncate(whole)
    return whole
