"""The router itself: looks for datasets, fills the queues of sinks, and lets couriers empty them."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from etendue.errors import InputError
from etendue.middleware.journal import locked
from etendue.middleware.repository import Repository
from etendue.middleware.router.command_sink import CommandSink
from etendue.middleware.router.courier import Courier, CourierThread, Notice
from etendue.middleware.router.directory_sink import DirectorySink
from etendue.middleware.router.event import PutEvent
from etendue.middleware.router.pace import Pace
from etendue.middleware.router.previews import Previews
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.repository_sink import RepositorySink, require_another
from etendue.middleware.router.rules import (
    CommandSpec,
    DirectorySpec,
    RepositorySpec,
    Rule,
    Rules,
    SinkSpec,
    StreamSpec,
)
from etendue.middleware.router.scanner import Scanner, now_ns
from etendue.middleware.router.sink import RouterSink, SinkDownError, down_reason, one_line
from etendue.middleware.router.stream_server import StreamServer
from etendue.middleware.router.stream_sink import StreamSink

_LOOK_S = 0.05  # between two questions whether a SQLite database has changed
_CHUNK = 5000  # events per transaction of a queue
_OVERLAP_NS = 30 * 10**9  # transactions may end later than others that began later
_AGAIN_S = 10.0  # after the source could not be read


def state_folder(repository: Repository, state: Path | None = None) -> Path:
    """Return where a router keeps its queues: inside the repository unless said otherwise.

    Parameters
    ----------
    repository : Repository
        The source.
    state : Path, optional
        Another folder, for a repository that may only be read.
    """
    return state or repository.path / "etendue" / "router"


class Router:
    """Rules at work on a repository.

    Parameters
    ----------
    repository : Repository
        The source; it is only read.
    rules : Rules
        What goes where.
    rules_path : Path
        Named in errors.
    state : Path, optional
        Folder of the queues; inside the repository by default.
    poll_s : float
        Time between two looks at a database server [s]; a change of a SQLite database is seen at once.
    tell : callable, optional
        Called with what happened, from several threads.

    Raises
    ------
    InputError
        The rules do not fit the repository.
    """

    def __init__(
        self, repository: Repository, rules: Rules, rules_path: Path, *, state: Path | None = None, poll_s: float = 2.0,
        tell: Callable[[Notice], None] | None = None,
    ):  # fmt: skip
        self._repository, self._rules, self._poll_s = _for_one_thread(repository), rules, poll_s
        self._state = state_folder(repository, state)
        self._tell = tell or (lambda notice: None)
        self._tell_lock = threading.Lock()
        self._stop = threading.Event()
        self._scanner = Scanner(self._repository)
        self._threads: dict[str, CourierThread] = {}
        self._servers: dict[str, StreamServer] = {}
        self._refusal: Exception | None = None
        self._wrong: dict[str, str] = {}
        rules.require_known_placeholders(frozenset(repository.butler.dimensions.dimensions.names), rules_path)
        _require_apart(repository, rules, rules_path)
        for rule in rules.rules:
            next(self._scanner.find(rule, now_ns()), None)  # refuses a wrong expression

    @property
    def urls(self) -> dict[str, str]:
        """Addresses of the streams that are served, by sink."""
        return {name: server.url for name, server in self._servers.items()}

    def stop(self) -> None:
        """Ask `run` to end; a delivery that is being made is finished first, a command goes on by itself."""
        self._stop.set()
        for thread in self._threads.values():
            thread.found.set()

    def run(self, *, once: bool = False, ready: Callable[["Router"], None] | None = None) -> None:
        """Route until asked to stop.

        Parameters
        ----------
        once : bool
            Find everything, try every delivery once, and end.
        ready : callable, optional
            Called when streams are served and before anything is looked for.

        Raises
        ------
        InputError
            Another router works on one of the sinks, a port is in use, or the disk of the queues is full.
        """
        with ExitStack() as stack:
            stack.callback(self._scanner.close)
            for name in self._rules.sinks:
                folder = self._state / name
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder, "another router works on this sink"))
            queues = {name: Queue(self._state / name / "queue.sqlite3") for name in self._rules.sinks}
            for name, spec in self._rules.sinks.items():
                stack.callback(queues[name].close)
                queues[name].note(kind=spec.kind, place=_place(spec))
            self._make_threads(once, stack)
            if ready is not None:
                ready(self)
            if once:
                self._look(queues, whole=True)
                self._work(once=True)
            else:
                self._keep_looking(queues, stack)
        if self._refusal is not None:
            raise self._refusal
        if once and self._wrong:
            raise InputError(next(iter(self._wrong.values())))

    def _make_threads(self, once: bool, stack: ExitStack) -> None:
        for name, spec in self._rules.sinks.items():
            sink = None
            if isinstance(spec, StreamSpec):
                sink = StreamSink(name, spec, self._state / name / "stream.sqlite3")
                if not once:
                    previews = Previews(self._repository.path, self._state / name / "previews", spec.preview_px)
                    server = StreamServer(spec, self._state / name / "stream.sqlite3", previews, sink.published)
                    self._servers[name] = server
                    stack.callback(server.close)
            self._threads[name] = CourierThread(name, self._courier(name, spec, sink), self._stop, once=once)

    def _courier(self, name: str, spec: SinkSpec, sink: StreamSink | None) -> Courier:
        queue = Queue(self._state / name / "queue.sqlite3")
        made = sink or self._sink(name, spec, queue)
        return Courier(name, spec, made, queue, _for_one_thread(self._repository), self._say, self._stop)

    def _sink(self, name: str, spec: SinkSpec, queue: Queue) -> RouterSink:
        if isinstance(spec, RepositorySpec):
            return RepositorySink(spec)
        if isinstance(spec, DirectorySpec):
            return DirectorySink(spec, queue)
        assert isinstance(spec, CommandSpec)
        return CommandSink(name, spec, queue, self._state / name / "receipts", self._stop)

    def _say(self, notice: Notice) -> None:
        with self._tell_lock:
            self._tell(notice)

    def _work(self, *, once: bool) -> None:
        """Start the couriers; with ``once`` wait until they have ended."""
        for thread in self._threads.values():
            thread.start()
        while once and any(thread.is_alive() for thread in self._threads.values()):
            for thread in self._threads.values():
                thread.join(0.1)  # so that Ctrl-C is heard
        self._heed_threads()

    def _heed_threads(self) -> None:
        """Stop where a courier could not be made or broke."""
        for thread in self._threads.values():
            if thread.error is not None:
                self._refusal = thread.error
                self._stop.set()

    def _keep_looking(self, queues: dict[str, Queue], stack: ExitStack) -> None:
        stack.callback(self._wait_for_threads)
        self._work(once=False)
        pace = Pace(self._poll_s)
        while not self._stop.is_set():
            self._heed_threads()
            try:
                if pace.is_due(self._scanner.changed()):
                    whole, begin = pace.whole_is_due(), time.monotonic()
                    found = self._look(queues, whole=whole)
                    pace.looked(time.monotonic() - begin, whole=whole, found=found)
                    for thread in self._threads.values():
                        thread.tell_change()
            except Exception as error:
                self._source_failed(error)
            self._stop.wait(_LOOK_S)

    def _source_failed(self, error: Exception) -> None:
        if not down_reason(error):
            raise error
        self._say(Notice("", "trouble", text=one_line(error)))
        self._stop.wait(_AGAIN_S)

    def _wait_for_threads(self) -> None:
        self.stop()
        for thread in self._threads.values():
            if thread.is_alive():
                thread.join()

    def _look(self, queues: dict[str, Queue], *, whole: bool) -> int:
        """Look for datasets and put them into the queues; return how many deliveries are new.

        A rule whose expression is wrong, which shows when the first dataset of a type is there, stops no other rule.
        """
        new = 0
        for rule in self._rules.rules:
            try:
                new += self._look_for(rule, {name: queues[name] for name in rule.sinks}, whole=whole)
                self._wrong.pop(rule.name, None)
            except InputError as error:
                if self._wrong.get(rule.name) != str(error):
                    self._say(Notice("", "trouble", text=str(error)))
                self._wrong[rule.name] = str(error)
        return new

    def _look_for(self, rule: Rule, queues: dict[str, Queue], *, whole: bool) -> int:
        """Look for the datasets of one rule: all of them, or those registered since the last look."""
        said = rule.model_dump_json(exclude={"sinks"})
        now = now_ns()
        cursors = {name: queue.fact(f"cursor {said}") for name, queue in queues.items()}
        begins = {name: self._begin(queue, said, now) for name, queue in queues.items()}
        known = [cursor for cursor in cursors.values() if cursor is not None]
        since = min(known) - _OVERLAP_NS if len(known) == len(queues) and not whole else None
        latest, new = max(known, default=0), 0
        for chunk in _chunks(self._scanner.find(rule, since), _CHUNK):
            latest = max(latest, *(event.revision for event in chunk))
            for name, queue in queues.items():
                added = self._add(queue, chunk, 0 if rule.existing else begins[name])
                if added:
                    new += added
                    self._threads[name].found.set()
        for name, queue in queues.items():
            if cursors[name] != (cursor := min(latest, now)):  # a clock of another machine may be ahead
                queue.note(**{f"cursor {said}": cursor})
        return new

    @staticmethod
    def _begin(queue: Queue, said: str, now: int) -> int:
        """Return when a rule was first applied [ns TAI since 1970]."""
        if (begin := queue.fact(f"begin {said}")) is None:
            queue.note(**{f"begin {said}": now})
            return now
        return int(begin)

    @staticmethod
    def _add(queue: Queue, events: list[PutEvent], begin: int) -> int:
        """Queue what was registered after a time, only remember the others; return how many are new."""
        if old := [event for event in events if event.revision <= begin]:
            queue.add(old, passed_over=True)
        return queue.add(event for event in events if event.revision > begin)


def _for_one_thread(repository: Repository) -> Repository:
    """Return a repository with a Butler of its own: none may be used by two threads."""
    return Repository(repository.path, repository.butler.clone())


def _chunks(events: Iterable[PutEvent], size: int) -> Iterator[list[PutEvent]]:
    iterator = iter(events)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _place(spec: SinkSpec) -> str:
    if isinstance(spec, StreamSpec):
        return f"http://{spec.host}:{spec.port}/"
    return " ".join(spec.command) if isinstance(spec, CommandSpec) else str(spec.path)


def _require_apart(repository: Repository, rules: Rules, source: Path) -> None:
    """Refuse a sink inside the repository that it is filled from, or around it."""
    home = repository.path.resolve()
    for name, spec in rules.sinks.items():
        if not isinstance(spec, RepositorySpec | DirectorySpec):
            continue
        path = spec.path.resolve()
        if path == home or home in path.parents or (isinstance(spec, DirectorySpec) and path in home.parents):
            raise InputError(f"sink {name} and the repository lie in each other", source=source, value=str(spec.path),
                             remedy="choose a path outside it")  # fmt: skip
        if isinstance(spec, RepositorySpec) and (path / "butler.yaml").is_file():
            try:
                require_another(repository.path, path)
            except SinkDownError as error:
                raise InputError(str(error), source=source) from None
