"""One side of a comparison in a process of its own: prepared once, then run and timed on request."""

import resource
import subprocess
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Work = Callable[[], dict[str, Any]]
_KIB_PER_MIB = 1024.0


class Side:
    """A process that does one kind of work.

    Parameters
    ----------
    prepare : callable
        Importable; takes the folder with the inputs and the options, returns the work to be timed.
    folder : Path
        Inputs, and scratch.
    options : dict
        Sizes.
    warm : bool
        Do the work once before it is timed.
    """

    def __init__(self, prepare: Callable[..., Work], folder: Path, options: dict[str, Any], *, warm: bool = True):
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(prepare, folder, options, theirs, warm))
        self._process.start()
        theirs.close()

    def ready(self) -> str:
        """Wait until the side has prepared and warmed up; return why it cannot run, or nothing."""
        return str(self._pipe.recv())

    def measure(self) -> dict[str, Any]:
        """Do the work once and return its costs and facts.

        Raises
        ------
        RuntimeError
            The work failed.
        """
        self._pipe.send("go")
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return dict(answer)

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _serve(prepare: Callable[..., Work], folder: Path, options: dict[str, Any], pipe: Connection, warm: bool) -> None:
    try:
        work = prepare(folder, **options)
        if warm:
            work()  # compiled kernels are loaded, files are cached
    except Exception as error:  # the driver shows it: a package that is missing, mostly
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send("")
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(_timed(work))
        except Exception as error:  # see above
            pipe.send(f"{type(error).__name__}: {error}")


def _timed(work: Work) -> dict[str, Any]:
    cpu, wall = cpu_seconds(), time.perf_counter()
    facts = work()
    return {"cpu_s": cpu_seconds() - cpu, "wall_s": time.perf_counter() - wall, "peak_mib": _peak_mib()} | facts


def cpu_seconds() -> float:
    """Return user and system time of this process [s]."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_program(command: list[str], folder: Path) -> dict[str, float]:
    """Run another program in `folder`; return its user and system time [s] and its peak memory [MiB].

    Raises
    ------
    RuntimeError
        It failed; the end of what it said.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()[-200:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu_s, "peak_mib": after.ru_maxrss / _KIB_PER_MIB}


def _peak_mib() -> float:
    """Return the peak resident memory of this process [MiB].

    The kernel's ``ru_maxrss`` of a spawned process begins with its parent's; ``VmHWM`` is its own.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    own = [float(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return (own[0] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / _KIB_PER_MIB
