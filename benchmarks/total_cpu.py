"""CPU time of a command and of everything that it starts, orphans included."""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SUBREAPER = 36  # of prctl: orphans of our children become our own
_KIB_PER_MIB = 1024.0


def count(command: Sequence[str], folder: Path, *, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a command and wait until all its descendants have ended.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : Path
        Where it runs.
    environment : dict, optional
        Additions to the environment.

    Returns
    -------
    dict
        ``cpu_s``, ``wall_s``, ``peak_mib`` of the largest process, and ``said``: the last line of its output as JSON
        if it is that.

    Raises
    ------
    RuntimeError
        It failed.
    """
    _adopt_orphans()
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        list(command), cwd=folder, env=os.environ | (environment or {}), stdout=subprocess.PIPE, text=True, check=False
    )
    wall_s = time.perf_counter() - begin
    _wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} failed with {done.returncode}: {done.stdout[-300:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu_s, "wall_s": wall_s, "peak_mib": after.ru_maxrss / _KIB_PER_MIB, "said": _said(done.stdout)}


def _adopt_orphans() -> None:
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise RuntimeError("the system does not let us count orphans")


def _wait_for_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _said(text: str) -> Any:
    lines = text.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
