"""When a router looks for datasets."""

import time

_WHOLE_S = 60.0  # after a change, until the next look at everything
_REST = 10.0  # after a look at everything, in units of the time it took


class Pace:
    """When to look, and whether at everything: rarely where that takes long, never where nobody wrote.

    Parameters
    ----------
    poll_s : float
        Time between two looks where nothing tells that something has changed [s].
    """

    def __init__(self, poll_s: float):
        self._poll_s = poll_s
        self._next_look = self._next_poll = self._next_whole = self._rested = 0.0
        self._changed = self._suspicious = self._unproven = True

    def is_due(self, changed: bool | None) -> bool:
        """Return whether to look now.

        Parameters
        ----------
        changed : bool or None
            Whether anybody wrote since the last question; None where that cannot be told.
        """
        now = time.monotonic()
        if changed:
            self._changed = self._suspicious = self._unproven = True
        if changed is None and now >= self._next_poll:
            self._changed = self._unproven = True
        return now >= self._next_look and (self._changed or self.whole_is_due())

    def whole_is_due(self) -> bool:
        """Return whether to look at everything: soon after a change that brought no news, later after any change."""
        now = time.monotonic()
        return now >= self._rested and (self._suspicious or (self._unproven and now >= self._next_whole))

    def looked(self, took_s: float, *, whole: bool, found: int) -> None:
        """Note how a look went.

        Parameters
        ----------
        took_s : float
            How long it took [s].
        whole : bool
            Whether it was at everything.
        found : int
            How much was new.
        """
        now = time.monotonic()
        self._next_look, self._next_poll = now + took_s, now + max(self._poll_s, took_s)
        self._changed = False
        if whole:
            self._rested, self._next_whole = now + _REST * took_s, now + max(_WHOLE_S, _REST * took_s)
            self._suspicious = self._unproven = False
        elif found:
            self._suspicious = False
