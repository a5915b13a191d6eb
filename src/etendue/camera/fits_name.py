"""What FITS files are called."""

import re
from pathlib import Path

ENDINGS = tuple(kind + packed for kind in (".fits", ".fit", ".fts") for packed in ("", ".fz", ".gz", ".bz2", ".xz"))
"""Endings of the files that folders are searched for, in small letters."""

_OF_A_NAME = re.compile(r"(\.(fits|fit|fts))?(\.(fz|gz|bz2|xz))?$", re.IGNORECASE)


def is_fits_name(path: Path) -> bool:
    """Return whether a file is called like a FITS file, in letters of any case.

    Parameters
    ----------
    path : Path
        The file, which need not exist.

    Returns
    -------
    bool
    """
    return path.name.lower().endswith(ENDINGS)


def without_ending(name: str) -> str:
    """Return a file's name without the endings of FITS files and of what packs them.

    Parameters
    ----------
    name : str
        Such as ``n0143.fits.fz``.

    Returns
    -------
    str
        Such as ``n0143``; the whole name where nothing else is in it.
    """
    return _OF_A_NAME.sub("", name) or name
