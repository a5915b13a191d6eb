"""One quantum of a run: what it was, what it wrote, and why it ended as it did."""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from lsst.pipe.base.pipeline_graph import TaskImportMode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.errors import InputError
from etendue.middleware.changes import saved_reasons
from etendue.middleware.data_ids import data_id_text, parse_data_id
from etendue.middleware.journal import QuantumOutcome
from etendue.middleware.repository import Repository
from etendue.middleware.run_views.run_view import PlannedQuantum, RunView

_SHORTEST_ID = 4
_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Parameters
    ----------
    time : datetime
        When, UTC.
    level, name, message : str
        As Python's logging knows them; the message may have several lines.
    """

    time: datetime
    level: str
    name: str
    message: str


class QuantumView:
    """A quantum of a run.

    Parameters
    ----------
    repository : Repository
        The repository.
    run : RunView
        Its run.
    quantum : PlannedQuantum
        Which one.
    """

    def __init__(self, repository: Repository, run: RunView, quantum: PlannedQuantum):
        self._repository = repository
        self.run = run
        self.quantum = quantum

    @property
    def name(self) -> str:
        """Task and data ID in words."""
        return f"{self.quantum.label} {data_id_text(self.quantum.data_id)}"

    @property
    def status(self) -> str:
        """How it ended, or ``running``, ``skipped``, ``waiting``."""
        return self.run.status(self.quantum.quantum_id)

    @cached_property
    def attempts(self) -> tuple[QuantumOutcome, ...]:
        """How every attempt ended."""
        return self.run.journal.attempts(self.quantum.quantum_id)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was to run at all."""
        return saved_reasons(self.run.journal.folder).get(
            (self.quantum.label, tuple(self.quantum.data_id.values())), ()
        )

    def log(self) -> list[LogLine]:
        """Return its log: that of the last attempt, or of the running one so far.

        Returns
        -------
        list of LogLine

        Raises
        ------
        InputError
            It has none.
        """
        if self.status == "running":
            return self._running_log()
        name = f"{self.quantum.label}_log"
        refs = [ref for ref in self._repository.query(name, collections=self.run.run, find_first=False)
                if tuple(ref.dataId.required_values) == tuple(self.quantum.data_id.values())]  # fmt: skip
        if not refs:
            told = "it has not run" if self.status in ("waiting", "skipped") else "it was not registered, or not kept"
            raise InputError(f"no log of {self.name}: {told}", source=self.run.run)
        records = self._repository.get(refs[0])
        texts = [_without_blank_lines(record.message, record.exc_info) for record in records]
        return [LogLine(record.asctime, record.levelname, record.name, text)
                for record, text in zip(records, texts, strict=True)]  # fmt: skip

    def _running_log(self) -> list[LogLine]:
        process = next(
            item["process"] for item in self.run.now["running"] if item["quantum"] == self.quantum.quantum_id
        )
        path = self.run.journal.folder / "workers" / f"{process}.log"
        lines = path.read_text().splitlines() if path.is_file() else []
        found = []
        for line in lines:
            try:
                values = json.loads(line)
            except ValueError:  # being written
                continue
            time = datetime.fromtimestamp(values["created"], UTC)
            found.append(LogLine(time, values["levelname"], values["name"], values["message"]))
        return found

    def inputs(self) -> list[dict[str, Any]]:
        """Return what it reads: one row per dataset type, with the task or the collections that it comes from."""
        key = uuid.UUID(self.quantum.quantum_id)
        path = str(self.run.journal.graph_path)
        with PredictedQuantumGraph.open(path, import_mode=TaskImportMode.DO_NOT_IMPORT) as reader:
            reader.read_thin_graph()
            reader.read_quantum_datasets([key])
            graph = reader.finish()
        bipartite, makers = graph.bipartite_xgraph, graph.pipeline_graph
        kinds: dict[str, Counter[str]] = {}
        for dataset in bipartite.predecessors(key):
            node = bipartite.nodes[dataset]
            kinds.setdefault(str(node["dataset_type_name"]), Counter())[str(node["run"])] += 1
        rows = []
        for kind, runs in sorted(kinds.items()):
            maker = makers.producer_of(kind)
            label = maker.label if maker is not None and set(runs) == {self.run.run} else ""
            rows.append({"dataset": kind, "number": runs.total(), "from": label or ", ".join(sorted(runs))})
        return rows

    def explain(self) -> list[str]:
        """Return why it ended as it did, and what to do, in lines of text."""
        told = {
            "failed": self._failed, "skipped": self._skipped, "no work": self._no_work, "waiting": self._waiting,
            "defeated": self._defeated, "running": self._running,
        }.get(self.status)  # fmt: skip
        return told() if told is not None else ["it succeeded: see 'etendue run log' for what it wrote"]

    def _failed(self) -> list[str]:
        last = self.attempts[-1]
        lines = [last.message]
        if last.where:
            lines.append(f"at {last.where}")
        if below := self.run.downstream(self.quantum.quantum_id):
            lines.append(f"{below} quanta downstream were skipped for it")
        return [*lines, _REMEDIES.get(last.failure, "see its log, then run again with --resume")]

    def _defeated(self) -> list[str]:
        return [self.attempts[-1].message, "the data gave the method too little: the run goes on without it; "
                "--resume does not try it again"]  # fmt: skip

    def _skipped(self) -> list[str]:
        roots = self.run.roots(self.quantum.quantum_id)
        lines = [f"{o.label} {data_id_text(o.data_id)} failed: {o.message}" for o in roots[:_MOST_TOLD]]
        if len(roots) > _MOST_TOLD:
            lines.append(f"and {len(roots) - _MOST_TOLD} more")
        return ["it waits for what failed:", *lines, "repair the cause, then run again with --resume"]

    def _no_work(self) -> list[str]:
        outcomes = self.run.outcomes
        above = [outcomes[key] for key in self.run.upstream(self.quantum.quantum_id) if key in outcomes]
        empty = [outcome for outcome in above if outcome.status in ("defeated", "no work")]
        lines = [f"{o.label} {data_id_text(o.data_id)}: {o.status}{': ' * bool(o.message)}{o.message}"
                 for o in empty[:_MOST_TOLD]]  # fmt: skip
        if len(empty) > _MOST_TOLD:
            lines.append(f"and {len(empty) - _MOST_TOLD} more")
        return [f"{len(empty)} of {len(above)} quanta that it reads from made nothing:", *lines]

    def _waiting(self) -> list[str]:
        above = Counter(self.run.status(key) for key in self.run.upstream(self.quantum.quantum_id))
        open_ones = {status: n for status, n in above.items() if status in ("waiting", "running")}
        if self.run.state != "running":
            return ["the run ended before its turn: run again with --resume"]
        if not open_ones:
            return ["its turn has not come: everything that it reads is there"]
        return [f"it reads from {', '.join(f'{n} quanta that are {status}' for status, n in open_ones.items())}"]

    def _running(self) -> list[str]:
        now = next(item for item in self.run.now["running"] if item["quantum"] == self.quantum.quantum_id)
        began = datetime.fromtimestamp(now["began"], UTC)
        seconds = (datetime.now(UTC) - began).total_seconds()
        return [f"attempt {now['attempt']} runs for {seconds:.0f} s in process {now['process']}"]


