"""What a run is doing: a bar and a table on terminals, lines elsewhere, and a small file for other processes."""

import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from etendue.middleware.data_ids import data_id_text
from etendue.middleware.execution.forecast import Forecast
from etendue.middleware.execution.limits import resident_mib
from etendue.middleware.execution.pool import Running
from etendue.middleware.journal import QuantumOutcome

_FILE_S = 1.0  # how often the file is written
_LINE_S = 60.0  # how often a line is written where there is no terminal
_PER_SECOND = 2.0  # how often the screen is drawn
_MOST_ROWS = 12
_BAR = 20
_RECENT = 200  # quanta, for the rate


class Progress:
    """Counts what ends and shows what runs.

    Parameters
    ----------
    name : str
        Of the run, for people.
    total : int
        Quanta of the graph.
    done : int
        Those that were finished before.
    workers : int
        Processes.
    forecast : Forecast
        Knows how long things take.
    path : Path
        File for other processes; it exists while the run goes on.
    data_id : callable
        From quantum to data ID.
    shown : bool
        Whether to show anything.
    """

    def __init__(
        self, name: str, *, total: int, done: int, workers: int, forecast: Forecast, path: Path,
        data_id: Callable[[str], Mapping[str, int | str]], shown: bool,
    ):  # fmt: skip
        self.shown = shown
        self._name, self._total, self._done, self._workers = name, total, done, workers
        self._forecast, self._path, self._data_id = forecast, path, data_id
        self._began = time.monotonic()
        self._ends: deque[float] = deque([self._began], maxlen=_RECENT)
        self._counts: Counter[str] = Counter()
        self._running: Sequence[Running] = ()
        self._written = self._said = 0.0
        self._terminal = False

    @contextmanager
    def live(self) -> Iterator["Progress"]:
        """Show it until the body ends."""
        console = Console(stderr=True)
        self._terminal = self.shown and console.is_terminal
        self._said = time.monotonic()
        try:
            if self._terminal:
                with Live(self, console=console, refresh_per_second=_PER_SECOND, transient=True):
                    yield self
            else:
                yield self
        finally:
            self._path.unlink(missing_ok=True)

    def begin(self, running: Running) -> None:
        """Take note of the only quantum that runs, in this process."""
        self.look((running,))

    def look(self, running: Sequence[Running]) -> None:
        """Take note of everything that runs.

        Parameters
        ----------
        running : sequence of Running
            Of all workers.
        """
        self._running = running
        now = time.monotonic()
        if now - self._written >= _FILE_S:
            self._written = now
            self._write()
        if self.shown and not self._terminal and now - self._said >= _LINE_S:
            self._said = now
            print(f"etendue: {self.line()}", file=sys.stderr, flush=True)

    def end(self, outcome: QuantumOutcome) -> None:
        """Take note of the end of a quantum.

        Parameters
        ----------
        outcome : QuantumOutcome
            How it ended.
        """
        self._done += 1
        self._counts[outcome.status] += 1
        self._forecast.end(outcome)
        self._ends.append(time.monotonic())

    def line(self) -> str:
        """Return how far the run is, in one line."""
        told = [f"{self._name}: {self._done} of {self._total} quanta"]
        told += [f"{self._counts[status]} {status}" for status in ("defeated", "failed", "skipped")
                 if self._counts[status]]  # fmt: skip
        if (rate := self._rate()) is not None:
            told.append(f"{rate:.3g}/s" if rate >= 0.1 else f"{60.0 * rate:.2g}/min")
        told.append(f"{_clock(time.monotonic() - self._began)} gone")
        left = self._forecast.seconds_left(self._workers)
        return ", ".join([*told, f"{_clock(left)} left"] if left is not None else told)

    def __rich__(self) -> Group:
        """Return what is drawn on a terminal."""
        bar = RichTable.grid(padding=(0, 1))
        bar.add_row(ProgressBar(self._total, self._done, width=_BAR), Text(self.line(), overflow="ellipsis"))
        running = list(self._running)
        table = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("  running", "data", "time", "memory", "attempt"):
            table.add_column(heading, justify="right" if heading in ("time", "memory", "attempt") else "left")
        for item in sorted(running, key=lambda item: item.began)[:_MOST_ROWS]:
            table.add_row(*self._row(item))
        if len(running) > _MOST_ROWS:
            table.add_row(f"  and {len(running) - _MOST_ROWS} more")
        return Group(bar, table) if running else Group(bar)

    def _row(self, item: Running) -> tuple[str, ...]:
        memory = resident_mib(item.process_id or os.getpid())
        return (
            f"  {item.job.label}", data_id_text(self._data_id(item.job.quantum_id)), _clock(time.time() - item.began),
            f"{memory:.0f} MiB" if memory else "", str(item.job.attempt) if item.job.attempt > 1 else "",
        )  # fmt: skip

    def _rate(self) -> float | None:
        taken = time.monotonic() - self._ends[0]
        return (len(self._ends) - 1) / taken if len(self._ends) > 1 and taken > 0.0 else None

    def _write(self) -> None:
        values: dict[str, Any] = {
            "driver": os.getpid(), "updated": time.time(), "workers": self._workers, "total": self._total,
            "done": self._done, "seconds_left": self._forecast.seconds_left(self._workers),
            "running": [
                {"quantum": item.job.quantum_id, "task": item.job.label, "began": item.began,
                 "process": item.process_id or os.getpid(), "attempt": item.job.attempt,
                 "data_id": dict(self._data_id(item.job.quantum_id))}
                for item in self._running
            ],
        }  # fmt: skip
        part = self._path.with_suffix(".part")
        try:  # not synced: after a power cut nothing runs
            part.write_text(json.dumps(values))
            part.replace(self._path)
        except OSError:  # a full disk is noticed where it matters
            part.unlink(missing_ok=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
