"""What kind of failure ended a quantum, and whether another attempt makes sense.

===============  ==================================================================  =====================
kind             what it is                                                          tried again
===============  ==================================================================  =====================
data             the input cannot be used (`InputError`): a person has to look       no
resource         memory ran out, or the kernel killed the process for it             alone, without others
crash            the process died: a signal, an exit                                 yes
infrastructure   a network, a server or a lock did not answer                        yes, after a while
code             anything else: a mistake in the task                                no
===============  ==================================================================  =====================

A quantum that exceeds a limit which the user set is a ``resource`` failure too, and is not tried again.
"""

import errno
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from etendue.errors import InputError
from etendue.middleware.journal import Failure

WORTH_ANOTHER: tuple[Failure, ...] = ("resource", "crash", "infrastructure")
_UNREACHABLE = {
    errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE,
    errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.EAGAIN,
    errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.ENOLCK,
}  # fmt: skip
_NETWORK_MODULES = ("botocore", "urllib3", "requests", "psycopg2", "aiohttp", "fsspec")
_NETWORK_NAMES = (
    "Timeout", "TimeoutError", "ConnectionError", "ConnectionClosedError", "ConnectTimeoutError", "OperationalError",
    "ReadTimeoutError", "ProtocolError", "MaxRetryError", "InterfaceError", "NewConnectionError",
)  # fmt: skip
_LOCKED = ("database is locked", "database table is locked")
_OUT_OF_MEMORY = (errno.ENOMEM,)
_EXITS = {137: "SIGKILL", 143: "SIGTERM"}  # as shells say it


def classify(error: BaseException) -> Failure:
    """Return what kind of failure an exception is, looking at its causes too.

    Parameters
    ----------
    error : BaseException
        What a quantum raised.

    Returns
    -------
    str
        ``data``, ``resource``, ``infrastructure`` or ``code``.
    """
    causes = list(_causes(error))
    if any(_is_memory(cause) for cause in causes):
        return "resource"
    if any(_is_infrastructure(cause) for cause in causes):
        return "infrastructure"
    if any(isinstance(cause, InputError) for cause in causes):
        return "data"
    return "code"


def where(error: BaseException) -> str:
    """Return file, line and function that raised: the innermost that is no library's.

    Parameters
    ----------
    error : BaseException
        What a quantum raised.

    Returns
    -------
    str
        ``"etendue/stages/make_warp.py:57 in run"``; empty without a traceback.
    """
    frames = [frame for cause in _causes(error) for frame in _frames(cause.__traceback__)]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    if not own:
        return ""
    last = own[-1]
    return f"{_short(last.filename)}:{last.lineno} in {last.name}"


def why_it_died(exit_code: int | None, *, out_of_memory: bool) -> tuple[Failure, str]:
    """Return the kind of failure of a worker that is gone, and the reason in words.

    Parameters
    ----------
    exit_code : int, optional
        As `multiprocessing.Process.exitcode` gives it: minus the signal.
    out_of_memory : bool
        Whether the kernel has killed something for memory since the worker began.

    Returns
    -------
    str, str
    """
    if exit_code is not None and exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
    else:
        name = _EXITS.get(exit_code or 0, "")
    if name == "SIGKILL" and out_of_memory:
        return "resource", "its worker died (SIGKILL): the system ran out of memory"
    return "crash", f"its worker died ({name or f'exit code {exit_code}'})"


def oom_kills() -> int:
    """Return how many processes the kernel has killed for memory, of this control group and of the whole system.

    Returns
    -------
    int
        0 where the system does not tell.
    """
    counts = 0
    for path, key in ((Path("/proc/vmstat"), "oom_kill"), (Path("/sys/fs/cgroup/memory.events"), "oom_kill")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        counts += sum(int(line.split()[1]) for line in lines if line.startswith(f"{key} "))
    return counts


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OUT_OF_MEMORY)


def _is_infrastructure(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return True
    module = type(error).__module__
    if module.startswith(("sqlite3", "sqlalchemy")) and any(words in str(error) for words in _LOCKED):
        return True
    if getattr(error, "connection_invalidated", False):
        return True
    return module.startswith(_NETWORK_MODULES) and type(error).__name__.endswith(_NETWORK_NAMES)


def _frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    return [] if trace is None else list(traceback.extract_tb(trace))


def _short(filename: str) -> str:
    parts = Path(filename).parts
    return "/".join(parts[-3:])
