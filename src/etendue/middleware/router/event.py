"""What a router handles: a dataset that appeared, its delivery to one sink, and what became of that."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

_BEGIN = datetime(1970, 1, 1)  # TAI

State = Literal["waiting", "done", "dead", "gone", "expired", "replaced", "passed over"]
"""Of a delivery: to be made; made and verified; given up; the dataset left the source before; deleted at the sink by
retention; a newer one stands in its place; older than a rule that wants new ones only."""


@dataclass(frozen=True, slots=True)
class PutEvent:
    """A dataset appeared that a rule names.

    Parameters
    ----------
    rule : str
        Which rule.
    dataset_id : UUID
        Which dataset.
    revision : int
        When it was registered [ns TAI since 1970]: a dataset that is removed and written again under its old id is
        another one.
    dataset_type : str
        Its type.
    data_id : dict
        Its data ID.
    implied : dict
        What follows from it: band, filter, day.
    run : str
        Its RUN collection.
    """

    rule: str
    dataset_id: uuid.UUID
    revision: int
    dataset_type: str
    data_id: dict[str, Any]
    implied: dict[str, Any]
    run: str

    @property
    def key(self) -> str:
        """What names this event for ever; with the name of the sink it is the key of a delivery."""
        return f"{self.rule}/{self.dataset_id}/{self.revision}"

    def values(self) -> dict[str, str]:
        """Return what the braces in names of files and arguments stand for."""
        joined = "_".join(str(value) for value in self.data_id.values())
        own = {"dataset_type": self.dataset_type, "data_id": joined, "run": self.run, "id": str(self.dataset_id),
               "id8": self.dataset_id.hex[-8:]}  # fmt: skip
        return {name: str(value) for name, value in (self.implied | self.data_id).items()} | own

    def to_dict(self) -> dict[str, Any]:
        """Return it JSON-able."""
        return {"key": self.key, "rule": self.rule, "dataset_type": self.dataset_type,
                "data_id": self.data_id | self.implied, "run": self.run, "id": str(self.dataset_id),
                "registered_tai": (_BEGIN + timedelta(microseconds=self.revision // 1000)).isoformat()}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one sink.

    Parameters
    ----------
    number : int
        Place in the queue of the sink.
    event : PutEvent
        What.
    attempts : int
        Failures since it was found or put back.
    tries : int
        Attempts ever, however they ended.
    digest : str
        Checksum of what was delivered before and got lost at the sink; empty otherwise.
    """

    number: int
    event: PutEvent
    attempts: int = 0
    tries: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt at a delivery ended.

    Parameters
    ----------
    number : int
        Of the delivery.
    state : {"done", "failed", "refused", "gone", "replaced"}
        Made and verified; to be tried again; hopeless; no such dataset any more; a newer one stands there already.
    reason : str
        Why not, in one line.
    place : str
        Where it is at the sink.
    size : int
        Bytes there.
    digest : str
        Checksum of what is there.
    """

    number: int
    state: Literal["done", "failed", "refused", "gone", "replaced"]
    reason: str = ""
    place: str = ""
    size: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Something that was delivered and is at the sink.

    Parameters
    ----------
    event : PutEvent
        What.
    place : str
        Where.
    size : int
        Bytes.
    digest : str
        Checksum when it was delivered.
    """

    event: PutEvent
    place: str
    size: int
    digest: str
