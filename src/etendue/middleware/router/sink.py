"""What every sink of a router can do, and how sinks say that they cannot."""

import errno
from collections.abc import Iterator, Sequence
from typing import Protocol

import sqlalchemy.exc

from etendue.disk import disk_trouble
from etendue.errors import EtendueError
from etendue.middleware.database import database_trouble
from etendue.middleware.repository import Repository
from etendue.middleware.router.event import Delivery, Held, Outcome

_OF_ONE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}  # others may go through


class SinkDownError(EtendueError):
    """A sink takes nothing now, whatever is sent: everything waits and no attempt is counted.

    Parameters
    ----------
    reason : str
        Why, in one line.
    """

    def __init__(self, reason: str):
        super().__init__(" ".join(reason.split()))


class RouterSink(Protocol):
    """A place that datasets are delivered to; delivering the same again changes nothing."""

    batch: int
    """How many deliveries it takes at once."""

    def deliver(self, source: Repository, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        """Deliver and verify.

        Parameters
        ----------
        source : Repository
            Where the datasets are.
        deliveries : sequence of Delivery
            What to deliver, at most `batch`.

        Yields
        ------
        Outcome
            One per delivery, as soon as it is known.

        Raises
        ------
        SinkDownError
            Nothing can be delivered now.
        """

    def settle(self, source: Repository) -> None:
        """Do what is to be done when nothing waits and something has changed; says early that a sink is down.

        Parameters
        ----------
        source : Repository
            Where the datasets are.
        """

    def expire(self, source: Repository, overdue: Sequence[Held]) -> None:
        """Delete things that were delivered; those that are gone already are passed over.

        Parameters
        ----------
        source : Repository
            Where the datasets came from: it is never touched.
        overdue : sequence of Held
            Which.
        """

    def lacks(self, held: Sequence[Held]) -> Iterator[tuple[Held, str]]:
        """Look at everything that should be at the sink.

        Parameters
        ----------
        held : sequence of Held
            What should be there.

        Yields
        ------
        held : Held
            What is missing or damaged.
        reason : str
            In one line.
        """


def down_reason(error: Exception) -> str:
    """Return in one line why an error means that a whole sink is down; empty if it does not.

    Parameters
    ----------
    error : Exception
        What a delivery raised.

    Returns
    -------
    str
    """
    if isinstance(error, SinkDownError):
        return str(error)
    if trouble := disk_trouble(error):
        return trouble
    if found := database_trouble(error):
        return str(found)
    if isinstance(error, OSError) and error.errno in _OF_ONE:
        return ""
    if isinstance(error, OSError | sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError):
        return one_line(error)
    return ""


def one_line(error: BaseException) -> str:
    """Return an error as one line.

    Parameters
    ----------
    error : BaseException
        Any.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, EtendueError | OSError) else f"{type(error).__name__}: {text}"