def _without_blank_lines(*parts: str | None) -> str:
    return "\n".join(line for part in parts if part for line in part.splitlines() if line.strip())


_REMEDIES = {
    "data": "its input cannot be used: repair it or leave it out (overrides.yaml), then run again with --resume",
    "resource": "it needs more: raise --time-limit or --memory-limit for its task (TASK=VALUE), or use fewer workers "
    "(-j), then run again with --resume",
    "crash": "compiled code is at fault, or somebody killed it: its log ends with the stack; run again with --resume",
    "infrastructure": "a network, a server or a lock did not answer: run again with --resume when it does",
    "code": "a mistake in the task: its log has the traceback; correct it, then run again",
}


def find_quanta(repository: Repository, runs: Sequence[RunView], words: Sequence[str]) -> list[QuantumView]:
    """Return the quanta that words describe, in the latest run that has any.

    Parameters
    ----------
    repository : Repository
        The repository.
    runs : sequence of RunView
        The latest first.
    words : sequence of str
        The beginning or the end of an ID; or a task, and parts of a data ID: ``measure exposure=3 detector=1``.

    Returns
    -------
    list of QuantumView
        At least one.

    Raises
    ------
    InputError
        There is none, or a part of a data ID is malformed.
    """
    first, wanted = words[0], parse_data_id(words[1:])
    for run in runs:
        found = [quantum for quantum in run.quanta() if _matches(quantum, first, wanted)]
        if found:
            return [QuantumView(repository, run, quantum) for quantum in found]
    labels = sorted({quantum.label for run in runs[:1] for quantum in run.quanta()})
    remedy = f"give the end of an ID, or a task and its data ID; tasks of the latest run: {', '.join(labels)}"
    raise InputError("no such quantum", source=repository.path, value=" ".join(words), remedy=remedy)


def _matches(quantum: PlannedQuantum, first: str, wanted: dict[str, str]) -> bool:
    if quantum.label == first:
        return all(str(quantum.data_id.get(key)) == value for key, value in wanted.items())
    is_id = not wanted and len(first) >= _SHORTEST_ID
    return is_id and (quantum.quantum_id.startswith(first) or quantum.quantum_id.endswith(first))
