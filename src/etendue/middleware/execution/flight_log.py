"""What a worker was doing when it died: its log lines and its stack, written as it goes, read by the driver.

Rubin's executor keeps the log of a quantum in memory until the quantum ends. A worker that is killed takes it along;
therefore every record also goes to a file of the worker, which is emptied when a quantum begins.
"""

import faulthandler
import json
import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_WAIT_S = 0.5  # for a stack
_FIELDS = ("name", "levelno", "levelname", "filename", "pathname", "lineno", "funcName", "process", "processName")


@dataclass(frozen=True, slots=True)
class Flight:
    """What is left of a lost quantum.

    Parameters
    ----------
    records : tuple of logging.LogRecord
        Its log.
    stack : str
        Where its process was, the innermost call first; empty where that is not known.
    """

    records: tuple[logging.LogRecord, ...]
    stack: str

    @property
    def where(self) -> str:
        """File, line and function of the innermost call that is no library's."""
        calls = [line.strip() for line in self.stack.splitlines() if line.strip().startswith("File ")]
        own = [call for call in calls if "site-packages" not in call and "/lib/python" not in call] or calls
        if not own:
            return ""
        path, _, rest = own[0].removeprefix('File "').partition('", line ')
        line, _, name = rest.partition(" in ")
        return f"{'/'.join(Path(path).parts[-3:])}:{line} in {name}"


class FlightRecorder(logging.Handler):
    """Writes the log records of this process, and its stack should it die, to two files.

    Parameters
    ----------
    folder : Path
        Of all workers of a run.
    """

    def __init__(self, folder: Path):
        super().__init__(logging.INFO)
        log, stack = _paths(folder, os.getpid())
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._stack = stack.open("w")
        faulthandler.enable(self._stack, all_threads=False)  # a segmentation fault in compiled code
        if hasattr(signal, "SIGUSR1"):
            faulthandler.register(signal.SIGUSR1, self._stack, all_threads=False)  # when the driver asks
        logging.getLogger().addHandler(self)

    def begin(self) -> None:
        """Forget the quantum before."""
        os.ftruncate(self._log, 0)
        os.lseek(self._log, 0, os.SEEK_SET)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, without buffering."""
        values = {key: getattr(record, key) for key in _FIELDS}
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        line = json.dumps(values | {"created": record.created, "message": text}) + "\n"
        try:
            os.write(self._log, line.encode())
        except OSError:  # a full disk is noticed where it matters
            return


def recover(folder: Path, process_id: int) -> Flight:
    """Return what a worker that is gone had written, and delete it.

    Parameters
    ----------
    folder : Path
        Of all workers of a run.
    process_id : int
        The worker.

    Returns
    -------
    Flight
    """
    log, stack = _paths(folder, process_id)
    text = stack.read_text(errors="replace") if stack.is_file() else ""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    forget(folder, process_id)
    return Flight(tuple(record for line in lines if (record := _record(line)) is not None), text.strip())


def ask_for_stack(folder: Path, process_id: int) -> None:
    """Let a worker that hangs write its stack, and wait until it has.

    Parameters
    ----------
    folder : Path
        Of all workers of a run.
    process_id : int
        The worker.
    """
    if not hasattr(signal, "SIGUSR1"):
        return
    _, stack = _paths(folder, process_id)
    try:
        os.kill(process_id, signal.SIGUSR1)
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end and not stack.stat().st_size:
            time.sleep(0.01)
    except OSError:  # it has just ended
        return


def forget(folder: Path, process_id: int) -> None:
    """Delete what a worker had written."""
    for path in _paths(folder, process_id):
        path.unlink(missing_ok=True)


def note(text: str, level: int = logging.ERROR) -> logging.LogRecord:
    """Return a record of the driver for the log of a lost quantum."""
    return logging.LogRecord(__name__, level, __file__, 0, text, None, None, "note")


def _paths(folder: Path, process_id: int) -> tuple[Path, Path]:
    return folder / f"{process_id}.log", folder / f"{process_id}.stack"


def _record(line: str) -> logging.LogRecord | None:
    try:
        values: dict[str, Any] = json.loads(line)
    except ValueError:  # cut short
        return None
    text, created = values.pop("message"), values.pop("created")
    known = SimpleNamespace(**values)
    record = logging.LogRecord(
        known.name, known.levelno, known.pathname, known.lineno, text, None, None, known.funcName
    )
    record.created, record.process, record.processName = created, known.process, known.processName
    return record
