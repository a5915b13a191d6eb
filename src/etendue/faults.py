"""Named points inside writes and commits where a test makes the process die or the disk fail.

Code calls ``fault_point("journal.append.before-sync")``, which does nothing until a fault is armed there, by `arm` or
by the environment::

    ETENDUE_FAULTS="image.before-rename@3=kill archive.before-commit=no-space" ETENDUE_FAULTS_FIRED=/tmp/fired

At the third passage the process kills itself with SIGKILL; at the first commit of the archive the disk is full. With a
folder in ``ETENDUE_FAULTS_FIRED`` a fault fires once in all processes together and leaves a file of its name there;
otherwise it fires once in each process.
"""

import errno
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

POINTS = (
    "alert-log.before-write", "alert-log.before-sync", "alert-log.after-sync",
    "archive.partition", "archive.before-rename", "archive.before-commit",
    "backup.between-members", "restore.between-members", "restore.after-move",
    "camera.after-records", "camera.after-put",
    "certify.after-decertify", "certify.between-types", "decertify.between-types",
    "curated.between-files", "curated.after-files", "curated.after-certify",
    "copy.between-batches",
    "forget.after-prune",
    "ingest.after-records", "ingest.after-copy", "ingest.after-commit",
    "journal.append.before-write", "journal.append.before-sync", "journal.append.after-sync",
    "prune.between-batches",
    "refcat.between-shards", "refcat-shards.before-rename",
    "register.before-transfer", "register.after-transfer",
    "repair.after-forget", "repair.after-copy",
    "router.before-queued", "router.after-queued", "router.before-delivery", "router.after-delivery",
    "router.before-recorded", "router.after-recorded", "router.after-transfer", "router.before-published",
    "router.after-published", "router.after-command", "router.before-named", "router.after-named",
    "router.before-expired",
    "run.clock", "run.after-collection", "run.after-chain", "run.after-init-outputs",
    "skymap.after-records", "skymap.after-put",
    "visit.after-record", "visit.between-visits",
    "worker.before-quantum", "worker.after-outputs",
)  # fmt: skip
"""Every point that code names; besides, `etendue.disk.whole_file` makes two of the name of every file."""
OF_FILES = (".before-rename", ".after-rename")

_ERRORS = {"no-space": errno.ENOSPC, "read-only": errno.EROFS, "io-error": errno.EIO}


@dataclass(frozen=True, slots=True)
class _Fault:
    point: str
    passage: int
    action: str

    @classmethod
    def parse(cls, text: str) -> "_Fault":
        place, _, action = text.partition("=")
        point, _, passage = place.partition("@")
        if point not in POINTS and not point.endswith(OF_FILES):
            raise ValueError(f"no such fault point: {point!r}")
        return cls(point, int(passage or 1), action)


class _Armed:
    """The armed faults of this process, and how often each point was passed."""

    def __init__(self) -> None:
        self.text = ""
        self.fired = ""
        self.faults: tuple[_Fault, ...] = ()
        self.passages: Counter[str] = Counter()
        self.clock_shift_s = 0.0


_armed = _Armed()


def arm(faults: str, fired: str = "") -> None:
    """Arm faults in this process, instead of those armed before.

    Parameters
    ----------
    faults : str
        ``POINT[@PASSAGE]=ACTION``, separated by blanks. Actions: ``kill``, ``no-space``, ``read-only``, ``io-error``,
        ``interrupt`` (as Ctrl-C does), ``delay:SECONDS``, ``clock:SECONDS`` (added to `clock_shift_s`).
    fired : str
        Folder that remembers what fired; empty for none.

    Raises
    ------
    ValueError
        A point does not exist.
    """
    _armed.__init__()  # type: ignore[misc]
    _armed.faults = tuple(_Fault.parse(item) for item in faults.split())
    _armed.text, _armed.fired = faults, fired


def armed() -> tuple[str, str]:
    """Return the arguments of `arm` that arm another process in the same way."""
    return _armed.text, _armed.fired


def clock_shift_s() -> float:
    """Return by how much the wall clock has jumped [s]; 0 unless a fault made it jump."""
    return _armed.clock_shift_s


def fault_point(point: str) -> None:
    """Name a place where a process may die; does nothing unless a fault is armed here.

    Parameters
    ----------
    point : str
        One of `POINTS`, or of a file.
    """
    if _armed.faults:
        _pass(point)


def _pass(point: str) -> None:
    _armed.passages[point] += 1
    for fault in _armed.faults:
        if fault.point == point and fault.passage == _armed.passages[point] and _first(fault):
            _act(fault)


def _first(fault: _Fault) -> bool:
    if not _armed.fired:
        return True
    try:
        os.close(os.open(Path(_armed.fired) / fault.point, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _act(fault: _Fault) -> None:
    name, _, argument = fault.action.partition(":")
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)  # until the signal has arrived
    elif name == "delay":
        time.sleep(float(argument))
    elif name == "clock":
        _armed.clock_shift_s += float(argument)
    else:
        raise OSError(_ERRORS[name], os.strerror(_ERRORS[name]), fault.point)


if "ETENDUE_FAULTS" in os.environ:
    arm(os.environ["ETENDUE_FAULTS"], os.environ.get("ETENDUE_FAULTS_FIRED", ""))
