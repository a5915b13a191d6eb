"""What a result must say about where and when it was made, and how numbers are written."""

import math
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGES = (
    "etendue",
    "numpy",
    "scipy",
    "numba",
    "astropy",
    "lsst-pipe-base",
    "lsst-daf-butler",
    "sep",
    "photutils",
    "reproject",
)


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, versions and the commit of the code; no names of machines or folders."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "load_1min_at_start": round(os.getloadavg()[0], 2),
    }


def rounded(value: Any, digits: int = 4) -> Any:
    """Return `value` with every float in it rounded to significant digits; NaN and infinities become None."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> str | None:
    """Return the short commit, with a plus if the package differs from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    return commit and commit + ("+" if _git("status", "--porcelain", "--", str(HERE.parent / "src")) else "")
