"""Content hashes: what makes two products the same."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def content_digest(parts: Iterable[Any]) -> str:
    """Hash arrays, strings, bytes and JSON-able values, in order.

    Parameters
    ----------
    parts : iterable
        Arrays count by dtype, shape and bytes (every NaN is the same NaN); other values by their
        canonical JSON.

    Returns
    -------
    str
        blake2b, 32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.newbyteorder('<').str}{part.shape}".encode())
            digest.update(canonical_bytes(part))
        else:
            digest.update(json.dumps(part, sort_keys=True, separators=(",", ":")).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def canonical_bytes(array: NDArray[Any]) -> bytes | memoryview:
    """Return the bytes that stand for an array of numbers: little-endian, every NaN the same.

    Parameters
    ----------
    array : ndarray
        Of any shape.

    Returns
    -------
    bytes or memoryview
    """
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if array.dtype.kind == "f" and np.isnan(array).any():
        # The sign and payload of a NaN carry no information and do not survive a file.
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return array.reshape(-1).view(np.uint8).data if array.size else b""
