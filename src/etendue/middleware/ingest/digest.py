"""Checksums of files."""

import hashlib
from pathlib import Path

_PIECE = 1 << 20


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
    digest = hashlib.new(algorithm)
    with Path(path).open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
