"""A stream of events as a sink: what is published is kept, and served over HTTP while the router runs."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from etendue.middleware.repository import Repository
from etendue.middleware.router.event import Delivery, Held, Outcome
from etendue.middleware.router.previews import has_preview
from etendue.middleware.router.rules import StreamSpec
from etendue.middleware.router.source import Found, look_up
from etendue.middleware.router.stream_store import StreamStore


class StreamSink:
    """Publishes an event per dataset, once per key.

    Parameters
    ----------
    name : str
        Of the sink.
    spec : StreamSpec
        Where it is served, and what is kept.
    path : Path
        File of published events.
    """

    batch = 500

    def __init__(self, name: str, spec: StreamSpec, path: Path):
        self._name, self._spec, self._store = name, spec, StreamStore(path)
        self.published = threading.Condition()
        """Notified after every publication."""

    def deliver(self, source: Repository, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        """Publish all events in one transaction."""
        found, gone = look_up(source, deliveries)
        yield from gone
        numbers = self._store.publish(self._body(item) for item in found)
        with self.published:
            self.published.notify_all()
        for item, number in zip(found, numbers, strict=True):
            yield Outcome(item.number, "done", place=str(number))

    def _body(self, item: Found) -> dict[str, Any]:
        event = item.delivery.event
        return event.to_dict() | {
            "key": f"{self._name}/{event.key}",
            "storage_class": item.ref.datasetType.storageClass_name,
            "bytes": sum(file.size for file in item.files),
            "preview": f"/previews/{event.dataset_id}.png" if has_preview(item.ref) else None,
        }

    def settle(self, source: Repository) -> None:
        """Forget old events."""
        self._store.trim(self._spec.retention.days, self._spec.retention.events)

    def expire(self, source: Repository, overdue: Sequence[Held]) -> None:
        """Events are forgotten by `settle`."""

    def lacks(self, held: Sequence[Held]) -> Iterator[tuple[Held, str]]:
        """What was published cannot be lost without the queue beside it."""
        yield from ()
