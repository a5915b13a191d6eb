"""Frames of the alert log: a batch with its key, lengths and checksum."""

import json
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from etendue.errors import InputError

_HEAD = struct.Struct("<4sIIQ")  # magic, CRC-32 of all that follows it, length of the label, length of the payload
_MAGIC = b"EALF"


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a whole frame lies in its segment, and what it holds.

    Parameters
    ----------
    key : str
        Name of the batch.
    version : int
        1 for the first batch of the key; each that replaces the one before counts one more.
    digest : str
        Content hash of the batch.
    count : int
        Number of alerts.
    start, end : int
        First byte, and first byte after it.
    payload_start : int
        First byte of the batch.
    """

    key: str
    version: int
    digest: str
    count: int
    start: int
    end: int
    payload_start: int


def encode_frame(key: str, version: int, digest: str, count: int, payload: bytes) -> bytes:
    """Return the bytes to append for a batch.

    Parameters
    ----------
    key : str
        Name of the batch.
    version : int
        Which batch of this name.
    digest : str
        Its content hash.
    count : int
        Number of alerts.
    payload : bytes
        The batch.

    Returns
    -------
    bytes
    """
    label = json.dumps([key, digest, count, version]).encode()
    lengths = struct.pack("<IQ", len(label), len(payload))
    checksum = zlib.crc32(payload, zlib.crc32(label, zlib.crc32(lengths)))
    return b"".join((_HEAD.pack(_MAGIC, checksum, len(label), len(payload)), label, payload))


def read_frame(file: BinaryIO, start: int, size: int, *, source: object) -> Frame | None:
    """Return the frame that starts at a position, None at the end or at a torn tail.

    Parameters
    ----------
    file : binary file
        A segment.
    start : int
        Where the frame begins.
    size : int
        Length of the segment.
    source : object
        Name of the segment, for the message.

    Returns
    -------
    Frame or None
        None if the bytes from ``start`` on are not a whole frame, as a killed writer leaves them.

    Raises
    ------
    InputError
        If the frame is damaged although more bytes follow it, which no killed writer can cause.
    """
    file.seek(start)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.strip(b"\0"):
        return None
    magic, checksum, label_size, payload_size = _HEAD.unpack(head)
    payload_start = start + _HEAD.size + label_size
    end = payload_start + payload_size
    if magic == _MAGIC and end > size:
        return None
    label, payload = file.read(label_size), file.read(payload_size)
    lengths = struct.pack("<IQ", label_size, payload_size)
    if magic != _MAGIC or zlib.crc32(payload, zlib.crc32(label, zlib.crc32(lengths))) != checksum:
        if magic == _MAGIC and end == size:
            return None
        raise InputError("the segment is damaged", source=source, value=start, remedy="restore it from a copy")
    key, digest, count, *version = json.loads(label)  # logs of before 2026-11 know no versions
    return Frame(key, version[0] if version else 1, digest, count, start, end, payload_start)
