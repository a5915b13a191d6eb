"""Ctrl-C, and the signal of a batch system that wants its node back: first let what runs end, then stop at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
_TOLD = "\netendue: stopping when what runs now has ended; Ctrl-C again stops at once\n"


class Interruption:
    """Whether somebody asked to stop.

    Attributes
    ----------
    requested : bool
        Nothing new may begin.
    """

    def __init__(self) -> None:
        self.requested = False

    def ask(self, *_: Any) -> None:
        """Take note of a first request; a second one raises `KeyboardInterrupt`."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.ask()
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _TOLD.encode())  # nothing else is safe inside a signal handler


@contextmanager
def interruptions() -> Iterator[Interruption]:
    """Catch SIGINT and SIGTERM in the main thread, unless the program handles them by itself.

    Yields
    ------
    Interruption
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    chosen = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) in _DEFAULTS]
    before = {number: signal.signal(number, interruption._handle) for number in chosen}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
