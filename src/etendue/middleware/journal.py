"""The memory of one run: its graph, its pipeline and a line per finished quantum, safe against any kill."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from etendue.errors import InputError

Status = Literal["succeeded", "defeated", "no work", "failed", "skipped"]
FINISHED: tuple[Status, ...] = ("succeeded", "defeated", "no work")


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
        temporary = self.folder / "run.json.part"
        temporary.write_text(json.dumps(description, indent=1, sort_keys=True))
        temporary.replace(self.folder / "run.json")

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
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    "this run is being executed by another process",
                    source=self.folder,
                    remedy="wait for it, or stop it",
                ) from None
            yield

    def append(self, outcome: QuantumOutcome) -> None:
        """Record an outcome; called only after its outputs are complete on disk."""
        line = json.dumps(asdict(outcome)) + "\n"
        with (self.folder / "journal.jsonl").open("a") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())

    def outcomes(self) -> dict[str, QuantumOutcome]:
        """Return the last outcome of every quantum; a line cut short by a kill counts as never written."""
        path = self.folder / "journal.jsonl"
        found: dict[str, QuantumOutcome] = {}
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                continue
            outcome = QuantumOutcome(**values | {"outputs": tuple(values["outputs"])})
            found[outcome.quantum_id] = outcome
        return found

    def registered(self) -> set[str]:
        """Return the IDs of the datasets of this run that the repository already knows."""
        path = self.folder / "registered.json"
        return set(json.loads(path.read_text())) if path.is_file() else set()

    def mark_registered(self, dataset_ids: set[str]) -> None:
        """Add datasets to `registered`, atomically."""
        temporary = self.folder / "registered.json.part"
        temporary.write_text(json.dumps(sorted(self.registered() | dataset_ids)))
        temporary.replace(self.folder / "registered.json")
