"""Run one command and write down how it ended, even if the router that asked for it is killed meanwhile.

A script of nothing but the standard library, started for every command in a session of its own::

    python -I -S supervisor.py RECEIPT TIMEOUT_S PROGRAM ARGUMENTS...

The caller holds a lock on a file and passes the open file on, so the lock is free when caller and supervisor are both
gone. The receipt is a JSON object: ``status`` (exit status, or minus a signal), ``trouble`` (why it could not start),
``timed_out``, ``tail`` (the last lines it wrote).
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

_TAIL = 2000  # bytes
_GRACE_S = 5.0  # between asking a program to end and ending it
_LOOK_S = 0.5  # a program may leave others behind that keep its output open


def main() -> None:
    """Run the command that the arguments name."""
    receipt, timeout_s, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    found: dict[str, object]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except (OSError, ValueError) as error:
        found = {"status": 127, "trouble": str(error), "timed_out": False, "tail": ""}
    else:
        tail, timed_out = _watch(process, time.monotonic() + timeout_s)
        found = {"status": process.wait(), "trouble": "", "timed_out": timed_out, "tail": tail}
    with open(receipt + ".part", "w") as stream:  # noqa: PTH123 (pathlib would double the time to start)
        json.dump(found, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(receipt + ".part", receipt)  # noqa: PTH104


def _watch(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[str, bool]:
    """Read what a process writes until it ends; return the end of that, and whether its time was over."""
    assert process.stdout is not None
    output, tail, open_ = process.stdout.fileno(), b"", True
    while process.poll() is None:
        left = deadline - time.monotonic()
        if left <= 0:
            _end(process)
            return _text(tail), True
        if not open_:
            time.sleep(min(left, 0.01))
        elif select.select([output], [], [], min(left, _LOOK_S))[0]:
            block = os.read(output, 65536)
            tail, open_ = (tail + block)[-_TAIL:], bool(block)
    while open_ and select.select([output], [], [], 0)[0]:
        block = os.read(output, 65536)
        tail, open_ = (tail + block)[-_TAIL:], bool(block)
    return _text(tail), False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _text(tail: bytes) -> str:
    return tail.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
