"""A program as a sink: started once per dataset, without a shell, with a receipt that outlives the router."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from etendue.faults import fault_point
from etendue.middleware.repository import Repository
from etendue.middleware.router.event import Delivery, Held, Outcome
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.rules import CommandSpec, fill, placeholders
from etendue.middleware.router.sink import SinkDownError
from etendue.middleware.router.source import Found, look_up, missing

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_LOOK_S = 0.01
_LAST_LINE = 200  # letters


class CommandSink:
    """Runs a command per dataset, several at a time.

    A supervisor process runs the command and leaves a receipt. A router that was killed finds the receipt when it is
    started again, or waits for a supervisor that still works, so the command is not started twice. Only where the
    supervisor is killed too (the machine goes down) is it repeated, with the same ``ETENDUE_KEY``.

    Parameters
    ----------
    name : str
        Of the sink.
    spec : CommandSpec
        Which command.
    queue : Queue
        Knows which receipts are still wanted.
    folder : Path
        Where receipts are.
    stop : threading.Event
        Waiting for a command ends when it is set; the command goes on.
    """

    def __init__(self, name: str, spec: CommandSpec, queue: Queue, folder: Path, stop: threading.Event):
        self._name, self._spec, self._queue, self._folder, self._stop = name, spec, queue, folder, stop
        self._needs_path = any("path" in placeholders(part) for part in spec.command)
        self.batch = spec.parallel
        folder.mkdir(parents=True, exist_ok=True)

    def deliver(self, source: Repository, deliveries: Sequence[Delivery]) -> Iterator[Outcome]:
        """Run the command for each, all at the same time."""
        self._sweep()
        found, gone = look_up(source, deliveries)
        yield from gone
        with ExitStack() as stack:
            runs: list[_Run] = []
            for item in found:
                prepared = self._prepared(source, item, stack)
                if isinstance(prepared, Outcome):
                    yield prepared
                else:
                    runs.append(prepared)
            for run in runs:
                if not self._stop.is_set():
                    run.start()
            for run in runs:
                if (receipt := run.wait(self._stop)) is None:
                    return  # the command goes on, and its receipt will be read
                fault_point("router.after-command")
                if receipt["trouble"]:
                    run.forget()
                    raise SinkDownError(f"cannot start {self._spec.command[0]}: {receipt['trouble']}")
                yield self._judged(run.delivery, receipt)

    def _prepared(self, source: Repository, item: Found, stack: ExitStack) -> "_Run | Outcome":
        """Return a run that is not started, or why there can be none."""
        delivery, path = item.delivery, ""
        event = delivery.event
        if (file := item.whole_file()) is not None:
            if why := missing([file]):
                return Outcome(delivery.number, "failed", why)
            path = str(stack.enter_context(file.uri.as_local()).ospath)
        elif self._needs_path:
            return Outcome(delivery.number, "refused", "it is not stored as a file of its own")
        key = f"{self._name}/{event.key}"
        values = event.values() | {"path": path, "key": key, "repository": source.root}
        try:
            command = [fill(part, values) for part in self._spec.command]
        except KeyError as lacking:
            return Outcome(delivery.number, "refused", f"the command names {lacking.args[0]}, which its data ID lacks")
        said = {
            "KEY": key, "PATH": path, "REPOSITORY": source.root, "DATASET_TYPE": event.dataset_type, "RUN": event.run,
            "DATASET_ID": str(event.dataset_id), "DATA_ID": json.dumps(event.data_id | event.implied, default=str),
            "RULE": event.rule, "ATTEMPT": str(delivery.tries + 1),
        }  # fmt: skip
        environment = os.environ | {f"ETENDUE_{name}": value for name, value in said.items()}
        receipt = self._folder / f"{delivery.number}-{delivery.tries}.json"
        return _Run(delivery, receipt, command, environment, self._spec.timeout_s, stack)

    def _judged(self, delivery: Delivery, receipt: dict[str, Any]) -> Outcome:
        status = int(receipt["status"])
        if receipt["timed_out"]:
            return Outcome(delivery.number, "failed", f"took longer than {self._spec.timeout_s:g} s")
        if status == 0:
            return Outcome(delivery.number, "done")
        lines = str(receipt["tail"]).split("\n")
        last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")[:_LAST_LINE]
        how = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
        state = "refused" if status in self._spec.refuse else "failed"
        return Outcome(delivery.number, state, f"{how}: {last}" if last else how)  # type: ignore[arg-type]

    def _sweep(self) -> None:
        """Delete the receipts of deliveries that are settled."""
        for path in self._folder.iterdir():
            number, _, tries = path.name.partition(".")[0].partition("-")
            if not (number.isdecimal() and tries.isdecimal()) or self._queue.tries(int(number)) != int(tries):
                path.unlink(missing_ok=True)

    def settle(self, source: Repository) -> None:
        """Delete receipts."""
        self._sweep()

    def expire(self, source: Repository, overdue: Sequence[Held]) -> None:
        """What a command did stays done."""

    def lacks(self, held: Sequence[Held]) -> Iterator[tuple[Held, str]]:
        """What a command did cannot be looked at."""
        yield from ()


class _Run:
    """One run of the command, which may have been started by a router that was killed."""

    def __init__(
        self, delivery: Delivery, receipt: Path, command: list[str], environment: dict[str, str], timeout_s: float,
        stack: ExitStack,
    ):  # fmt: skip
        self.delivery, self._receipt, self._command = delivery, receipt, command
        self._environment, self._timeout_s = environment, timeout_s
        self._lock: IO[str] = stack.enter_context(receipt.with_suffix(".lock").open("w"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor, unless there is one or there was one that left a receipt."""
        if not self._free() or self._receipt.is_file():
            return
        arguments = [
            sys.executable,
            "-I",
            "-S",
            str(_SUPERVISOR),
            str(self._receipt),
            str(self._timeout_s),
            *self._command,
        ]
        self._process = subprocess.Popen(
            arguments, env=self._environment, pass_fds=(self._lock.fileno(),), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def wait(self, stop: threading.Event) -> dict[str, Any] | None:
        """Return the receipt; None when asked to stop first."""
        while not self._receipt.is_file():
            if stop.is_set():
                if self._process is not None:
                    self._process.returncode = 0  # it outlives us, which Python would warn of
                return None
            if self._process is not None and self._process.poll() is not None and not self._receipt.is_file():
                return {"status": 1, "trouble": "", "timed_out": False, "tail": "its supervisor was killed"}
            if self._process is None and self._free() and not self._receipt.is_file():
                self.start()
            time.sleep(_LOOK_S)
        if self._process is not None:
            self._process.wait()
        return dict(json.loads(self._receipt.read_text()))

    def forget(self) -> None:
        """Delete the receipt: the command never ran."""
        self._receipt.unlink(missing_ok=True)

    def _free(self) -> bool:
        """Take the lock, unless a supervisor of an earlier router holds it."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
