"""Work on a whole night that is repeated as frames arrive, for a part of the time only."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Chore:
    """Something that grows with the night: it is done when it is due, and then not again for some time.

    So frames that come faster than it can be repeated do not wait for it.

    Parameters
    ----------
    pause : float
        How long it rests, in units of the time that it took.
    """

    pause: float = 3.0
    took_s: float = 0.0
    _rested: float = 0.0

    @property
    def has_rested(self) -> bool:
        """Whether it may be done again."""
        return time.monotonic() >= self._rested

    def do(self, work: Callable[[], object]) -> None:
        """Do it, and note how long it took.

        Parameters
        ----------
        work : callable
            The work.
        """
        begin = time.monotonic()
        work()
        self.took_s = time.monotonic() - begin
        self._rested = time.monotonic() + self.pause * self.took_s
