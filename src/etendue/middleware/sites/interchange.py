"""Parsl's interchange, which goes when the driver goes: by itself it would stay for ever."""

import ctypes
import os
import runpy
import shutil
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def launch_command() -> list[str]:
    """Return the command that starts the interchange as a child of this process."""
    return [sys.executable, "-m", __name__, str(os.getpid())]


def main() -> None:
    """Run the interchange of the Parsl beside this Python; the only argument is the process id of the driver."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    driver = int(sys.argv[1])
    if os.getppid() != driver:  # it died before it could be watched
        return
    script = Path(sys.executable).with_name("interchange.py")
    found = str(script) if script.is_file() else shutil.which("interchange.py")
    if found is None:
        raise FileNotFoundError("interchange.py of Parsl")
    sys.argv = [found]
    runpy.run_path(found, run_name="__main__")


if __name__ == "__main__":
    main()
