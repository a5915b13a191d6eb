"""Brings what waits in one queue to one sink: in batches, again after failures, and deletes what is overdue."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from etendue.errors import EtendueError
from etendue.faults import fault_point
from etendue.log import get_logger
from etendue.middleware.repository import Repository
from etendue.middleware.router.event import Delivery, Outcome
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.rules import Retention, SinkSpec
from etendue.middleware.router.sink import RouterSink, SinkDownError, down_reason, one_line

_LOG = get_logger(__name__)
_RETENTION_S = 60.0
_IDLE_S = 1.0
_SETTLING_REST = 10.0  # after settling, in units of the time it took


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened at a sink.

    Parameters
    ----------
    sink : str
        Which.
    kind : {"delivered", "dead", "down", "up", "expired", "trouble"}
        What.
    count : int
        How many deliveries.
    text : str
        Why, in one line.
    """

    sink: str
    kind: Literal["delivered", "dead", "down", "up", "expired", "trouble"]
    count: int = 0
    text: str = ""


class Courier:
    """Works on one queue; not for several threads at once.

    Parameters
    ----------
    name : str
        Of the sink.
    spec : SinkSpec
        When to try again, what to delete.
    sink : RouterSink
        Where to.
    queue : Queue
        What waits.
    source : Repository
        Where the datasets are.
    tell : callable
        Called with what happened.
    stop : threading.Event
        Asks to end after the batch that is being delivered.
    """

    def __init__(
        self, name: str, spec: SinkSpec, sink: RouterSink, queue: Queue, source: Repository,
        tell: Callable[[Notice], None], stop: threading.Event,
    ):  # fmt: skip
        self._name, self._spec, self._sink, self._queue = name, spec, sink, queue
        self._source, self._tell, self._stop = source, tell, stop
        self._pause_s = self._again = self._next_retention = self._next_settling = 0.0
        self._failing = bool(queue.fact("down"))
        self._settled = False

    @property
    def is_down(self) -> bool:
        """Whether the last attempt found the sink down."""
        return self._failing

    def rest_s(self) -> float:
        """Return for how long nothing is to be done, unless something is found [s]."""
        if (left := self._again - time.monotonic()) > 0:
            return min(left, _IDLE_S)
        due = self._queue.next_due()
        return _IDLE_S if due is None else min(max(due - time.time(), 0.0), _IDLE_S)

    def unsettle(self) -> None:
        """Remember that something at the source has changed."""
        self._settled = False

    def step(self) -> bool:
        """Deliver one batch of what is due; return whether there was any.

        Whatever a sink raises is written down and tried again: a courier does not end by it.
        """
        if self._again > time.monotonic():
            return False
        batch = self._queue.waiting(self._sink.batch, now=time.time())
        try:
            if batch:
                self._deliver(batch)
            else:
                self._tidy_up()
            self._came_up()
        except Exception as error:
            self._went_down(error)
            return False
        return bool(batch)

    def drain(self) -> None:
        """Try everything that waits once, due or not; end early where the sink is down."""
        last = 0
        while not self._stop.is_set() and (batch := self._queue.waiting(self._sink.batch, after=last)):
            try:
                self._deliver(batch)
            except Exception as error:
                self._went_down(error)
                return
            last = batch[-1].number
        try:
            self._tidy_up()
            self._came_up()
        except Exception as error:
            self._went_down(error)

    def _deliver(self, batch: list[Delivery]) -> None:
        """Deliver and write down what became of it; of a batch that a sink cannot stand each by itself."""
        self._settled = False
        fault_point("router.before-delivery")
        outcomes: list[Outcome] = []
        trouble: Exception | None = None
        try:
            for outcome in self._sink.deliver(self._source, batch):
                outcomes.append(outcome)
        except Exception as error:
            trouble = error
        fault_point("router.after-delivery")
        if trouble is not None and not down_reason(trouble) and len(batch) == 1 and not outcomes:
            outcomes.append(Outcome(batch[0].number, "failed", one_line(trouble)))
            trouble = None
        if outcomes:
            self._say(self._queue.record(outcomes, self._spec.retries), outcomes)
        if trouble is not None and down_reason(trouble):
            raise trouble
        if trouble is not None:
            known = {outcome.number for outcome in outcomes}
            for delivery in batch:
                if delivery.number not in known:
                    self._deliver([delivery])

    def _say(self, counts: dict[str, int], outcomes: list[Outcome]) -> None:
        if done := counts.get("done"):
            self._tell(Notice(self._name, "delivered", done))
        if dead := counts.get("dead"):
            why = next(outcome.reason for outcome in reversed(outcomes) if outcome.state in ("failed", "refused"))
            self._tell(Notice(self._name, "dead", dead, why))

    def _tidy_up(self) -> None:
        """Do what is to be done when nothing waits; what fails there holds up no delivery."""
        trouble = ""
        for work in (self._settle, self._expire):
            try:
                work()
            except Exception as error:
                if down_reason(error):
                    raise
                trouble = one_line(error)
        if trouble != (self._queue.fact("trouble") or ""):
            self._queue.note(trouble=trouble)
            if trouble:
                self._tell(Notice(self._name, "trouble", text=trouble))

    def _settle(self) -> None:
        begin = time.monotonic()
        if not self._settled and begin >= self._next_settling:
            self._settled = True
            try:
                self._sink.settle(self._source)
            finally:
                self._next_settling = time.monotonic() + _SETTLING_REST * (time.monotonic() - begin)

    def _expire(self) -> None:
        limits = getattr(self._spec, "retention", None)
        if not isinstance(limits, Retention) or not limits.limited or time.monotonic() < self._next_retention:
            return
        self._next_retention = time.monotonic() + _RETENTION_S
        overdue = self._queue.overdue(limits.days, limits.gigabytes, time.time())
        for first in range(0, len(overdue), self._sink.batch):
            part = overdue[first : first + self._sink.batch]
            self._sink.expire(self._source, part)
            self._queue.expire([held.place for held in part])
        if overdue:
            self._tell(Notice(self._name, "expired", len(overdue)))

    def _went_down(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, SinkDownError) else down_reason(error) or one_line(error)
        retries = self._spec.retries
        self._pause_s = min(max(2.0 * self._pause_s, retries.first_s), retries.longest_s)
        self._again = time.monotonic() + self._pause_s * random.uniform(1.0, 1.25)
        if not isinstance(error, EtendueError | OSError) and not down_reason(error):
            _LOG.exception("sink %s", self._name)
        try:
            if not self._failing or reason != self._queue.fact("reason"):
                since = self._queue.fact("down") or time.time()
                self._queue.note(down=since, reason=reason)
                self._tell(Notice(self._name, "down", text=reason))
            self._failing = True
        except Exception as second:  # the disk of the queue is full
            self._tell(Notice(self._name, "trouble", text=one_line(second)))

    def _came_up(self) -> None:
        self._pause_s = 0.0
        if self._failing:
            self._queue.note(down=None, reason="")
            self._tell(Notice(self._name, "up"))
            self._failing = False


class CourierThread(threading.Thread):
    """Lets a courier work until it is asked to stop.

    Parameters
    ----------
    name : str
        Of the sink.
    courier : Courier
        Used by this thread only.
    stop : threading.Event
        The question.
    once : bool
        Only try everything once, then end.
    """

    def __init__(self, name: str, courier: Courier, stop: threading.Event, *, once: bool):
        super().__init__(name=f"router-{name}", daemon=True)
        self._courier, self._stop_asked, self._once = courier, stop, once
        self.found = threading.Event()
        """Set it when something new waits."""
        self.error: Exception | None = None
        self._source_changed = False

    def tell_change(self) -> None:
        """Say that something at the source has changed, which may be of no matter."""
        self._source_changed = True
        self.found.set()

    def run(self) -> None:
        """Let the courier work."""
        courier = self._courier
        try:
            if self._once:
                courier.drain()
            while not (self._once or self._stop_asked.is_set()):
                if self._source_changed:
                    self._source_changed = False
                    courier.unsettle()
                if not courier.step():
                    self.found.wait(courier.rest_s())
                    self.found.clear()
        except Exception as error:
            self.error = error
