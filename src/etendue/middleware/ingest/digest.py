"""Checksums of files."""

import hashlib
from pathlib import Path


def digest_of(path: str, algorithm: str = "blake2b") -> str:
    """Return the checksum of a file.

    Parameters
    ----------
    path : str
        The file.
    algorithm : str
        As `hashlib` names it.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
